//! Heads: start lines, field lines, and what they say of the framing (RFC 9112, 2 to 6).
//!
//! Own line splitting and not httparse's, which refuses folded lines in requests and stops at a fixed
//! number of fields, while the framing must be known of every message that real programs exchange.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::body::Body;
use crate::{
    limit,
    protocol::{Field, Version, detect::is_token, http2::grpc::Content},
};

/// What the method says of the response's framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Head,
    Connect,
    Other,
    /// The request was not seen.
    Unknown,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110, 9.1).
    pub(super) fn of(token: &[u8]) -> Self {
        match token {
            b"HEAD" => Self::Head,
            b"CONNECT" => Self::Connect,
            _ => Self::Other,
        }
    }
}

/// A request line (RFC 9112, 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    pub(super) target: &'a [u8],
    pub(super) version: Version,
}

/// A status line (RFC 9112, 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StatusLine {
    pub(super) version: Version,
    pub(super) status: u16,
}

/// The fields of a head.
#[derive(Debug, Default)]
pub(super) struct Fields<'a> {
    pub(super) list: SmallVec<[Field<'a>; 24]>,
    /// There were more than are kept.
    pub(super) incomplete: bool,
    /// A line is no field line.
    pub(super) invalid: bool,
    pub(super) host: bool,
    pub(super) upgrade: bool,
    pub(super) content: Option<Content>,
    length: Length,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Length {
    #[default]
    None,
    Known(u64),
    Faulty,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    /// `chunked` is the final coding.
    Chunked,
    Other,
}

/// How the framing of a message is faulty: where it ends cannot be known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Faulty;

/// The end of the head in `bytes`: one past its empty line. `Err` says where to search on when more bytes
/// are there; nothing before that is looked at twice.
pub(super) fn find_end(bytes: &[u8], from: usize) -> Result<usize, usize> {
    for offset in memchr::memchr_iter(b'\n', bytes.get(from..).unwrap_or_default()) {
        let line_end = from.saturating_add(offset);
        let behind = line_end.saturating_add(1);
        match bytes.get(behind..).unwrap_or_default() {
            // RFC 9112, 2.2: a lone LF may end a line.
            [b'\n', ..] => return Ok(behind.saturating_add(1)),
            [b'\r', b'\n', ..] => return Ok(behind.saturating_add(2)),
            [] | [b'\r'] => return Err(line_end),
            _ => {}
        }
    }
    Err(bytes.len())
}

/// The first line without its end, and what follows it; `None` while the end is not there.
pub(super) fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    let (line, rest) = bytes.split_at_checked(end)?;
    Some((line.strip_suffix(b"\r").unwrap_or(line), rest.get(1..).unwrap_or_default()))
}

pub(super) fn request_line(line: &[u8]) -> Option<RequestLine<'_>> {
    let line = line.trim_ascii_end();
    let method_end = memchr::memchr(b' ', line)?;
    let target_end = memchr::memrchr(b' ', line)?;
    let method = line.get(..method_end)?;
    // Blanks within a target are against the rules and sent all the same (RFC 9112, 3.2).
    let target = line.get(method_end..target_end)?.trim_ascii();
    let version = version(line.get(target_end.checked_add(1)?..)?)?;
    (is_token(method) && !target.is_empty()).then_some(RequestLine { method, target, version })
}

/// Method and the known part of the target of a request line that is cut; says if the target is.
pub(super) fn cut_request_line(bytes: &[u8]) -> Option<(&[u8], &[u8], bool)> {
    let (method, rest) = bytes.split_at_checked(memchr::memchr(b' ', bytes)?)?;
    let target = rest.trim_ascii_start();
    let end = memchr::memchr(b' ', target);
    let known = target.get(..end.unwrap_or(target.len()))?;
    (is_token(method) && !known.is_empty()).then_some((method, known, end.is_none()))
}

pub(super) fn status_line(line: &[u8]) -> Option<StatusLine> {
    let (word, rest) = line.split_at_checked(8)?;
    let version = version(word)?;
    let [b' ', a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9', rest @ ..] = rest else { return None };
    if !matches!(rest, [] | [b' ', ..]) {
        return None;
    }
    let status = [a, b, c].iter().fold(0_u16, |sum, digit| {
        sum.saturating_mul(10).saturating_add(u16::from(digit.saturating_sub(b'0')))
    });
    Some(StatusLine { version, status })
}

fn version(word: &[u8]) -> Option<Version> {
    match word {
        b"HTTP/1.0" => Some(Version::Http10),
        // RFC 9110, 2.5: a higher minor version is understood as the highest that is known.
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1'..=b'9'] => Some(Version::Http11),
        _ => None,
    }
}

/// Joins folded lines: each fold becomes blanks (RFC 9112, 5.2). Costs nothing when there is none.
pub(super) fn unfold(block: &[u8]) -> Cow<'_, [u8]> {
    let is_fold = |end: usize| matches!(block.get(end.saturating_add(1)), Some(b' ' | b'\t'));
    if !memchr::memchr_iter(b'\n', block).any(is_fold) {
        return Cow::Borrowed(block);
    }
    let mut joined = block.to_vec();
    for end in memchr::memchr_iter(b'\n', block).filter(|end| is_fold(*end)) {
        if let Some(byte) = joined.get_mut(end) {
            *byte = b' ';
        }
        if let Some(byte) = end.checked_sub(1).and_then(|at| joined.get_mut(at))
            && *byte == b'\r'
        {
            *byte = b' ';
        }
    }
    Cow::Owned(joined)
}

/// Reads complete field lines up to the empty one, or to the last that is complete.
pub(super) fn fields(block: &[u8]) -> Fields<'_> {
    let mut fields = Fields::default();
    let mut rest = block;
    while let Some((line, behind)) = split_line(rest) {
        if line.is_empty() {
            break;
        }
        fields.line(line);
        rest = behind;
    }
    fields
}

impl<'a> Fields<'a> {
    fn line(&mut self, line: &'a [u8]) {
        let colon = memchr::memchr(b':', line);
        let Some((name, value)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
            self.invalid = true;
            return;
        };
        // Servers refuse or pass over a line that breaks the rules; the request exists all the same.
        if !is_token(name) {
            self.invalid = true;
            return;
        }
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        self.learn(name, value);
        if self.list.len() < limit::FIELDS_MAX {
            self.list.push(Field { name, value });
        } else {
            self.incomplete = true;
        }
    }

    fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host = true,
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = true,
            12 if self.content.is_none() && name.eq_ignore_ascii_case(b"content-type") => {
                self.content = Some(Content::of(value));
            }
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                // RFC 9110, 8.6: the same value repeated is one value.
                for part in value.split(|byte| *byte == b',') {
                    let length = decimal(part.trim_ascii());
                    self.length = match (self.length, length) {
                        (Length::None, Some(length)) => Length::Known(length),
                        (Length::Known(known), Some(length)) if known == length => self.length,
                        _ => Length::Faulty,
                    };
                }
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                let last = value.rsplit(|byte| *byte == b',').next().unwrap_or_default().trim_ascii();
                let chunked = last.eq_ignore_ascii_case(b"chunked");
                self.coding = if chunked { Coding::Chunked } else { Coding::Other };
            }
            _ => {}
        }
    }

    /// RFC 9112, 6.3, for a request: `None` is no body.
    pub(super) fn request_body(&self) -> Result<Option<Body>, Faulty> {
        match (self.coding, self.length) {
            // Rule 3: Transfer-Encoding overrides Content-Length.
            (Coding::Chunked, _) => Ok(Some(Body::chunked())),
            // Rule 4: the length of such a request cannot be known.
            (Coding::Other, _) | (Coding::None, Length::Faulty) => Err(Faulty),
            (Coding::None, Length::None | Length::Known(0)) => Ok(None),
            (Coding::None, Length::Known(length)) => Ok(Some(Body::Length(length))),
        }
    }

    /// RFC 9112, 6.3, for a response that is not an interim one: `None` is no body.
    pub(super) fn response_body(&self, status: u16, method: Method) -> Result<Option<Body>, Faulty> {
        // Rule 1.
        if method == Method::Head || matches!(status, 100..=199 | 204 | 304) {
            return Ok(None);
        }
        match (self.coding, self.length) {
            (Coding::Chunked, _) => Ok(Some(Body::chunked())),
            (Coding::Other, _) | (Coding::None, Length::None) => Ok(Some(Body::Close)),
            (Coding::None, Length::Faulty) => Err(Faulty),
            (Coding::None, Length::Known(0)) => Ok(None),
            (Coding::None, Length::Known(length)) => Ok(Some(Body::Length(length))),
        }
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    digits
        .iter()
        .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit.saturating_sub(b'0'))))
}
