//! The direction that carries requests.

use super::{
    Exchange, Http1, Permit,
    body::{Body, Outcome},
    half::{Gathered, State},
    head::{self, Fields, Method, RequestLine},
};
use crate::{
    counter::Counter,
    event::{Call, Direction, Time},
    limit,
    protocol::{
        Bytes, Ending, Gap, Observer, Protocol, RequestHead, Unseen, Version,
        detect::{self, Detection},
    },
};

impl Http1 {
    /// Takes bytes. `Some`: so many at their end have to wait.
    pub(super) fn request_bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) -> Option<usize> {
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.bytes(input, out);
            return None;
        }
        if !self.responses.held.is_empty() {
            self.settle_responses(self.moved(&input.call), out);
        }
        self.requests.last = Some(input.call);
        let mut rest = input.bytes;
        while !rest.is_empty() && !self.done {
            if self.paused {
                return Some(rest.len());
            }
            let read = input.bytes.len().saturating_sub(rest.len());
            let used = match self.requests.state {
                State::Head => self.request_head(rest, input, read, out),
                State::Body(body) => self.request_body(body, input, read, out),
                State::Lost => {
                    if read != 0 || !input.call_start || !self.accepts(rest, &input.call, out) {
                        self.discard(&input.call);
                        return None;
                    }
                    self.requests.state = State::Head;
                    self.requests.candidate = true;
                    0
                }
            };
            rest = rest.get(used..).unwrap_or_default();
        }
        let end = input.position.saturating_add(input.bytes.len() as u64);
        self.requests.tell_skip(input.direction, end, out);
        None
    }

    /// May a request start here, where framing is lost?
    fn accepts(&mut self, bytes: &[u8], call: &Call, out: &mut dyn Observer) -> bool {
        let start = self.moved(call);
        while self.open.is_empty()
            && self.responses.held.front_call().is_some_and(|response| response.exit < start)
        {
            self.expect_unpaired(out);
            self.settle_responses(start, out);
        }
        let permitted = match self.permit {
            Permit::Now => true,
            // What was sent before the response ended may belong to what it answers.
            Permit::Tentative => start >= self.answered,
            Permit::Turn | Permit::Response => false,
        };
        permitted && !self.done && detect::http1_request(bytes) != Detection::No
    }

    /// Passes over bytes that may belong to anything.
    pub(super) fn discard(&mut self, call: &Call) {
        self.discarded = self.discarded.max(call.exit);
        self.permit = match self.permit {
            Permit::Now => Permit::Turn,
            Permit::Tentative => Permit::Response,
            closed @ (Permit::Turn | Permit::Response) => closed,
        };
    }

    /// What looked like a head is none: passes over it, or gives the connection up.
    fn no_request(&mut self, call: &Call, out: &mut dyn Observer) {
        if self.requests.candidate {
            self.requests.lose(false);
            self.discard(call);
        } else {
            self.malformed_request(call, out);
        }
    }

    /// The bytes do not follow the protocol: where the next request begins is not known.
    fn malformed_request(&mut self, call: &Call, out: &mut dyn Observer) {
        if !self.malformed(out) {
            self.end_current(Ending::Malformed, call.exit, out);
            self.lose_requests(call.exit);
        }
    }

    /// Ends the exchange whose request is being read. Its response still comes in its turn.
    fn end_current(&mut self, ending: Ending, time: Time, out: &mut dyn Observer) {
        let Some(number) = self.current.take() else { return };
        let Some(exchange) = self.open.iter_mut().find(|exchange| exchange.number == Some(number)) else {
            return;
        };
        exchange.number = None;
        exchange.head_reported = true;
        exchange.lost = true;
        if std::mem::take(&mut exchange.tentative) {
            out.retracted(number);
        } else {
            out.ended(number, ending, time);
        }
    }

    fn request_head(
        &mut self,
        bytes: &[u8],
        input: &Bytes<'_>,
        read: usize,
        out: &mut dyn Observer,
    ) -> usize {
        let call = &input.call;
        if self.requests.head.is_empty() {
            // RFC 9112, 2.2: empty lines before a request line are passed over.
            let blanks = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if blanks > 0 {
                return blanks;
            }
            if self.retract_tentative(out) {
                self.lose_requests(call.exit);
                return bytes.len();
            }
            if detect::http1_request(bytes) == Detection::No {
                self.no_request(call, out);
                return bytes.len();
            }
            self.requests.first = Some(*call);
            self.requests.position = input.position.saturating_add(read as u64);
            let before = input.bytes.get(..read).unwrap_or_default();
            let call_start = input.call_start && before.iter().all(|byte| matches!(byte, b'\r' | b'\n'));
            // A request right behind another one was sent without waiting for a response.
            self.pipelines |= self.spoken && !call_start;
            if let Ok(end) = head::find_end(bytes, 0) {
                self.request_complete(bytes.get(..end).unwrap_or_default(), call, out);
                let buffer = std::mem::take(&mut self.requests.head);
                self.requests.reset(buffer);
                return end;
            }
        }
        let searched = self.requests.searched;
        match self.requests.gather(bytes) {
            Gathered::Complete(used) => {
                let buffer = std::mem::take(&mut self.requests.head);
                self.request_complete(&buffer, call, out);
                self.requests.reset(buffer);
                used
            }
            Gathered::NeedMore => {
                self.request_line_read(searched, call, out);
                bytes.len()
            }
            Gathered::TooLong => {
                out.count(Counter::HeadTooLong, 1);
                self.request_line_read(searched, call, out);
                self.cut_request(call, out);
                bytes.len()
            }
        }
    }

    /// The first request after a loss of framing goes on without a response: it was content, or the client
    /// pipelines; neither can be told from the other.
    fn retract_tentative(&mut self, out: &mut dyn Observer) -> bool {
        if !self.open.back().is_some_and(|exchange| exchange.tentative) {
            return false;
        }
        if let Some(number) = self.open.pop_back().and_then(|exchange| exchange.number) {
            out.retracted(number);
        }
        true
    }

    /// Reports the start of a request whose head is split as soon as its request line is there.
    fn request_line_read(&mut self, searched: usize, call: &Call, out: &mut dyn Observer) {
        if self.requests.line || self.requests.candidate {
            return;
        }
        let half = &self.requests;
        let ended = memchr::memchr(b'\n', half.head.get(searched..).unwrap_or_default()).is_some();
        let parsed = if ended {
            head::split_line(&half.head).and_then(|(line, _)| head::request_line(line))
        } else if detect::http1_request(&half.head) != Detection::No {
            return;
        } else {
            None
        };
        match parsed.map(|line| Method::of(line.method)) {
            Some(method) => {
                self.requests.line = true;
                self.start_request(method, out);
            }
            None => self.malformed_request(call, out),
        }
    }

    fn request_complete(&mut self, bytes: &[u8], call: &Call, out: &mut dyn Observer) {
        let parsed = head::split_line(bytes).and_then(|(line, rest)| Some((head::request_line(line)?, rest)));
        let Some((line, block)) = parsed else { return self.no_request(call, out) };
        let block = head::unfold(block);
        let fields = head::fields(&block);
        let method = Method::of(line.method);
        let body = if method == Method::Connect { Ok(None) } else { fields.request_body() };
        // RFC 9112, 3.2: a target has no blanks, and every HTTP/1.1 request has a Host.
        let flawless = !fields.invalid
            && body.is_ok()
            && !line.target.contains(&b' ')
            && (fields.host || line.version == Version::Http10);
        if self.requests.candidate && !flawless {
            return self.no_request(call, out);
        }
        if !self.requests.line {
            self.start_request(method, out);
        }
        self.report_request(Some(line), None, &fields, false, call, out);
        self.requests.gapped = false;
        // RFC 9110, 7.8 and 9.3.6: what follows is for the response to decide.
        let switches = method == Method::Connect || fields.upgrade;
        self.expect_messages(fields.content);
        match body {
            Err(head::Faulty) => self.malformed_request(call, out),
            Ok(None) => self.request_ended(switches, call, out),
            Ok(Some(body)) => {
                self.requests.switches = switches;
                self.requests.state = State::Body(body);
            }
        }
    }

    /// Takes an input from `read` on.
    fn request_body(
        &mut self,
        mut body: Body,
        input: &Bytes<'_>,
        read: usize,
        out: &mut dyn Observer,
    ) -> usize {
        let (bytes, call) = (input.bytes.get(read..).unwrap_or_default(), &input.call);
        let position = input.position.saturating_add(read as u64);
        let half = &mut self.requests;
        let progress = body.take(bytes, |offset, content| {
            half.pass(input.direction, position.saturating_add(offset), content, out);
        });
        self.requests.content = self.requests.content.saturating_add(progress.content);
        self.requests.state = State::Body(body);
        match progress.outcome {
            Outcome::More => {}
            Outcome::Complete => self.request_ended(self.requests.switches, call, out),
            Outcome::Broken => self.malformed_request(call, out),
        }
        usize::try_from(progress.used).unwrap_or(bytes.len())
    }

    fn request_ended(&mut self, switches: bool, call: &Call, out: &mut dyn Observer) {
        let content = std::mem::take(&mut self.requests.content);
        self.requests.state = State::Head;
        self.requests.switches = false;
        let current = self.current.take();
        self.keep_messages(current);
        self.requests.messages = None;
        if let Some(number) = current {
            out.request_ended(number, content, call);
        }
        if switches {
            if self.open.back().is_some_and(|exchange| exchange.number == current && current.is_some()) {
                self.paused = true;
            } else if current.is_none() {
                // Nobody will see the answer.
                self.lose_requests(call.exit);
            }
        }
    }

    /// A request begins; its first byte's call and position stand in the half.
    fn start_request(&mut self, method: Method, out: &mut dyn Observer) {
        let Some(first) = self.requests.first else { return };
        let start = self.moved(&first);
        let time = first.exit;
        if self.open.len() >= limit::PIPELINE_MAX {
            out.count(Counter::ExchangesEvicted, self.open.len() as u64);
            self.end_open(Ending::Unseen(Unseen::Evicted), time, out);
            self.pairs = false;
        }
        // The response was given up, or lost, before its request was recorded.
        let given_up = self.unpaired > 0 && start <= self.unpaired_until;
        self.unpaired = if given_up { self.unpaired.saturating_sub(1) } else { 0 };
        let late = given_up || start <= self.lost_until;
        let number = self.next;
        self.next = number.wrapping_add(1);
        self.spoken = true;
        self.current = Some(number);
        out.request_started(number, self.side, self.requests.position, &first);
        if !late && self.pairs {
            self.open.push_back(Exchange {
                number: Some(number),
                method,
                start,
                head_reported: false,
                tentative: self.requests.candidate && self.permit == Permit::Tentative,
                lost: false,
                call: None,
            });
        }
    }

    fn report_request(
        &mut self,
        line: Option<RequestLine<'_>>,
        cut: Option<(&[u8], &[u8], bool)>,
        fields: &Fields<'_>,
        incomplete: bool,
        call: &Call,
        out: &mut dyn Observer,
    ) {
        let Some(number) = self.current else { return };
        let target = line.map(|line| line.target).or(cut.map(|(_, target, _)| target));
        out.request_head(
            number,
            &RequestHead {
                version: line.map_or(Version::Http11, |line| line.version),
                method: line.map(|line| line.method).or(cut.map(|(method, ..)| method)),
                target: target.map(|target| target.get(..limit::TARGET_MAX).unwrap_or(target)),
                target_truncated: cut.is_some_and(|(_, _, truncated)| truncated)
                    || target.is_some_and(|target| target.len() > limit::TARGET_MAX),
                authority: None,
                scheme: None,
                fields: &fields.list,
                fields_incomplete: incomplete || fields.incomplete,
                call: *call,
            },
        );
        match self.open.back_mut() {
            Some(exchange) if exchange.number == Some(number) => exchange.head_reported = true,
            // Its response is lost or cannot be told from others.
            _ => {
                out.ended(number, Ending::Gap, call.exit);
                self.current = None;
            }
        }
    }

    /// The rest of the head is not to be had: reports what is known, and loses the framing.
    pub(super) fn cut_request(&mut self, call: &Call, out: &mut dyn Observer) {
        if self.done {
            return;
        }
        let bytes = std::mem::take(&mut self.requests.head);
        if self.requests.line {
            let (line, block) = head::split_line(&bytes).unwrap_or_default();
            let block = head::unfold(block);
            self.report_request(head::request_line(line), None, &head::fields(&block), true, call, out);
        } else if !self.requests.candidate
            && let Some(cut) = head::cut_request_line(&bytes)
        {
            self.start_request(Method::of(cut.0), out);
            self.report_request(None, Some(cut), &Fields::default(), true, call, out);
        }
        let current = self.current.take();
        if let Some(exchange) = self.open.back_mut().filter(|exchange| exchange.number == current) {
            exchange.lost = true;
        }
        self.lose_requests(call.exit);
    }

    /// Where the next request begins is not known; what hides it was moved by this time.
    fn lose_requests(&mut self, time: Time) {
        self.requests.lose(true);
        self.requests.content = 0;
        self.permit = Permit::Response;
        self.discarded = self.discarded.max(time);
        self.unpaired = 0;
    }

    pub(super) fn request_gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if let Some(upgraded) = &mut self.upgraded {
            return upgraded.gap(gap, out);
        }
        let call = self.requests.gap_call(gap);
        self.requests.last = Some(call);
        let mut length = gap.length;
        if let State::Body(mut body) = self.requests.state {
            let progress = body.gap(length);
            self.requests.pass_gap(gap, progress.content, out);
            self.requests.state = State::Body(body);
            out.count(Counter::BodyGapBytes, progress.used);
            length = length.saturating_sub(progress.used);
            if progress.outcome == Outcome::Complete {
                self.request_ended(self.requests.switches, &call, out);
            }
        }
        if length == 0 {
            return;
        }
        out.count(Counter::Gaps, 1);
        out.count(Counter::GapBytes, length);
        match self.requests.state {
            State::Head if !self.requests.head.is_empty() => self.cut_request(&call, out),
            State::Body(_) => {
                self.end_current(Ending::Gap, call.exit, out);
                self.lose_requests(call.exit);
            }
            State::Head | State::Lost => self.lose_requests(call.exit),
        }
    }

    /// The earliest time at which the bytes of a call of requests were moved.
    fn moved(&self, call: &Call) -> Time {
        match self.side.requests() {
            // What is read is there when the call returns, however long it waited.
            Direction::Received => call.exit,
            Direction::Sent => call.enter,
        }
    }
}
