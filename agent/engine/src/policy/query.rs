//! The keys of queries whose values are secrets.

use core::ops::Range;

use thiserror::Error;

use crate::percent;

/// The list of the conventions for `url.query` and `url.full`.
pub const DEFAULT: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "AWSAccessKeyId",
    "Signature",
    "sig",
    "X-Goog-Signature",
];

/// Keys; upper and lower case differ, as the conventions have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKeys {
    keys: Box<[Box<[u8]>]>,
    /// Their lengths, a bit each: most keys of queries are turned down by it.
    lengths: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{0}` is no key of a query: write it decoded, without `=`, `&` and `;`, and not empty")]
pub struct SecretKeyError(pub String);

impl Default for SecretKeys {
    fn default() -> Self {
        Self::of(DEFAULT.into_iter().map(|key| key.as_bytes().into()).collect())
    }
}

impl SecretKeys {
    /// These instead of the default ones.
    pub fn new(keys: impl IntoIterator<Item = impl AsRef<str>>) -> Result<Self, SecretKeyError> {
        let key = |key: &str| {
            if key.is_empty() || key.contains(['=', '&', ';']) {
                return Err(SecretKeyError(key.to_owned()));
            }
            Ok(key.as_bytes().into())
        };
        keys.into_iter().map(|text| key(text.as_ref())).collect::<Result<_, _>>().map(Self::of)
    }

    fn of(keys: Box<[Box<[u8]>]>) -> Self {
        let lengths = keys.iter().fold(0, |lengths, key| lengths | length_bit(key));
        Self { keys, lengths }
    }

    /// Where the secret values of a query lie, in order.
    pub fn values<'a>(&'a self, query: &'a [u8]) -> Values<'a> {
        Values { secret: self, query, at: 0 }
    }

    fn has(&self, key: &[u8]) -> bool {
        let plain = self.lengths & length_bit(key) != 0 && self.keys.iter().any(|secret| **secret == *key);
        plain
            || (key.iter().any(|byte| matches!(byte, b'%' | b'+'))
                && self.keys.iter().any(|secret| is_encoded(key, secret)))
    }
}

/// See [`SecretKeys::values`].
///
/// A value lasts to the next `&`. A key also begins behind a `;`, which some servers take for an `&`, and behind a `?`,
/// where the value is a URL with a query of its own: either way nothing of a secret is left.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    secret: &'a SecretKeys,
    query: &'a [u8],
    at: usize,
}

impl Iterator for Values<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while let Some(rest) = self.query.get(self.at..).filter(|rest| !rest.is_empty()) {
            let Some(end) = rest.iter().position(|byte| b"=&;?".contains(byte)) else {
                self.at = self.query.len();
                break;
            };
            let (key, separator) = rest.split_at_checked(end)?;
            let value = self.at.saturating_add(end).saturating_add(1);
            if separator.first() == Some(&b'=') {
                let after = rest.get(end.saturating_add(1)..).unwrap_or_default();
                if self.secret.has(key) {
                    let length = memchr::memchr(b'&', after).unwrap_or(after.len());
                    self.at = value.saturating_add(length).saturating_add(1);
                    return Some(value..value.saturating_add(length));
                }
                let length = memchr::memchr3(b'&', b';', b'?', after).unwrap_or(after.len());
                self.at = value.saturating_add(length).saturating_add(1);
            } else {
                self.at = value;
            }
        }
        None
    }
}

fn length_bit(key: &[u8]) -> u64 {
    1 << key.len().min(63)
}

/// `text` is `key`, of which any byte may be percent-encoded (RFC 3986, 2.1).
fn is_encoded(text: &[u8], key: &[u8]) -> bool {
    let mut rest = text;
    for &expected in key {
        let (byte, after) = match rest {
            [b'%', ..] => match percent::escape(rest) {
                Some(escape) => escape,
                None => return false,
            },
            [b'+', after @ ..] => (b' ', after),
            [byte, after @ ..] => (*byte, after),
            [] => return false,
        };
        if byte != expected {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}
