//! What never leaves the host: the one place through which every exported text of a request passes.
//!
//! * `user:password@` of every URL becomes `REDACTED:REDACTED@`, wherever in a text the URL stands;
//! * the values of the queries' secret keys become `REDACTED`.
//!
//! What a text of which the end was cut off ends with may be the beginning of a secret, and is treated as one.

use core::ops::Range;

use super::target::after_credentials;
use crate::{policy::SecretKeys, secrets};

const CREDENTIALS: &str = "REDACTED:REDACTED";
const ENCODED_CREDENTIALS: &str = "REDACTED%3AREDACTED";
const REDACTED: &str = "REDACTED";

/// A URL of these parts; `path` and `query` as on the wire.
pub(super) fn url(
    scheme: &[u8],
    authority: &[u8],
    path: &[u8],
    query: Option<&[u8]>,
    keys: &SecretKeys,
    cut: bool,
) -> String {
    let host = after_credentials(authority);
    let lengths = [scheme.len(), CREDENTIALS.len(), host.len(), path.len(), query.map_or(0, <[u8]>::len), 5];
    let mut url = String::with_capacity(lengths.into_iter().fold(0, usize::saturating_add));
    push(&mut url, scheme);
    url.push_str("://");
    if host.len() != authority.len() {
        url.push_str(CREDENTIALS);
        url.push('@');
    }
    push(&mut url, host);
    push_path(&mut url, path, cut && query.is_none());
    if let Some(query) = query {
        url.push('?');
        push_query(&mut url, query, keys, cut);
    }
    url
}

/// The path of a target. `cut`: its end may be missing.
pub(super) fn path(bytes: &[u8], cut: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    push_path(&mut out, bytes, cut);
    out
}

pub(super) fn query(bytes: &[u8], keys: &SecretKeys, cut: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    push_query(&mut out, bytes, keys, cut);
    out
}

/// The value of a header field, which may have URLs in it (`Location`, `User-Agent`).
pub(super) fn field(bytes: &[u8], keys: &SecretKeys, cut: bool) -> String {
    let mut cuts = credentials(bytes, cut);
    cuts.extend(secrets::field_values(bytes, keys).map(|value| (value, REDACTED)));
    let mut out = String::with_capacity(bytes.len());
    push_without(&mut out, bytes, cuts);
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

/// A part of a text, and what is shown in its place.
type Cut = (Range<usize>, &'static str);

/// What is no path by the rules may begin with credentials.
fn push_path(out: &mut String, path: &[u8], cut: bool) {
    let mut cuts = credentials(path, cut);
    if !path.starts_with(b"/") {
        if cut && memchr::memchr(b'/', path).is_none() {
            cuts.push((0..path.len(), REDACTED));
        } else if let Some(range) = secrets::leading_credentials(path) {
            cuts.push((range, CREDENTIALS));
        }
    }
    push_without(out, path, cuts);
}

fn push_query(out: &mut String, query: &[u8], keys: &SecretKeys, cut: bool) {
    let mut cuts = credentials(query, cut);
    cuts.extend(keys.values(query).map(|value| (value, REDACTED)));
    push_without(out, query, cuts);
}

/// The credentials of the URLs in a text.
fn credentials(text: &[u8], cut: bool) -> Vec<Cut> {
    if !cut && !secrets::may_have_credentials(text) {
        return Vec::new();
    }
    let cuts = secrets::authorities(text).filter_map(|authority| {
        if cut && authority.range.end == text.len() {
            // The `@` may be in what is missing.
            return Some((authority.range, REDACTED));
        }
        let found = authority.credentials?;
        Some((found.range, if found.encoded { ENCODED_CREDENTIALS } else { CREDENTIALS }))
    });
    cuts.collect()
}

fn push_without(out: &mut String, text: &[u8], mut cuts: Vec<Cut>) {
    cuts.sort_by_key(|(range, _)| range.start);
    let mut shown = 0;
    for (range, replacement) in cuts {
        // Of what overlaps nothing is shown, and one word stands for it.
        if range.start >= shown {
            push(out, text.get(shown..range.start).unwrap_or_default());
            out.push_str(replacement);
        }
        shown = shown.max(range.end);
    }
    push(out, text.get(shown..).unwrap_or_default());
}

fn push(out: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => out.push_str(text),
        Err(_) => out.push_str(&String::from_utf8_lossy(bytes)),
    }
}
