//! What never leaves the host: the one place through which every exported text of a request passes.
//!
//! * `user:password@` of every URL becomes `REDACTED:REDACTED@`, wherever in a text the URL stands;
//! * the values of the queries' secret keys become `REDACTED`.

use super::target::after_credentials;
use crate::policy::SecretKeys;

const CREDENTIALS: &str = "REDACTED:REDACTED@";
const REDACTED: &str = "REDACTED";

/// A URL of these parts; `path` and `query` as on the wire.
pub(super) fn url(
    scheme: &[u8],
    authority: &[u8],
    path: &[u8],
    query: Option<&[u8]>,
    keys: &SecretKeys,
) -> String {
    let host = after_credentials(authority);
    let lengths = [scheme.len(), CREDENTIALS.len(), host.len(), path.len(), query.map_or(0, <[u8]>::len), 4];
    let mut url = String::with_capacity(lengths.into_iter().fold(0, usize::saturating_add));
    push(&mut url, scheme);
    url.push_str("://");
    if host.len() != authority.len() {
        url.push_str(CREDENTIALS);
    }
    push(&mut url, host);
    push_urls(&mut url, path);
    if let Some(query) = query {
        url.push('?');
        push_query(&mut url, query, keys);
    }
    url
}

/// The path of a target. What is no path by the rules may begin with credentials.
pub(super) fn path(bytes: &[u8]) -> String {
    if memchr::memchr(b'@', bytes).is_none() {
        return text(bytes);
    }
    let mut out = String::with_capacity(bytes.len());
    let slash = memchr::memchr(b'/', bytes).unwrap_or(bytes.len());
    let (before, rest) = bytes.split_at_checked(slash).unwrap_or((bytes, b""));
    let shown = after_credentials(before);
    if shown.len() != before.len() && !before.ends_with(b":") {
        out.push_str(CREDENTIALS);
        push(&mut out, shown);
        push_urls(&mut out, rest);
    } else {
        push_urls(&mut out, bytes);
    }
    out
}

pub(super) fn query(bytes: &[u8], keys: &SecretKeys) -> String {
    let mut out = String::with_capacity(bytes.len());
    push_query(&mut out, bytes, keys);
    out
}

/// The value of a header field that was asked for: it may be a URL (`Location`, `Referer`).
pub(super) fn field(bytes: &[u8], keys: &SecretKeys) -> String {
    let mut out = String::with_capacity(bytes.len());
    let mark = memchr::memchr(b'?', bytes).map_or(bytes.len(), |mark| mark.saturating_add(1));
    let (before, query) = bytes.split_at_checked(mark).unwrap_or((bytes, b""));
    push_urls(&mut out, before);
    push_query(&mut out, query, keys);
    out
}

/// A text from the wire that has no URL in it, as it may be shown.
pub(super) fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

/// The path of a Unix socket; abstract ones start with NUL, which is written as `@`.
pub(super) fn unix(path: &[u8]) -> String {
    text(path).replacen('\0', "@", 1)
}

fn push_query(out: &mut String, query: &[u8], keys: &SecretKeys) {
    let mut shown = 0;
    for secret in keys.values(query) {
        push_urls(out, query.get(shown..secret.start).unwrap_or_default());
        out.push_str(REDACTED);
        shown = secret.end;
    }
    push_urls(out, query.get(shown..).unwrap_or_default());
}

/// Pushes a text without the credentials of the URLs in it.
fn push_urls(out: &mut String, bytes: &[u8]) {
    let mut rest = bytes;
    // Few texts have an `@`, and no credentials are without one.
    while memchr::memchr(b'@', rest).is_some()
        && let Some(start) = memchr::memmem::find(rest, b"://")
        && let Some((before, authority)) = rest.split_at_checked(start.saturating_add(3))
    {
        let end = authority.iter().position(|byte| b"/?#&;, \"<>".contains(byte)).unwrap_or(authority.len());
        let (authority, behind) = authority.split_at_checked(end).unwrap_or((authority, b""));
        let host = after_credentials(authority);
        push(out, before);
        if host.len() != authority.len() {
            out.push_str(CREDENTIALS);
        }
        push(out, host);
        rest = behind;
    }
    push(out, rest);
}

fn push(out: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        Err(_) => out.push_str(&String::from_utf8_lossy(bytes)),
    }
}
