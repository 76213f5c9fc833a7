//! What a connection does while a direction is on [`super::trial`].

use core::ops::Range;

use abi::conn::frame::UNKNOWN as NO_FRAMES;
use smallvec::SmallVec;

use super::{
    Bytes, Counter, Framing, Gap, Half, Http2, Observer, Piece, TELL_AGAIN, Time,
    frame::{Head, Kind, PAYLOAD_MAX},
    trial::{Trial, Walker},
};
use crate::Of;

impl Half {
    /// What the kernel side knows of these bytes. What it was told wrongly it is told again to be so: a call that was
    /// under way may have kept it.
    pub(super) fn follow(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        self.followed = input.framing != Framing::Unknown;
        self.misled &= self.followed;
        if self.misled && self.tell_frames <= input.call.exit {
            self.tell_frames = input.call.exit.saturating_add(TELL_AGAIN);
            out.frames(input.direction, NO_FRAMES);
        }
    }

    /// A call may begin with these bytes.
    pub(super) fn call_begins(&mut self, input: &Bytes<'_>) {
        if let Some(trial) = self.trial.as_mut().filter(|_| input.call_start) {
            trial.call(input.position, self.frames.before_next() == Some(0));
        }
    }
}

impl Http2 {
    /// Frames were found in a direction, in a chain that began at `start`. Those of a client are read from here on, those
    /// of a server are read ahead.
    #[cold]
    pub(super) fn try_frames(&mut self, is_request: bool, (start, position): (u64, u64)) {
        let (half, _) = self.half(is_request);
        half.search = None;
        half.frames.resume();
        half.sure = false;
        half.trial = Some(Trial::new(start));
        self.streams.trial_begins(is_request);
        if !is_request {
            self.ahead = Some(Walker::new(position, &[], None));
        }
    }

    /// What waits already is for the trial of requests to know, too.
    #[cold]
    pub(super) fn hear_held(&mut self, out: &mut dyn Observer) {
        if self.requests.trial.is_none() || self.responses.frames.is_lost() || self.ahead.is_some() {
            return;
        }
        let mut walker = self.responses.frames.walker(self.responses.end);
        let streams = &mut self.streams;
        let direction = streams.side.direction(false);
        for piece in self.held.iter() {
            let Some(reader) = &mut walker else { return };
            let goes_on = match piece {
                Piece::Gap(gap) => reader.gap(gap),
                Piece::Bytes(owned) => {
                    let input = owned.borrowed();
                    let found = |head: &Head, position, header: &[u8]| {
                        out.excerpt(direction, position, header, Of::Http2);
                        if head.kind == Kind::Headers {
                            streams.hears(head.stream, position);
                        }
                        head.is_valid()
                    };
                    reader.bytes(input.position, input.bytes, found, |_| ())
                }
            };
            walker = walker.filter(|_| goes_on);
        }
        self.ahead = walker;
    }

    /// Responses wait for the end of a trial.
    pub(super) fn waits(&self) -> bool {
        self.is_on_trial() && !self.responses.frames.is_lost()
    }

    fn is_on_trial(&self) -> bool {
        self.requests.trial.is_some() || self.responses.trial.is_some()
    }

    /// Is what begins here a frame, as far as a trial of the requests goes?
    #[cold]
    pub(super) fn is_on_track(&mut self, bytes: &[u8], position: u64) -> bool {
        let Half { trial, frames, payload_max, .. } = &mut self.requests;
        let Some(trial) = trial else { return true };
        let Some(head) = frames.next_head(bytes) else { return true };
        trial.frame(position);
        head.is_plausible(Some(true), payload_max.unwrap_or(PAYLOAD_MAX))
    }

    /// Responses wait, without long content: which streams do they answer?
    #[cold]
    pub(super) fn read_ahead(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        let Self { responses, streams, ahead, .. } = self;
        responses.follow(input, out);
        let Half { trial, payload_max, .. } = responses;
        let mut contents = SmallVec::<[Range<u64>; 4]>::new();
        let longest = payload_max.unwrap_or(PAYLOAD_MAX);
        let goes_on = ahead.as_mut().is_some_and(|walker| {
            if let Some(trial) = trial.as_mut().filter(|_| input.call_start) {
                trial.call(input.position, walker.is_at(input.position));
            }
            let found = |head: &Head, position, header: &[u8]| {
                out.excerpt(input.direction, position, header, Of::Http2);
                if head.kind == Kind::Headers {
                    streams.hears(head.stream, position);
                }
                let Some(trial) = trial else { return head.is_valid() };
                trial.frame(position);
                trial.passed = trial.passed.saturating_add(u64::from(streams.first_answer().is_none()));
                head.is_plausible(Some(false), longest)
            };
            walker.bytes(input.position, input.bytes, found, |content| contents.push(content))
        });
        self.hold(input, &contents);
        if !goes_on {
            return self.trial_fails(out);
        }
        if !self.responses.followed
            && let Some(next) = self.ahead.as_ref().and_then(Walker::next)
        {
            self.responses.tell(input.direction, next, input.call.exit, out);
        }
        self.judge(input.call.exit, out);
    }

    /// Keeps what waits, without this content.
    fn hold(&mut self, input: &Bytes<'_>, contents: &[Range<u64>]) {
        let end = input.position.saturating_add(input.bytes.len() as u64);
        let mut rest = *input;
        for content in contents {
            let before = rest.below(content.start);
            if !before.bytes.is_empty() {
                self.held.push(&before, before.bytes.len());
            }
            self.held.push_gap(&Gap {
                direction: input.direction,
                position: content.start,
                length: content.end.saturating_sub(content.start),
                call: Some(input.call),
                time: input.call.exit,
                quiet: None,
            });
            rest = rest.last(end.saturating_sub(content.end));
        }
        if !rest.bytes.is_empty() {
            self.held.push(&rest, rest.bytes.len());
        }
    }

    /// Time passed: the kernel side is told now where a frame begins.
    pub(super) fn tell_again(&mut self, now: Time, out: &mut dyn Observer) {
        for is_request in [true, false] {
            let direction = self.streams.side.direction(is_request);
            let ahead = self.ahead.as_ref().filter(|_| !is_request && self.waits()).map(Walker::next);
            let read = is_request || self.held.is_empty();
            let (half, _) = self.half(is_request);
            if half.tells_at().is_none_or(|time| time > now) {
                continue;
            }
            let left = half.frames.before_next().filter(|_| read);
            let next = ahead.unwrap_or(left.map(|left| half.end.saturating_add(u64::from(left))));
            half.untold = false;
            if let Some(next) = next {
                half.tell(direction, next, now, out);
            }
        }
    }

    /// A gap of responses that wait: it waits too, or what does is lost with it. Requests stay on trial.
    pub(super) fn gap_waits(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if !self.waits() || self.ahead.as_mut().is_some_and(|walker| walker.gap(gap)) {
            return self.held.push_gap(gap);
        }
        self.held.clear();
        self.ahead = None;
        self.lose(false, gap.call.map_or(0, |call| call.enter), gap.time, out);
        self.take_gap(gap, false, out);
    }

    /// Is a trial over?
    pub(super) fn judge(&mut self, time: Time, out: &mut dyn Observer) {
        if self.is_on_trial() {
            self.judge_trial(time, out);
        }
    }

    #[cold]
    fn judge_trial(&mut self, time: Time, out: &mut dyn Observer) {
        if self.is_refuted() {
            return self.trial_fails(out);
        }
        let agree = self.streams.agree();
        for is_request in [true, false] {
            let (half, _) = self.half(is_request);
            if half.trial.as_ref().is_some_and(|trial| agree || trial.is_over(half.payload_max)) {
                self.believe(is_request, time, out);
            }
        }
        if !self.is_on_trial() {
            self.settle(out);
        }
    }

    /// The two directions do not tell of the same streams.
    pub(super) fn is_refuted(&self) -> bool {
        self.streams.agreement.as_ref().is_some_and(|agreement| agreement.refuted)
    }

    /// No more will be known: what agrees as far as it goes is believed.
    pub(super) fn decide(&mut self, time: Time, out: &mut dyn Observer) {
        if !self.is_on_trial() {
            return;
        }
        if !self.streams.agreement.as_ref().is_some_and(|agreement| agreement.is_settled()) {
            return self.trial_fails(out);
        }
        self.believe(true, time, out);
        self.believe(false, time, out);
        self.settle(out);
    }

    fn believe(&mut self, is_request: bool, time: Time, out: &mut dyn Observer) {
        let (half, _) = self.half(is_request);
        let Some(trial) = half.trial.take() else { return };
        half.sure = true;
        if is_request {
            self.streams.requests_believed();
        } else {
            // Reading begins with the first response that is certain to be one: what lies before may be content, and must
            // not come into the header table.
            let first = self.streams.first_answer();
            out.count(Counter::Http2FramesPassed, trial.passed);
            self.held.strip_below(first.unwrap_or(trial.newest));
            self.streams.responses_found(time);
        }
        if !self.is_on_trial() {
            self.streams.agreement = None;
            self.ahead = None;
        }
    }

    /// What was found were no frames.
    pub(super) fn trial_fails(&mut self, out: &mut dyn Observer) {
        for is_request in [true, false] {
            let (half, _) = self.half(is_request);
            if half.trial.is_some() {
                let time = half.last.map_or(0, |call| call.exit);
                self.refute(is_request, time, out);
            }
        }
        self.settle(out);
    }

    /// What was found in this direction were none, and the kernel side must not follow them.
    pub(super) fn refute(&mut self, is_request: bool, time: Time, out: &mut dyn Observer) {
        out.count(Counter::Http2Refuted, 1);
        out.frames(self.streams.side.direction(is_request), NO_FRAMES);
        let (half, _) = self.half(is_request);
        half.misled = true;
        self.lose(is_request, time, time, out);
    }

    /// No more responses can wait. What was found may be frames.
    pub(super) fn trial_is_given_up(&mut self, out: &mut dyn Observer) {
        for is_request in [true, false] {
            let (half, _) = self.half(is_request);
            if half.trial.is_some() {
                let time = half.last.map_or(0, |call| call.exit);
                self.lose(is_request, time, time, out);
            }
        }
        self.settle(out);
    }

    /// A direction on trial is lost: what it told is taken back.
    pub(super) fn end_trial(&mut self, is_request: bool, out: &mut dyn Observer) {
        let (half, _) = self.half(is_request);
        if half.trial.take().is_none() {
            return;
        }
        if is_request {
            self.streams.requests_refuted(out);
        } else {
            self.held.clear();
            self.ahead = None;
        }
        if self.is_on_trial() {
            if is_request {
                self.streams.trial_begins(false);
            }
        } else {
            self.streams.agreement = None;
            self.ahead = None;
        }
    }
}
