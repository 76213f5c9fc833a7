//! The open streams of a connection, and what is told of them.
//!
//! A stream is an exchange: it starts with the HEADERS of its request and ends when both of its directions
//! have (RFC 9113, 5.1), or by RST_STREAM. Streams that a server opens (push, 8.4) are none: nobody asked.
//!
//! After a gap some of it is unknown, and stays so:
//! * requests: whether an open request went on or ended, so that its response ends the exchange;
//! * responses: whether open streams were answered or ended. One of which nothing follows for `limit::DOUBT`
//!   once frames are read again, or for [`stream::LOST_MAX`], ended in the gap as far as anyone knows.

mod stream;

use std::collections::VecDeque;

use smallvec::SmallVec;

use self::stream::Stream;
use super::{
    block::{Block, Fields},
    excerpt,
    fragments::Fragments,
    frame,
    grpc::{Content, Messages},
};
use crate::{
    Of,
    counter::Counter,
    event::{Call, Time},
    limit,
    protocol::{Ending, Number, Observer, RequestHead, ResponseHead, Side, Trailers, Unseen, Version},
};

/// Streams whose response was given up before their request was recorded.
const ORPHANS_MAX: usize = 256;
/// A stream that had less content than this is not worth an order to let it pass.
const LOUD_MIN: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Streams {
    pub(super) side: Side,
    /// By id: they are opened in that order (RFC 9113, 5.1.1).
    open: VecDeque<Stream>,
    /// Numbers of exchanges of this connection that are older than its streams.
    base: Number,
    /// The newest stream of the client, if one was seen.
    pub(super) highest: u32,
    /// Every frame of the client so far was seen.
    certain: bool,
    /// The streams of the last content of the client and of the server, if nothing is read in it, a good deal of it passed,
    /// and there is no doubt that it goes on; else 0.
    loud: [u32; 2],
    /// GOAWAY of the server: streams above this one are not served, and the connection ends for this reason.
    gone: Option<(u32, u32)>,
    /// Streams whose response, or a part of it, was passed over, since their request was not seen.
    orphans: SmallVec<[u32; 4]>,
    /// Which ones up to this were is not remembered.
    forgotten: u32,
    /// It is not known where frames of the server begin.
    server_lost: bool,
    /// When a doubt of a stream ends, or the wait after a client gave one up.
    pub(super) deadline: Option<Time>,
}

impl Streams {
    pub(super) fn new(side: Side, certain: bool) -> Self {
        Self {
            side,
            open: VecDeque::new(),
            base: 0,
            highest: 0,
            certain,
            loud: [0; 2],
            gone: None,
            orphans: SmallVec::new(),
            forgotten: 0,
            server_lost: !certain,
            deadline: None,
        }
    }

    /// The request that `Upgrade: h2c` came with is stream 1, half closed (RFC 7540, 3.2).
    pub(super) fn upgraded(side: Side, number: Number) -> Self {
        let mut streams = Self::new(side, true);
        let mut stream = Stream::new(1, number);
        stream.request.ended = true;
        stream.content = Some(Content::Other);
        stream.request.messages.lose();
        stream.response.messages.lose();
        streams.open.push_back(stream);
        streams.highest = 1;
        streams.base = number;
        streams
    }

    /// Nothing was seen of any stream yet.
    pub(super) fn are_unseen(&self) -> bool {
        self.highest == 0
    }

    /// The request of this stream may be recorded yet: its response waits.
    pub(super) fn expects(&self, id: u32) -> bool {
        id % 2 == 1 && id > self.highest && (self.highest != 0 || self.certain)
    }

    /// Frames of a server for a stream that is not open. Its request may be recorded later.
    pub(super) fn give_up(&mut self, id: u32) {
        if id.is_multiple_of(2) || id <= self.highest || self.orphans.contains(&id) {
            return;
        }
        if self.orphans.len() >= ORPHANS_MAX {
            self.forgotten = self.forgotten.max(self.orphans.remove(0));
        }
        self.orphans.push(id);
    }

    pub(super) fn is_given_up(&self, id: u32) -> bool {
        self.orphans.contains(&id)
    }

    /// A gap of this length in the content of a stream changes nothing.
    pub(super) fn absorbs(&self, id: u32, requests: bool, length: u64) -> bool {
        self.index(id).and_then(|index| self.open.get(index)).is_none_or(|stream| {
            let part = if requests { &stream.request } else { &stream.response };
            stream.content == Some(Content::Other) || length <= part.messages.known()
        })
    }

    /// See the field.
    pub(super) fn loud(&self, requests: bool) -> u32 {
        let [client, server] = self.loud;
        if requests { client } else { server }
    }

    /// This direction of a stream has not ended yet.
    pub(super) fn is_running(&self, id: u32, requests: bool) -> bool {
        self.index(id)
            .and_then(|index| self.open.get(index))
            .is_some_and(|stream| if requests { !stream.request.ended } else { stream.answered.is_none() })
    }

    /// HEADERS of the client.
    pub(super) fn request(
        &mut self,
        head: &Fragments<'_>,
        block: &Block,
        call: &Call,
        out: &mut dyn Observer,
    ) {
        let id = head.stream;
        if id <= self.highest || id.is_multiple_of(2) {
            // Trailers, or of a stream that is over.
            if let Some(index) = self.index(id)
                && head.end_stream
            {
                self.request_ended(index, call, out);
            }
            return;
        }
        self.highest = id;
        // Trailers of a request whose head was lost are no request.
        if !self.certain && !block.has_pseudo && head.end_stream {
            return;
        }
        self.make_room(call.exit, out);
        let number = self.base.saturating_add(u64::from(id));
        let mut stream = Stream::new(id, number);
        let mut fields = Fields::new();
        block.fields(&mut fields);
        let path = block.path();
        out.request_started(number, self.side, head.position, &head.first);
        out.request_head(
            number,
            &RequestHead {
                version: Version::Http2,
                method: block.method(),
                target: path.map(|path| path.get(..limit::TARGET_MAX).unwrap_or(path)),
                target_truncated: path.is_some_and(|path| path.len() > limit::TARGET_MAX),
                authority: block.authority(),
                scheme: block.scheme(),
                fields: &fields,
                fields_incomplete: block.incomplete,
                call: *call,
            },
        );
        stream.content = match Content::of_fields(&fields) {
            None if !block.incomplete => Some(Content::Other),
            // The end of a call's request is that of a DATA frame (gRPC over HTTP/2, EOS).
            None if head.end_stream => {
                stream.request.messages.refuse();
                None
            }
            content => content,
        };
        if let Some(content) = stream.content {
            stream.request.messages = Messages::of(content);
            stream.response.messages = Messages::of(content);
        }
        if self.orphans.contains(&id) {
            self.orphans.retain(|orphan| *orphan != id);
            out.ended(number, Ending::Gap, call.exit);
            return;
        }
        if let Some((_, code)) = self.gone.filter(|(last, _)| id > *last) {
            out.ended(number, refused(code), call.exit);
            return;
        }
        if self.server_lost || id <= self.forgotten {
            stream.lose_response(call.exit);
        }
        self.open.push_back(stream);
        self.lower_deadline(self.open.back().and_then(Stream::due));
        if head.end_stream {
            self.request_ended(self.open.len().saturating_sub(1), call, out);
        }
    }

    /// HEADERS of the server.
    pub(super) fn response(
        &mut self,
        head: &Fragments<'_>,
        block: &Block,
        call: &Call,
        out: &mut dyn Observer,
    ) {
        let Some(index) = self.index(head.stream) else {
            self.give_up(head.stream);
            if head.stream % 2 == 1 && block.status().is_some_and(|status| status >= 200) {
                out.count(Counter::ResponsesUnpaired, 1);
            }
            return;
        };
        let Some(stream) = self.open.get_mut(index) else { return };
        stream.doubt = None;
        let number = stream.number;
        let mut fields = Fields::new();
        block.fields(&mut fields);
        let status = block.status();
        match status {
            // A client does not look at what it reads of a stream that it gave up.
            _ if self.side == Side::Client && stream.given_up_before(call.exit).is_some() => {}
            Some(status) if !stream.responding && matches!(status, 100..=199) => {
                stream.unsure = None;
                return out.informational(number, status, call);
            }
            // RFC 9113, 8.1: one final response, then trailers.
            None if !stream.responding && !head.end_stream && block.incomplete => {
                stream.unsure.get_or_insert(head.first);
                return;
            }
            _ if !stream.responding && (block.has_pseudo || block.incomplete) => {
                stream.responding = true;
                if let Some(content) = Content::of_fields(&fields) {
                    stream.response.messages.expect(content);
                }
                out.response_started(number, &head.first);
                out.response_head(
                    number,
                    &ResponseHead {
                        version: Version::Http2,
                        status,
                        fields: &fields,
                        fields_incomplete: block.incomplete,
                        call: *call,
                    },
                );
            }
            _ => {
                stream.head_lost(call, out);
                out.trailers(number, &Trailers { fields: &fields, fields_incomplete: block.incomplete });
            }
        }
        if head.end_stream {
            self.response_ended(index, call, out);
        }
    }

    /// Content of a stream.
    pub(super) fn data(
        &mut self,
        requests: bool,
        (id, at, content, lost, end): (u32, u64, &[u8], u64, Option<bool>),
        call: &Call,
        out: &mut dyn Observer,
    ) {
        let Some(index) = self.index(id) else {
            if !requests {
                self.give_up(id);
            }
            return;
        };
        let Some(stream) = self.open.get_mut(index) else { return };
        let part = if requests { &mut stream.request } else { &mut stream.response };
        part.body = part.body.saturating_add(content.len() as u64).saturating_add(lost);
        match out.secrecy() {
            None => part.messages.take(content),
            Some(secrecy) => {
                let direction = self.side.requests();
                let direction = if requests { direction } else { direction.opposite() };
                excerpt::messages(&mut part.messages, content, (direction, at), Of::Http2, &*secrecy, out);
            }
        }
        part.messages.gap(lost);
        let long = part.body >= LOUD_MIN;
        // Now: of a stream whose end is lost nothing is told. Responses prove nothing: a proxy may have answered a call.
        if requests && stream.content.is_none() && part.messages.are_foreign() {
            stream.content = Some(Content::Other);
            out.no_call(stream.number);
        }
        if !requests {
            stream.doubt = None;
            stream.head_lost(call, out);
        }
        let passes = stream.content == Some(Content::Other) && end != Some(true);
        let loud = if passes && long { id } else { 0 };
        let [client, server] = &mut self.loud;
        *(if requests { client } else { server }) = loud;
        if end == Some(true) {
            if requests {
                self.request_ended(index, call, out);
            } else {
                self.response_ended(index, call, out);
            }
        }
    }

    /// RST_STREAM.
    pub(super) fn reset(
        &mut self,
        by: Side,
        id: u32,
        code: Option<u32>,
        call: &Call,
        out: &mut dyn Observer,
    ) {
        let Some(index) = self.index(id) else {
            if by == Side::Server {
                self.give_up(id);
            }
            return;
        };
        let Some(stream) = self.open.get_mut(index) else { return };
        if let Some((ending, time)) = stream.given_up_before(call.exit).filter(|_| by == Side::Server) {
            return self.end_one(index, ending, time, out);
        }
        // RFC 9113, 8.1: a server may have no use for the rest of a request, nor a client for its own.
        let harmless = match code {
            Some(frame::NO_ERROR) | None => true,
            Some(code) => code == frame::CANCEL && by == Side::Client,
        };
        match (stream.answered, code) {
            (Some(_), _) if harmless => self.complete(index, None, out),
            (None, Some(code)) if harmless && by == Side::Client => {
                stream.cancelled.get_or_insert((code, *call));
                let due = stream.due();
                self.lower_deadline(due);
            }
            (_, Some(code)) => self.end_one(index, Ending::Reset { code, by }, call.exit, out),
            (_, None) => self.end_one(index, Ending::Gap, call.exit, out),
        }
    }

    /// GOAWAY of the server ends what it will not serve (RFC 9113, 6.8).
    pub(super) fn go_away(&mut self, last: u32, code: u32, time: Time, out: &mut dyn Observer) {
        self.gone = Some((last, code));
        while let Some(index) = self.open.len().checked_sub(1)
            && self.open.get(index).is_some_and(|stream| stream.id > last)
        {
            let given_up = self.open.get(index).and_then(|stream| stream.given_up_before(time));
            let (ending, time) = given_up.unwrap_or((refused(code), time));
            self.end_one(index, ending, time, out);
        }
    }

    /// Where frames of the client begin was lost.
    pub(super) fn requests_lost(&mut self, out: &mut dyn Observer) {
        self.certain = false;
        let mut index = 0_usize;
        while let Some(stream) = self.open.get_mut(index) {
            if !stream.request.ended {
                stream.request.messages.lose();
            }
            stream.request_lost = true;
            if stream.answered.is_some() {
                self.complete(index, None, out);
            } else {
                index = index.saturating_add(1);
            }
        }
    }

    /// Where frames of the server begin was lost, by this time and not before `earliest`.
    pub(super) fn responses_lost(&mut self, earliest: Time, time: Time) {
        self.server_lost = true;
        for stream in self.open.iter_mut().filter(|stream| stream.answered.is_none()) {
            // A response that was lost later came too late for a client that had given it up.
            if stream.cancelled.is_none_or(|(_, call)| call.exit > earliest) {
                stream.lose_response(time);
            }
        }
        self.set_deadline();
    }

    /// They were found again.
    pub(super) fn responses_found(&mut self, time: Time) {
        self.server_lost = false;
        for doubt in self.open.iter_mut().filter_map(|stream| stream.doubt.as_mut()) {
            doubt.until = time.saturating_add(limit::DOUBT);
        }
        self.set_deadline();
    }

    /// Time passed: streams of which nothing was seen since the gap end there.
    pub(super) fn timeout(&mut self, now: Time, out: &mut dyn Observer) {
        if self.deadline.is_none_or(|until| until > now) {
            return;
        }
        let mut index = 0_usize;
        while let Some(stream) = self.open.get(index) {
            match stream.due().filter(|(until, ..)| *until <= now) {
                Some((_, ending, time)) => self.end_one(index, ending, time, out),
                None => index = index.saturating_add(1),
            }
        }
        self.set_deadline();
    }

    /// Ends all, but those that were answered.
    pub(super) fn end(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        let ending = match (ending, self.gone) {
            (Ending::Closed { .. } | Ending::Failed(_), Some((_, code))) if code != frame::NO_ERROR => {
                Ending::GoneAway { code, served: true }
            }
            (other, _) => other,
        };
        while let Some(stream) = self.open.front() {
            let lost = stream.request_lost || stream.doubt.is_some();
            if stream.answered.is_some() {
                self.complete(0, None, out);
            } else if lost
                && matches!(ending, Ending::Closed { .. } | Ending::Failed(_) | Ending::GoneAway { .. })
            {
                // It may have ended before, in what was lost.
                let time = stream.doubt.map_or(time, |doubt| doubt.since);
                self.end_one(0, Ending::Gap, time, out);
            } else if let Some((ending, time)) = stream.given_up() {
                self.end_one(0, ending, time, out);
            } else {
                self.end_one(0, ending, time, out);
            }
        }
    }

    fn index(&self, id: u32) -> Option<usize> {
        self.open.binary_search_by_key(&id, |stream| stream.id).ok()
    }

    fn set_deadline(&mut self) {
        self.deadline = self.open.iter().filter_map(Stream::due).map(|(until, ..)| until).min();
    }

    /// One more stream ends then unless more of it is seen.
    fn lower_deadline(&mut self, due: Option<(Time, Ending, Time)>) {
        let until = due.map(|(until, ..)| until);
        self.deadline = [self.deadline, until].into_iter().flatten().min();
    }

    fn make_room(&mut self, time: Time, out: &mut dyn Observer) {
        if self.open.len() < limit::STREAMS_MAX {
            return;
        }
        // One that only waits for what may have come before its client gave it up.
        let waits =
            self.open.iter().enumerate().find_map(|(index, stream)| Some((index, stream.given_up()?)));
        if let Some((index, (ending, time))) = waits {
            self.end_one(index, ending, time, out);
        } else {
            out.count(Counter::ExchangesEvicted, 1);
            self.end_one(0, Ending::Unseen(Unseen::Evicted), time, out);
        }
    }

    fn request_ended(&mut self, index: usize, call: &Call, out: &mut dyn Observer) {
        let Some(stream) = self.open.get_mut(index).filter(|stream| !stream.request.ended) else { return };
        stream.request.ended = true;
        out.request_ended(stream.number, stream.request.body, call);
        if stream.answered.is_some() {
            self.complete(index, Some(call), out);
        }
    }

    fn response_ended(&mut self, index: usize, call: &Call, out: &mut dyn Observer) {
        let Some(stream) = self.open.get_mut(index) else { return };
        if let Some((ending, time)) = stream.given_up_before(call.exit) {
            return self.end_one(index, ending, time, out);
        }
        stream.answered = Some(*call);
        if stream.request.ended || stream.request_lost || stream.cancelled.is_some() {
            self.complete(index, None, out);
        }
    }

    /// A stream that was answered ends, by this call if it ended after its response.
    fn complete(&mut self, index: usize, last: Option<&Call>, out: &mut dyn Observer) {
        let Some(stream) = self.open.get(index) else { return };
        if let Some(answered) = &stream.answered {
            stream.tell_messages(out);
            let last = last.filter(|last| last.exit > answered.exit).unwrap_or(answered);
            out.response_ended(stream.number, stream.response.body, last);
        }
        self.open.remove(index);
    }

    fn end_one(&mut self, index: usize, ending: Ending, time: Time, out: &mut dyn Observer) {
        let Some(stream) = self.open.remove(index) else { return };
        stream.tell_messages(out);
        out.ended(stream.number, ending, time);
    }
}

/// The end of a stream that a server will not serve. It may be tried again, as if it had been refused (RFC 9113, 8.7).
fn refused(code: u32) -> Ending {
    let code = if code == frame::NO_ERROR { frame::REFUSED_STREAM } else { code };
    Ending::GoneAway { code, served: false }
}
