//! The direction that carries responses.

use super::{
    Http1, Permit,
    body::{Body, Outcome},
    half::{Gathered, State},
    head::{self, Method},
};
use crate::{
    Of,
    counter::Counter,
    event::Call,
    protocol::{
        Bytes, Ending, Gap, Observer, Protocol, ResponseHead,
        detect::{self, Detection},
        http2::{Http2, grpc::Messages},
    },
};

/// Which request does a response that begins now answer?
enum Pairing {
    /// The first that is open.
    Front,
    /// One that may be recorded yet.
    Wait,
    /// One that was not seen.
    Unpaired,
}

impl Http1 {
    /// Takes bytes. `Some`: so many at their end have to wait.
    pub(super) fn response_bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) -> Option<usize> {
        if let Some(upgraded) = &mut self.upgraded {
            upgraded.bytes(input, out);
            return None;
        }
        let call = &input.call;
        if self.requests.candidate
            && let Some(request) = self.requests.last.filter(|request| request.exit <= call.enter)
        {
            // Nobody answers half a head: it was the end of something else.
            self.requests.lose(false);
            self.discard(&request);
        }
        if self.permit == Permit::Turn && call.exit >= self.discarded {
            self.permit = Permit::Now;
        }
        let mut rest = input.bytes;
        while !rest.is_empty() && !self.done && self.pairs {
            let read = input.bytes.len().saturating_sub(rest.len());
            let used = match self.responses.state {
                State::Head if self.responses.first.is_none() => {
                    // Some servers send an empty line behind a body.
                    let blanks = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                    if blanks == 0 {
                        if detect::http1_response(rest) == Detection::No {
                            self.no_response(call, out);
                            return None;
                        }
                        match self.pairing(call) {
                            Pairing::Wait => return Some(rest.len()),
                            Pairing::Unpaired => self.expect_unpaired(out),
                            Pairing::Front => {}
                        }
                        self.responses.first = Some(*call);
                    }
                    blanks
                }
                State::Head => self.response_head(rest, call, out),
                State::Body(body) => self.response_body(body, input, read, out),
                State::Lost => {
                    if read != 0 || !input.call_start || detect::http1_response(rest) == Detection::No {
                        break;
                    }
                    if self.responses.gapped {
                        self.narrow(call, out);
                    }
                    match self.pairing(call) {
                        Pairing::Wait => return Some(rest.len()),
                        // Of no use, and it may be the content of a response whose head is lost.
                        Pairing::Unpaired if self.requests.state != State::Lost => break,
                        Pairing::Unpaired => self.expect_unpaired(out),
                        Pairing::Front => {}
                    }
                    self.responses.first = Some(*call);
                    self.responses.candidate = true;
                    self.responses.state = State::Head;
                    0
                }
            };
            self.responses.last = Some(*call);
            rest = rest.get(used..).unwrap_or_default();
            if let Some(upgraded) = &mut self.upgraded {
                let read = input.bytes.len().saturating_sub(rest.len()) as u64;
                let position = input.position.saturating_add(read);
                out.excerpt(input.direction, position, &[], Of::Upgrade);
                if !rest.is_empty() {
                    upgraded.bytes(&Bytes { position, bytes: rest, call_start: false, ..*input }, out);
                }
                return None;
            }
        }
        let end = input.position.saturating_add(input.bytes.len() as u64);
        self.responses.tell_skip(input.direction, end, out);
        None
    }

    fn pairing(&self, call: &Call) -> Pairing {
        match self.open.front() {
            // A response is not moved before its request.
            Some(exchange) if exchange.start > call.exit => Pairing::Unpaired,
            Some(exchange) if exchange.head_reported => Pairing::Front,
            Some(_) => Pairing::Wait,
            None if self.requests.state == State::Lost && self.permit == Permit::Response => {
                Pairing::Unpaired
            }
            None => Pairing::Wait,
        }
    }

    fn response_head(&mut self, bytes: &[u8], call: &Call, out: &mut dyn Observer) -> usize {
        if self.responses.head.is_empty()
            && let Ok(end) = head::find_end(bytes, 0)
        {
            self.response_head_complete(bytes.get(..end).unwrap_or_default(), call, out);
            return end;
        }
        match self.responses.gather(bytes) {
            Gathered::Complete(used) => {
                let buffer = std::mem::take(&mut self.responses.head);
                self.response_head_complete(&buffer, call, out);
                self.responses.reset(buffer);
                used
            }
            Gathered::NeedMore => {
                if detect::http1_response(&self.responses.head) == Detection::No {
                    self.no_response(call, out);
                }
                bytes.len()
            }
            Gathered::TooLong => {
                out.count(Counter::HeadTooLong, 1);
                self.lose_responses(Ending::Gap, call, out);
                bytes.len()
            }
        }
    }

    fn no_response(&mut self, call: &Call, out: &mut dyn Observer) {
        if self.responses.candidate {
            self.responses.lose(false);
        } else if !self.malformed(out) {
            self.lose_responses(Ending::Malformed, call, out);
        }
    }

    fn response_head_complete(&mut self, bytes: &[u8], call: &Call, out: &mut dyn Observer) {
        let parsed = head::split_line(bytes).and_then(|(line, rest)| Some((head::status_line(line)?, rest)));
        let Some((line, block)) = parsed else { return self.no_response(call, out) };
        let first = self.responses.first.take().unwrap_or(*call);
        let block = head::unfold(block);
        let fields = head::fields(&block);
        let second = self.open.get(1).map(|exchange| exchange.start);
        let is_last = self.open.len() == 1;
        let Some(exchange) = self.open.front_mut() else { return };
        let method = exchange.method;
        let call_of = exchange.call.as_ref().map(|call| call.content);
        self.responses.candidate = false;
        self.responses.gapped = false;
        self.responses.state = State::Head;
        exchange.tentative = false;
        // RFC 9110, 15.2: interim responses, any number of them; 101 is the last of its exchange.
        if matches!(line.status, 100..=199) && line.status != 101 {
            match exchange.number {
                Some(number) => out.informational(number, line.status, call),
                // A request that was not seen is still being sent.
                None if matches!(self.permit, Permit::Now | Permit::Turn) => self.permit = Permit::Response,
                None => {}
            }
            return;
        }
        // RFC 7540, 3.2: the response to the request comes on stream 1.
        if line.status == 101
            && is_last
            && self.paused
            && let Some(number) = exchange.number
            && fields
                .list
                .iter()
                .any(|field| field.name.eq_ignore_ascii_case(b"upgrade") && is_h2c(field.value))
        {
            out.informational(number, line.status, call);
            self.open.clear();
            self.paused = false;
            self.upgraded = Some(Box::new(Http2::upgraded(self.side, number)));
            return;
        }
        // The next request was sent before this response: the client does not wait.
        self.pipelines |= second.is_some_and(|start| start < first.enter);
        if let Some(number) = exchange.number {
            let status = Some(line.status);
            out.response_started(number, &first);
            out.response_head(
                number,
                &ResponseHead {
                    version: line.version,
                    status,
                    fields: &fields.list,
                    fields_incomplete: fields.incomplete,
                    call: *call,
                },
            );
        }
        // RFC 9110, 15.2.2 and 9.3.6: from here the connection is something else.
        if line.status == 101 || (method == Method::Connect && matches!(line.status, 200..=299)) {
            self.end_open(Ending::Upgraded, call.exit, out);
            return self.stop(out);
        }
        self.paused &= !is_last;
        self.responses.messages = call_of.map(|of| Messages::of(fields.content.unwrap_or(of)));
        match fields.response_body(line.status, method) {
            Err(head::Faulty) => self.no_response(call, out),
            Ok(None) => self.response_complete(call, out),
            Ok(Some(body)) => self.responses.state = State::Body(body),
        }
    }

    /// Takes an input from `read` on.
    fn response_body(
        &mut self,
        mut body: Body,
        input: &Bytes<'_>,
        read: usize,
        out: &mut dyn Observer,
    ) -> usize {
        let (bytes, call) = (input.bytes.get(read..).unwrap_or_default(), &input.call);
        // The response to a request that was not seen: if that was HEAD, the next response follows here.
        if read == 0
            && input.call_start
            && self.responses.content == 0
            && self.open.front().is_some_and(|exchange| exchange.method == Method::Unknown)
            && detect::http1_response(bytes) != Detection::No
        {
            self.response_complete(call, out);
            return 0;
        }
        let position = input.position.saturating_add(read as u64);
        let half = &mut self.responses;
        let progress = body.take(bytes, |offset, content| {
            half.pass(input.direction, position.saturating_add(offset), content, out);
        });
        self.responses.content = self.responses.content.saturating_add(progress.content);
        self.responses.state = State::Body(body);
        match progress.outcome {
            Outcome::More => {}
            Outcome::Complete => self.response_complete(call, out),
            Outcome::Broken => self.no_response(call, out),
        }
        usize::try_from(progress.used).unwrap_or(bytes.len())
    }

    pub(super) fn response_complete(&mut self, call: &Call, out: &mut dyn Observer) {
        let content = std::mem::take(&mut self.responses.content);
        self.responses.state = State::Head;
        self.answered = self.answered.max(call.exit);
        let exchange = self.open.pop_front();
        let messages = self.responses.messages.take();
        if let Some(exchange) = &exchange
            && let Some(number) = exchange.number
        {
            exchange.tell_messages(number, messages, out);
            out.response_ended(number, content, call);
        }
        // Bytes that were lost or discarded after this response belong to something that it does not answer,
        // and of a client that pipelines nobody knows how many responses are to come.
        if self.permit == Permit::Response
            && self.requests.state == State::Lost
            && self.open.is_empty()
            && !self.pipelines
            && exchange.is_none_or(|exchange| exchange.lost)
            && self.discarded <= call.exit
        {
            self.permit = Permit::Tentative;
        }
    }

    pub(super) fn response_gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if let Some(upgraded) = &mut self.upgraded {
            return upgraded.gap(gap, out);
        }
        let call = self.responses.gap_call(gap);
        let mut length = gap.length;
        if let State::Body(mut body) = self.responses.state {
            let progress = body.gap(length);
            self.responses.pass_gap(gap, progress.content, out);
            self.responses.state = State::Body(body);
            self.responses.last = Some(call);
            out.count(Counter::BodyGapBytes, progress.used);
            length = length.saturating_sub(progress.used);
            if progress.outcome == Outcome::Complete {
                self.response_complete(&call, out);
            }
        }
        if length == 0 {
            return;
        }
        out.count(Counter::Gaps, 1);
        out.count(Counter::GapBytes, length);
        self.report_cut_response(out);
        self.lose_responses(Ending::Gap, &call, out);
    }

    /// The status line of a head that is cut is known all the same.
    fn report_cut_response(&mut self, out: &mut dyn Observer) {
        let half = &self.responses;
        let Some((line, block)) = head::split_line(&half.head) else { return };
        let (Some(line), Some(first), Some(call)) = (head::status_line(line), half.first, half.last) else {
            return;
        };
        if let Some(exchange) = self.open.front_mut()
            && let Some(number) = exchange.number
            && !half.candidate
            && !matches!(line.status, 100..=199)
        {
            exchange.tentative = false;
            let block = head::unfold(block);
            let fields = head::fields(&block);
            let status = Some(line.status);
            out.response_started(number, &first);
            out.response_head(
                number,
                &ResponseHead {
                    version: line.version,
                    status,
                    fields: &fields.list,
                    fields_incomplete: true,
                    call,
                },
            );
        }
    }

    /// The framing is lost, and with it which of the open requests have been answered.
    fn lose_responses(&mut self, ending: Ending, call: &Call, out: &mut dyn Observer) {
        self.responses.lose(true);
        self.responses.content = 0;
        self.lost_until = self.lost_until.max(call.exit);
        let asked = self.asked_before(call);
        if self.pipelines || asked == self.open.len() {
            self.cut_started(call.exit, out);
        }
        if self.pipelines {
            // One of many is answered next, and nobody can say which.
            self.pairs &= self.open.is_empty();
            self.end_open(ending, call.exit, out);
        } else {
            // A client that does not pipeline sends its next request when it has the whole response: what
            // answers a request that is sent from now on begins with a head, and nothing before does for sure.
            self.end_first(asked, ending, call.exit, out);
        }
        if self.paused && self.open.is_empty() {
            // What follows CONNECT or Upgrade was decided in the gap.
            self.stop(out);
        }
    }

    /// Behind a gap a response begins. Of several requests that it may answer it answers none for sure.
    fn narrow(&mut self, call: &Call, out: &mut dyn Observer) {
        let asked = self.asked_before(call);
        if asked > 1 {
            self.pairs &= !self.pipelines;
            self.end_first(asked, Ending::Gap, call.exit, out);
        }
    }

    /// How many of the open requests were sent before the end of this call.
    fn asked_before(&self, call: &Call) -> usize {
        self.open.iter().take_while(|exchange| exchange.start <= call.exit).count()
    }
}

/// Is this protocol HTTP/2 without TLS (RFC 7540, 3.1)?
fn is_h2c(value: &[u8]) -> bool {
    value.split(|byte| *byte == b',').any(|name| name.trim_ascii().eq_ignore_ascii_case(b"h2c"))
}
