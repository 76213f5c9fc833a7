//! What a connection speaks: undecided, a protocol, or nothing of interest.
//!
//! A connection seen from its opening is judged by its first bytes, behind a PROXY protocol preamble if there
//! is one. An older one whose role is not known is judged by the first message start at the start of a call.

use crate::{
    counter::Counter,
    event::{Direction, How, Role, Time},
    protocol::{
        Bytes, Gap, Observer, Protocol, Side, Unseen,
        detect::{self, Detection, Spoken},
        held::{Held, Piece},
        http1::Http1,
        proxy::{self, Preamble, Proxied},
    },
    stream::Sink,
};

/// First bytes that are looked at: a preamble of version 1, or blank lines, a method and a blank.
const PREFIX_MAX: usize = 128;
/// The same for an older connection: a whole request line.
const LINE_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Speech {
    state: State,
    side: Option<Side>,
    proxied: Option<Box<Proxied>>,
}

enum State {
    Undecided(Box<Undecided>),
    Speaking(Box<dyn Protocol>),
    Ignored,
}

#[derive(Debug)]
struct Undecided {
    role: Role,
    from_opening: bool,
    /// Bytes that may begin a message.
    held: Held,
    /// The preamble was looked for, in each direction.
    judged: [bool; 2],
    /// Bytes of a preamble that are to come.
    preamble: Option<(Direction, u64)>,
    /// Where bytes that begin nothing were moved last: they may be content that goes on.
    discarded: Option<Direction>,
}

/// What the first bytes of a direction are.
enum Judgement {
    NeedMore,
    Preamble(u64, Option<Proxied>),
    /// HTTP/1, with the traced process at this end.
    Http1(Side),
    Http2,
    Nothing,
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
        let mut speech = Self { state: State::Ignored, side: None, proxied: None };
        speech.state = match side_of(role) {
            Some(side) if !from_opening => {
                speech.side = Some(side);
                State::Speaking(Box::new(Http1::from_middle(side)))
            }
            _ => State::Undecided(Box::new(Undecided {
                role,
                from_opening,
                held: Held::default(),
                judged: [false; 2],
                preamble: None,
                discarded: None,
            })),
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
        if let Some(side) = side_of(role)
            && !undecided.from_opening
        {
            self.speak(Http1::from_middle(side), out);
        }
    }

    pub(super) fn bytes(&mut self, input: &Bytes<'_>, out: &mut dyn Observer) {
        match &mut self.state {
            State::Speaking(protocol) => {
                protocol.bytes(input, out);
                self.forget_done();
            }
            State::Undecided(_) => self.judge(input, out),
            State::Ignored => {}
        }
    }

    pub(super) fn gap(&mut self, gap: &Gap, out: &mut dyn Observer) {
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
                match side_of(undecided.role) {
                    Some(side) if undecided.from_opening => {
                        self.speak(Http1::from_opening(side), out);
                        self.gap(&gap, out);
                    }
                    _ => {
                        undecided.held.clear();
                        undecided.from_opening = false;
                        undecided.discarded = Some(gap.direction);
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
            input = tail(&input, rest);
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
                    undecided.held.push(&input, input.bytes.len());
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
                        undecided.held.push(&input, input.bytes.len());
                    }
                    return;
                }
                Judgement::Preamble(length, proxied) => {
                    self.proxied = proxied.map(Box::new);
                    let held = (input.bytes.len() as u64).min(length);
                    input = tail(&input, (input.bytes.len() as u64).saturating_sub(held));
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
                Judgement::Http2 => return self.ignore(Counter::Http2Ignored, out),
                Judgement::Nothing if undecided.from_opening => {
                    return self.ignore(Counter::ConnectionsIgnored, out);
                }
                Judgement::Nothing => {
                    undecided.held.clear();
                    undecided.discarded = Some(direction);
                    return;
                }
            }
        }
    }

    /// From here on this protocol is spoken; it gets what waited.
    fn speak(&mut self, protocol: Http1, out: &mut dyn Observer) {
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

impl Undecided {
    /// Takes what belongs to the preamble out of so many bytes; returns how many do not, if one is running.
    fn preamble_takes(&mut self, direction: Direction, length: u64) -> Option<u64> {
        let (_, left) = self.preamble.filter(|(of, _)| *of == direction)?;
        let taken = left.min(length);
        self.preamble = Some((direction, left.saturating_sub(taken))).filter(|(_, left)| *left > 0);
        Some(length.saturating_sub(taken))
    }

    /// An older connection: may these bytes be the start of a message, or go on with one?
    fn is_start(&mut self, input: &Bytes<'_>) -> bool {
        if self.held.prefix(input.direction.opposite(), 1).is_empty() {
            if input.call_start || !self.held.is_empty() {
                return true;
            }
        } else {
            // Nobody answers half a line: it was the end of something else.
            self.held.clear();
            if input.call_start {
                return true;
            }
        }
        self.discarded = Some(input.direction);
        false
    }

    fn judgement(&mut self, direction: Direction, bytes: &[u8]) -> Judgement {
        let requests = side_of(self.role).is_none_or(|side| side.requests() == direction);
        let responses = side_of(self.role).is_none_or(|side| side.requests() != direction);
        let mut more = false;
        if requests && self.from_opening {
            let [received, sent] = &mut self.judged;
            let judged = if direction == Direction::Received { received } else { sent };
            if !*judged {
                match proxy::preamble(bytes) {
                    Preamble::NeedMore => return Judgement::NeedMore,
                    Preamble::Yes { length, proxied } => {
                        *judged = true;
                        return Judgement::Preamble(length, proxied);
                    }
                    Preamble::No => *judged = true,
                }
            }
        }
        if requests && (self.from_opening || self.discarded != Some(direction)) {
            match detect::requests(bytes) {
                Detection::Yes(Spoken::Http2) => return Judgement::Http2,
                Detection::Yes(Spoken::Http1) => match self.is_request_line(bytes) {
                    Some(true) => return Judgement::Http1(serving(direction)),
                    Some(false) => {}
                    None => more = true,
                },
                Detection::NeedMore => more = true,
                Detection::No => {}
            }
        }
        if responses {
            match detect::http1_response(bytes) {
                Detection::Yes(_) => return Judgement::Http1(serving(direction.opposite())),
                Detection::NeedMore => more = true,
                Detection::No => {}
            }
        }
        if more { Judgement::NeedMore } else { Judgement::Nothing }
    }

    /// An older connection must show a whole request line; `None` while its end is not there.
    fn is_request_line(&self, bytes: &[u8]) -> Option<bool> {
        if self.from_opening {
            return Some(true);
        }
        let line = bytes.trim_ascii_start();
        match memchr::memchr(b'\n', line) {
            Some(end) => {
                let line = line.get(..end).unwrap_or_default().trim_ascii_end();
                let word = line.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
                Some(word.starts_with(b"HTTP/1."))
            }
            None if bytes.len() >= LINE_MAX => Some(false),
            None => None,
        }
    }
}

/// The last `rest` bytes of an input.
fn tail<'a>(input: &Bytes<'a>, rest: u64) -> Bytes<'a> {
    let cut = (input.bytes.len() as u64).saturating_sub(rest);
    Bytes {
        position: input.position.saturating_add(cut),
        bytes: usize::try_from(cut).ok().and_then(|cut| input.bytes.get(cut..)).unwrap_or_default(),
        call_start: input.call_start && cut == 0,
        ..*input
    }
}

fn side_of(role: Role) -> Option<Side> {
    match role {
        Role::Connected => Some(Side::Client),
        Role::Accepted => Some(Side::Server),
        Role::Unknown => None,
    }
}

/// The side whose requests go in this direction.
fn serving(requests: Direction) -> Side {
    match requests {
        Direction::Received => Side::Server,
        Direction::Sent => Side::Client,
    }
}
