//! Patterns for paths and user agents.

use core::str::FromStr;

/// A longer pattern is a mistake, and would cost time with each request.
const PATTERN_MAX: usize = 256;

/// Why text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("an empty pattern matches nothing")]
    Empty,
    #[error("the pattern is longer than {PATTERN_MAX} bytes")]
    TooLong,
    #[error("`{0}` is no path pattern; expected one that starts with / or *")]
    NoPath(String),
}

/// A path: `*` stands for any bytes but `/`, `**` for any bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathGlob(Vec<Piece>);

/// A user agent: text that occurs in it, or, with a `*` for any bytes, all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPattern(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Byte(u8),
    /// Any bytes but `/`.
    Segment,
    Any,
}

impl PathGlob {
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        matches(&self.0, path)
    }
}

impl AgentPattern {
    pub(super) fn matches(&self, agent: &[u8]) -> bool {
        matches(&self.0, agent)
    }
}

impl FromStr for PathGlob {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        bounded(text)?;
        if !text.starts_with(['/', '*']) {
            return Err(PatternError::NoPath(text.to_owned()));
        }
        let mut pieces = Vec::with_capacity(text.len());
        for byte in text.bytes() {
            match (byte, pieces.last_mut()) {
                (b'*', Some(last @ (Piece::Segment | Piece::Any))) => *last = Piece::Any,
                (b'*', _) => pieces.push(Piece::Segment),
                (byte, _) => pieces.push(Piece::Byte(byte)),
            }
        }
        Ok(Self(pieces))
    }
}

impl FromStr for AgentPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        bounded(text)?;
        let mut pieces = Vec::with_capacity(text.len().saturating_add(2));
        if !text.contains('*') {
            pieces.push(Piece::Any);
        }
        pieces.extend(text.bytes().map(|byte| if byte == b'*' { Piece::Any } else { Piece::Byte(byte) }));
        if !text.contains('*') {
            pieces.push(Piece::Any);
        }
        Ok(Self(pieces))
    }
}

fn bounded(text: &str) -> Result<(), PatternError> {
    match text.len() {
        0 => Err(PatternError::Empty),
        1..=PATTERN_MAX => Ok(()),
        _ => Err(PatternError::TooLong),
    }
}

/// Whether the pieces are all of the text: one pass over it with the set of pieces that may come next, so that
/// no text makes it slow. Cost: at most their product.
fn matches(pieces: &[Piece], text: &[u8]) -> bool {
    let mut next = [false; PATTERN_MAX + 3];
    let Some(first) = next.first_mut() else { return false };
    *first = true;
    open(pieces, &mut next);
    for &byte in text {
        let mut after = [false; PATTERN_MAX + 3];
        let mut alive = false;
        for ((index, piece), _) in pieces.iter().enumerate().zip(next).filter(|(_, may)| *may) {
            let to = match piece {
                Piece::Byte(expected) if *expected == byte => index.saturating_add(1),
                Piece::Segment if byte != b'/' => index,
                Piece::Any => index,
                Piece::Byte(_) | Piece::Segment => continue,
            };
            if let Some(slot) = after.get_mut(to) {
                *slot = true;
                alive = true;
            }
        }
        if !alive {
            return false;
        }
        open(pieces, &mut after);
        next = after;
    }
    next.get(pieces.len()).copied().unwrap_or_default()
}

/// A piece that may stand for nothing lets the next one come too.
fn open(pieces: &[Piece], next: &mut [bool]) {
    for (index, piece) in pieces.iter().enumerate() {
        let skips = matches!(piece, Piece::Segment | Piece::Any);
        if skips
            && next.get(index).copied().unwrap_or_default()
            && let Some(slot) = next.get_mut(index.saturating_add(1))
        {
            *slot = true;
        }
    }
}
