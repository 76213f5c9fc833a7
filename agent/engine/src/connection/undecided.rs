//! A connection of which it is not known yet what it speaks.

use crate::{
    event::{Direction, Role},
    protocol::{
        Bytes, Side,
        detect::{self, Detection, Spoken},
        held::Held,
        proxy::{self, Preamble, Proxied},
    },
};

/// First bytes that are looked at: a preamble of version 1, or blank lines, a method and a blank.
pub(super) const PREFIX_MAX: usize = 128;
/// The same for an older connection: a whole request line.
pub(super) const LINE_MAX: usize = 16 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Undecided {
    pub(super) role: Role,
    pub(super) from_opening: bool,
    /// Bytes that may begin a message.
    pub(super) held: Held,
    /// How many, and of which direction they were last.
    gathered: usize,
    waiting: Option<Direction>,
    /// The preamble was looked for, in each direction.
    pub(super) judged: [bool; 2],
    /// Bytes of a preamble that are to come.
    pub(super) preamble: Option<(Direction, u64)>,
    /// Where bytes that begin nothing were moved last: they may be content that goes on.
    pub(super) discarded: Option<Direction>,
}

/// What the first bytes of a direction are.
pub(super) enum Judgement {
    NeedMore,
    Preamble(u64, Option<Proxied>),
    /// HTTP/1, with the traced process at this end.
    Http1(Side),
    /// HTTP/2, likewise.
    Http2(Side),
    Nothing,
}

impl Undecided {
    pub(super) fn new(role: Role, from_opening: bool) -> Self {
        Self {
            role,
            from_opening,
            held: Held::default(),
            gathered: 0,
            waiting: None,
            judged: [false; 2],
            preamble: None,
            discarded: None,
        }
    }

    /// Keeps bytes until there are more.
    pub(super) fn hold(&mut self, input: &Bytes<'_>) {
        self.held.push(input, input.bytes.len());
        self.gathered = self.gathered.saturating_add(input.bytes.len());
        self.waiting = Some(input.direction);
    }

    /// These bytes begin nothing, and what waited before them neither.
    pub(super) fn discard(&mut self, direction: Direction) {
        self.held.clear();
        self.gathered = 0;
        self.waiting = None;
        self.discarded = Some(direction);
    }

    /// A request line goes on: there is nothing to judge before its end, however many calls that takes.
    pub(super) fn goes_on(&self, bytes: &[u8]) -> bool {
        self.gathered > PREFIX_MAX
            && self.gathered.saturating_add(bytes.len()) < LINE_MAX
            && memchr::memchr(b'\n', bytes).is_none()
    }

    /// Takes what belongs to the preamble out of so many bytes; returns how many do not, if one is running.
    pub(super) fn preamble_takes(&mut self, direction: Direction, length: u64) -> Option<u64> {
        let (_, left) = self.preamble.filter(|(of, _)| *of == direction)?;
        let taken = left.min(length);
        self.preamble = Some((direction, left.saturating_sub(taken))).filter(|(_, left)| *left > 0);
        Some(length.saturating_sub(taken))
    }

    /// An older connection: may these bytes be the start of a message, or go on with one?
    pub(super) fn is_start(&mut self, input: &Bytes<'_>) -> bool {
        let other = input.direction.opposite();
        let goes_on = self.waiting == Some(input.direction);
        if self.waiting == Some(other) {
            // Nobody answers half a line: it was the end of something else.
            self.discard(other);
        }
        if input.call_start || goes_on {
            return true;
        }
        self.discarded = Some(input.direction);
        false
    }

    pub(super) fn judgement(&mut self, direction: Direction, bytes: &[u8]) -> Judgement {
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
                Detection::Yes(Spoken::Http2) => return Judgement::Http2(serving(direction)),
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
            if self.from_opening {
                match detect::http2_settings(bytes) {
                    Detection::Yes(_) => return Judgement::Http2(serving(direction.opposite())),
                    Detection::NeedMore => more = true,
                    Detection::No => {}
                }
            }
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

/// The side that a role has, if it says so.
pub(super) fn side_of(role: Role) -> Option<Side> {
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
