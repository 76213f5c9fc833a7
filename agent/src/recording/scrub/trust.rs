//! Trust: what shows that a stream is lines of HTTP/1, so that secrets in it can be told from the rest.

use engine::protocol::{
    detect::{self, Detection},
    proxy::{self, Preamble},
};

/// The first line of what an HTTP/2 client sends (RFC 9113, 3.4).
pub(super) const HTTP2_LINE: &[u8] = b"PRI * HTTP/2.0\r\n";

/// What shows that a stream is lines of HTTP/1. A control character, which no line has, shows that it is none: every
/// HEADERS frame begins with some (RFC 9113, 4.1 and 6.2; RFC 9110, 5.5). Where nothing shows it, nothing is left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing does.
    #[default]
    None,
    /// It was seen from its first byte, and too little of it to tell.
    Opening,
    /// A message began at the start of a call: that is so until bytes are missing.
    Message,
    /// It began as HTTP/1 does.
    Whole,
}

/// Does a stream that begins like this begin as HTTP/1 does, or with HTTP/2's preface? Then, how long what a proxy put in
/// front of that is. Nothing: too little is there to tell.
pub(super) fn opening(text: &[u8]) -> Option<Option<usize>> {
    let length = match proxy::preamble(text) {
        Preamble::Yes { length, .. } => usize::try_from(length).unwrap_or(usize::MAX),
        Preamble::No => 0,
        Preamble::NeedMore => return None,
    };
    let rest = text.get(length..)?;
    match (detect::requests(rest), detect::http1_response(rest)) {
        (Detection::Yes(_), _) | (_, Detection::Yes(_)) => Some(Some(length)),
        (Detection::No, Detection::No) => Some(None),
        (Detection::NeedMore, _) | (_, Detection::NeedMore) => None,
    }
}

/// Does this, the first bytes of a call, start a message beyond doubt?
pub(super) fn starts_message(text: &[u8]) -> bool {
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    let version = line.len().checked_sub(9).and_then(|start| line.get(start..));
    let request = matches!(detect::requests(text), Detection::Yes(_))
        && version.is_some_and(|version| version.starts_with(b" HTTP/1."));
    let response = matches!(detect::http1_response(text), Detection::Yes(_));
    request || response || text.starts_with(HTTP2_LINE)
}
