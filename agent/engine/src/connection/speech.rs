//! What a connection speaks: undecided, a protocol, or nothing of interest.
//!
//! A connection seen from its opening is judged by its first bytes, behind a PROXY protocol preamble if there
//! is one. An older one whose role is not known is judged by the first message start at the start of a call, or
//! by a chain of frames; one whose role is known is taken for HTTP/1 until frames are found.

use super::{
    suspicion::Suspicion,
    undecided::{Judgement, LINE_MAX, PREFIX_MAX, Undecided, side_of},
};
use crate::{
    counter::Counter,
    event::{Direction, How, Role, Time},
    protocol::{
        Bytes, Gap, Observer, Protocol, Side, Unseen, held::Piece, http1::Http1, http2::Http2, proxy::Proxied,
    },
    stream::Sink,
};

/// See the module.
#[derive(Debug)]
pub(super) struct Speech {
    state: State,
    side: Option<Side>,
    proxied: Option<Box<Proxied>>,
    /// It may be HTTP/2, joined in the middle.
    suspicion: Option<Box<Suspicion>>,
}

enum State {
    Undecided(Box<Undecided>),
    Speaking(Box<dyn Protocol>),
    Ignored,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Undecided(_) => "Undecided",
            Self::Speaking(_) => "Speaking",
            Self::Ignored => "Ignored",
        })
    }
}

/// Hands what a stream delivers to the speech.
pub(super) struct Delivery<'a> {
    pub(super) speech: &'a mut Speech,
    pub(super) out: &'a mut dyn Observer,
}

impl Sink for Delivery<'_> {
    fn bytes(&mut self, input: &Bytes<'_>) {
        self.speech.bytes(input, self.out);
    }

    fn gap(&mut self, gap: &Gap) {
        self.speech.gap(gap, self.out);
    }

    fn absorbs(&self, direction: Direction, position: u64, length: u64) -> bool {
        self.speech.absorbs(direction, position, length)
    }

    fn count(&mut self, counter: Counter, amount: u64) {
        self.out.count(counter, amount);
    }
}

impl Speech {
    pub(super) fn new(role: Role, from_opening: bool) -> Self {
        let suspicion = (!from_opening).then(|| Box::new(Suspicion::new(side_of(role))));
        let mut speech = Self { state: State::Ignored, side: None, proxied: None, suspicion };
        speech.state = match side_of(role) {
            Some(side) if !from_opening => {
                speech.side = Some(side);
                State::Speaking(Box::new(Http1::from_middle(side)))
            }
            _ => State::Undecided(Box::new(Undecided::new(role, from_opening))),
        };
        speech
    }

    pub(super) fn is_ignored(&self) -> bool {
        matches!(self.state, State::Ignored)
    }

    pub(super) fn side(&self) -> Option<Side> {
        self.side
    }

    pub(super) fn proxied(&self) -> Option<&Proxied> {
        self.proxied.as_deref()
    }

    pub(super) fn role_known(&mut self, role: Role, out: &mut dyn Observer) {
        let State::Undecided(undecided) = &mut self.state else { return };
        undecided.role = role;
        let Some(side) = side_of(role) else { return };
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.side_known(side);
        }
        if !undecided.from_opening {
            self.speak(Http1::from_middle(side), out);
        }
    }

    pub(super) fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        if let Some(suspicion) = &mut self.suspicion
            && let Some((protocol, skip)) = suspicion.bytes(input, out)
        {
            self.side = Some(protocol.side());
            self.suspicion = None;
            self.state = State::Speaking(Box::new(protocol));
            let rest = input.bytes.len().saturating_sub(skip) as u64;
            return self.bytes(&input.last(rest), out);
        }
        self.suspicion.take_if(|suspicion| suspicion.is_over());
        match &mut self.state {
            State::Speaking(protocol) => {
                protocol.bytes(input, out);
                if self.suspicion.is_some() && protocol.has_spoken() {
                    self.suspicion = None;
                }
                self.forget_done();
            }
            State::Undecided(_) => self.judge(input, out),
            State::Ignored => {}
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
        if let Some(suspicion) = &mut self.suspicion {
            suspicion.gap(gap);
        }
        match &mut self.state {
            State::Speaking(protocol) => {
                protocol.gap(gap, out);
                self.forget_done();
            }
            State::Undecided(undecided) => {
                let mut gap = *gap;
                if let Some(rest) = undecided.preamble_takes(gap.direction, gap.length) {
                    gap.position = gap.position.saturating_add(gap.length.saturating_sub(rest));
                    gap.length = rest;
                }
                if gap.length == 0 {
                    return;
                }
                // Half a preface of HTTP/2 is no request.
                if undecided.held.prefix(gap.direction, PREFIX_MAX).starts_with(b"PRI *") {
                    undecided.discard(gap.direction);
                }
                let side = side_of(undecided.role);
                if undecided.from_opening {
                    self.suspicion = Some(Box::new(Suspicion::new(side)));
                }
                match side {
                    Some(side) if undecided.from_opening => {
                        self.speak(Http1::from_opening(side), out);
                        self.gap(&gap, out);
                    }
                    _ => {
                        undecided.discard(gap.direction);
                        undecided.from_opening = false;
                    }
                }
            }
            State::Ignored => {}
        }
    }

    pub(super) fn end(&mut self, direction: Option<Direction>, how: How, time: Time, out: &mut dyn Observer) {
        if let State::Speaking(protocol) = &mut self.state {
            protocol.end(direction, how, time, out);
            self.forget_done();
        }
    }

    pub(super) fn timeout(&mut self, now: Time, out: &mut dyn Observer) {
        if let State::Speaking(protocol) = &mut self.state {
            protocol.timeout(now, out);
            self.forget_done();
        }
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        match &self.state {
            State::Speaking(protocol) => protocol.deadline(),
            State::Undecided(_) | State::Ignored => None,
        }
    }

    pub(super) fn finish(&mut self, why: Unseen, time: Time, out: &mut dyn Observer) {
        if let State::Speaking(protocol) = &mut self.state {
            protocol.finish(why, time, out);
        }
        self.state = State::Ignored;
    }

    pub(super) fn absorbs(&self, direction: Direction, position: u64, length: u64) -> bool {
        match &self.state {
            State::Speaking(protocol) => protocol.absorbs(direction, position, length),
            State::Undecided(_) => false,
            State::Ignored => true,
        }
    }

    fn forget_done(&mut self) {
        if matches!(&self.state, State::Speaking(protocol) if protocol.is_done()) {
            self.state = State::Ignored;
        }
    }

    /// Decides, if the bytes allow it, and hands them and those that waited to the protocol.
    fn judge(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        let State::Undecided(undecided) = &mut self.state else { return };
        let mut input = *input;
        if let Some(rest) = undecided.preamble_takes(input.direction, input.bytes.len() as u64) {
            input = input.last(rest);
        }
        if !undecided.from_opening && !undecided.is_start(&input) {
            return;
        }
        let direction = input.direction;
        loop {
            if input.bytes.is_empty() && undecided.held.is_empty() {
                return;
            }
            let judgement = if undecided.held.is_empty() {
                undecided.judgement(direction, input.bytes)
            } else {
                if !input.bytes.is_empty() {
                    let goes_on = undecided.goes_on(input.bytes);
                    undecided.hold(&input);
                    if goes_on && !undecided.from_opening {
                        return;
                    }
                    input.bytes = &[];
                }
                let length = if undecided.from_opening { PREFIX_MAX } else { LINE_MAX };
                let prefix = undecided.held.prefix(direction, length);
                if prefix.is_empty() {
                    return;
                }
                undecided.judgement(direction, &prefix)
            };
            match judgement {
                Judgement::NeedMore => {
                    if !input.bytes.is_empty() {
                        undecided.hold(&input);
                    }
                    return;
                }
                Judgement::Preamble(length, proxied) => {
                    self.proxied = proxied.map(Box::new);
                    let held = (input.bytes.len() as u64).min(length);
                    input = input.last((input.bytes.len() as u64).saturating_sub(held));
                    let missing = undecided.held.strip(direction, length.saturating_sub(held));
                    undecided.preamble = (missing > 0).then_some((direction, missing));
                }
                Judgement::Http1(side) => {
                    let protocol = if undecided.from_opening {
                        Http1::from_opening(side)
                    } else {
                        Http1::from_middle(side)
                    };
                    self.speak(protocol, out);
                    if !input.bytes.is_empty() {
                        self.bytes(&input, out);
                    }
                    return;
                }
                Judgement::Http2(side) => {
                    self.suspicion = None;
                    self.speak(Http2::from_opening(side), out);
                    if !input.bytes.is_empty() {
                        self.bytes(&input, out);
                    }
                    return;
                }
                Judgement::Nothing if undecided.from_opening => {
                    return self.ignore(Counter::ConnectionsIgnored, out);
                }
                Judgement::Nothing => {
                    undecided.discard(direction);
                    return;
                }
            }
        }
    }

    /// From here on this protocol is spoken; it gets what waited.
    fn speak(&mut self, protocol: impl Protocol + 'static, out: &mut dyn Observer) {
        self.side = Some(protocol.side());
        let before = std::mem::replace(&mut self.state, State::Speaking(Box::new(protocol)));
        let State::Undecided(mut undecided) = before else { return };
        while let Some(piece) = undecided.held.pop() {
            match &piece {
                Piece::Bytes(owned) if owned.len() > 0 => self.bytes(&owned.borrowed(), out),
                Piece::Bytes(_) => {}
                Piece::Gap(gap) => self.gap(gap, out),
            }
        }
    }

    fn ignore(&mut self, counter: Counter, out: &mut dyn Observer) {
        out.count(counter, 1);
        out.ignore();
        self.state = State::Ignored;
    }
}
