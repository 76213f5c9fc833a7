//! One stream that is open.

use super::super::grpc::{Content, Messages};
use crate::{
    event::{Call, Time},
    limit,
    protocol::{Ending, Number, Observer, ResponseHead, Side, Version},
};

/// How long a stream that its client gave up waits for a response that was complete before: it may be recorded
/// late, or be found to be lost.
const ANSWER_WAIT: Time = limit::PAIRING_WAIT + limit::REORDER_WAIT;
/// How long a stream stays open while nobody knows where the frames of its server begin.
const LOST_MAX: Time = 10 * limit::DOUBT;

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) id: u32,
    pub(super) number: Number,
    pub(super) request: Part,
    pub(super) response: Part,
    /// When the final response was complete.
    pub(super) answered: Option<Call>,
    /// The final response has begun.
    pub(super) responding: bool,
    /// A response head of unknown status: a final one, or an interim one.
    pub(super) unsure: Option<Call>,
    /// Is it gRPC, as far as its head says?
    pub(super) content: Option<Content>,
    /// Frames of the client were lost since it began.
    pub(super) request_lost: bool,
    /// Frames of the server were lost, and nothing of the stream was seen since.
    pub(super) doubt: Option<Doubt>,
    /// The client gave it up by this code, unless a response that was complete before is recorded yet.
    pub(super) cancelled: Option<(u32, Call)>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Doubt {
    pub(super) since: Time,
    /// It is over for the stream then.
    pub(super) until: Time,
}

/// One direction of a stream.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) body: u64,
    pub(super) ended: bool,
    pub(super) messages: Messages,
}

impl Stream {
    pub(super) fn new(id: u32, number: Number) -> Self {
        Self {
            id,
            number,
            request: Part::default(),
            response: Part::default(),
            answered: None,
            responding: false,
            unsure: None,
            content: None,
            request_lost: false,
            doubt: None,
            cancelled: None,
        }
    }

    /// When it ends unless more of it is seen, how and at what time.
    pub(super) fn due(&self) -> Option<(Time, Ending, Time)> {
        match self.doubt {
            Some(doubt) => Some((doubt.until, Ending::Gap, doubt.since)),
            None => self.given_up().map(|(ending, time)| (time.saturating_add(ANSWER_WAIT), ending, time)),
        }
    }

    /// How it ended when its client gave it up, and when; `None`: it did not.
    pub(super) fn given_up(&self) -> Option<(Ending, Time)> {
        self.cancelled.map(|(code, call)| (Ending::Reset { code, by: Side::Client }, call.exit))
    }

    /// The same, if that was before this time.
    pub(super) fn given_up_before(&self, time: Time) -> Option<(Ending, Time)> {
        self.given_up().filter(|(_, when)| *when < time)
    }

    /// Frames of its response may have been lost.
    pub(super) fn lose_response(&mut self, time: Time) {
        self.response.messages.lose();
        let until = time.saturating_add(LOST_MAX);
        self.doubt.get_or_insert(Doubt { since: time, until }).until = until;
    }

    /// The response goes on, and its head was not known for one: its status is unknown.
    pub(super) fn head_lost(&mut self, call: &Call, out: &mut dyn Observer) {
        if !core::mem::replace(&mut self.responding, true) {
            let first = self.unsure.unwrap_or(*call);
            out.response_started(self.number, &first);
            out.response_head(
                self.number,
                &ResponseHead {
                    version: Version::Http2,
                    status: None,
                    fields: &[],
                    fields_incomplete: true,
                    call: first,
                },
            );
        }
    }

    pub(super) fn tell_messages(&self, out: &mut dyn Observer) {
        if self.content == Some(Content::Other) {
            return;
        }
        self.response.messages.tell_trailers(self.number, out);
        if self.content.is_none() && self.request.messages.are_foreign() {
            out.no_call(self.number);
        }
        out.messages(self.number, self.request.messages.count(), self.response.messages.count());
    }
}
