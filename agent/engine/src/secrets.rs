//! Secrets: where they stand in a text that may have URLs in it. Exported spans, recordings and messages all ask here.
//!
//! Texts of the wire are not always what the rules say, so that rather too much is found: what looks like credentials
//! to any of those who may read the text is taken for them.

use core::ops::Range;

use crate::{percent, policy::SecretKeys};

/// How often an escape is escaped again at most: a URL in the query of a URL in a query.
const LEVELS: usize = 3;

/// What stands behind the `://` of a URL (RFC 3986, 3.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Authority {
    pub range: Range<usize>,
    /// `user:password`, without the `@`.
    pub credentials: Option<Credentials>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub range: Range<usize>,
    /// They are percent-encoded, with what is around them.
    pub encoded: bool,
}

/// The authorities of all URLs in a text, in order, of percent-encoded ones too. They may overlap, credentials do not.
///
/// `;`, `,` and `&` do not end an authority, for a password may have them.
pub fn authorities(text: &[u8]) -> Authorities<'_> {
    Authorities { text, at: 0 }
}

/// Whether a text can have credentials in it at all: most cannot, and that is found out quickly.
pub(crate) fn may_have_credentials(text: &[u8]) -> bool {
    memchr::memchr(b'@', text).is_some() || memchr::memmem::find(text, b"40").is_some()
}

/// The credentials that a target without a scheme begins with (`user:password@host/path`).
pub fn leading_credentials(target: &[u8]) -> Option<Range<usize>> {
    let end = memchr::memchr(b'/', target).unwrap_or(target.len());
    let at = memchr::memrchr(b'@', target.get(..end)?)?;
    Some(0..at)
}

/// Where the values of secret keys stand in the queries of all URLs in the value of a field (`Referer`, `Link`).
///
/// A blank, a quote or an angle bracket ends a URL; a comma does not, since it may stand in a secret. URLs that follow
/// each other with only a comma between them are one to this, of which the keys are found all the same.
pub fn field_values<'a>(text: &'a [u8], keys: &'a SecretKeys) -> impl Iterator<Item = Range<usize>> {
    let first = memchr::memchr(b'?', text).unwrap_or(text.len());
    let mut at = 0_usize;
    let parts = text.split(ends_url).filter_map(move |part| {
        let start = at;
        at = at.saturating_add(part.len()).saturating_add(1);
        // Before the first query there is none.
        if at <= first {
            return None;
        }
        let mark = memchr::memchr(b'?', part)?.saturating_add(1);
        Some((start.saturating_add(mark), part.get(mark..)?))
    });
    parts.flat_map(|(start, query)| {
        let shift =
            move |value: Range<usize>| start.saturating_add(value.start)..start.saturating_add(value.end);
        keys.values(query).map(shift)
    })
}

/// What no URL has in it, so that it ends one.
fn ends_url(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | b'"' | b'<' | b'>')
}

/// See [`authorities`].
#[derive(Clone, Debug)]
pub struct Authorities<'a> {
    text: &'a [u8],
    at: usize,
}

impl Iterator for Authorities<'_> {
    type Item = Authority;

    fn next(&mut self) -> Option<Authority> {
        loop {
            let found = memchr::memchr2(b':', b'%', self.text.get(self.at..)?)?;
            let start = self.at.saturating_add(found);
            self.at = start.saturating_add(1);
            let Some(mark) = Mark::of(self.text.get(start..)?) else { continue };
            let start = start.saturating_add(mark.length);
            let authority = mark.authority(self.text, start);
            // What is behind may be the mark of the next URL.
            self.at = authority.credentials.as_ref().map_or(start, |credentials| credentials.range.end);
            return Some(authority);
        }
    }
}

/// `://`, each byte of which may be percent-encoded: encoders differ in what they leave alone.
struct Mark {
    length: usize,
    /// How often the `:` is encoded, and the most that any of the three is.
    colon: usize,
    level: usize,
}

impl Mark {
    fn of(text: &[u8]) -> Option<Self> {
        let (mut length, mut level, mut colon) = (0_usize, 0, None);
        for expected in *b"://" {
            let byte = Byte::of(text.get(length..)?)?;
            if byte.value != expected {
                return None;
            }
            length = length.saturating_add(byte.length);
            level = level.max(byte.level);
            colon = colon.or(Some(byte.level));
        }
        Some(Self { length, colon: colon?, level })
    }

    /// The authority behind the mark.
    fn authority(&self, text: &[u8], start: usize) -> Authority {
        let (mut end, mut credentials) = (start, None);
        while let Some(byte) = text.get(end..).and_then(Byte::of) {
            match byte.value {
                // Who reads the text may decode it once more than it was encoded.
                b'@' => credentials = Some(Credentials { range: start..end, encoded: byte.level > 0 }),
                // What is encoded more often than the URL is part of the password.
                b'/' | b'?' | b'#' if byte.level <= self.level => break,
                other if ends_url(&other) && byte.level <= self.level => break,
                // Who encodes a `:` encodes an `&` too: this one ends a value of a query.
                b'&' if byte.level < self.colon => break,
                _ => {}
            }
            end = end.saturating_add(byte.length);
        }
        Authority { range: start..end, credentials }
    }
}

/// A byte of a text that may be encoded.
struct Byte {
    value: u8,
    /// Bytes that it takes.
    length: usize,
    /// How often it is encoded: `/` not at all, `%2F` once, `%252F` twice.
    level: usize,
}

impl Byte {
    fn of(text: &[u8]) -> Option<Self> {
        let (&value, mut rest) = text.split_first()?;
        let plain = Self { value, length: 1, level: 0 };
        if value != b'%' {
            return Some(plain);
        }
        let mut level = 1_usize;
        while level < LEVELS
            && let [b'2', b'5', after @ ..] = rest
            && percent::digits(after).is_some()
        {
            (rest, level) = (after, level.saturating_add(1));
        }
        let Some((value, rest)) = percent::digits(rest) else { return Some(plain) };
        Some(Self { value, length: text.len().saturating_sub(rest.len()), level })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(text: &str) -> Vec<&str> {
        let found = authorities(text.as_bytes()).filter_map(|authority| authority.credentials);
        found.map(|credentials| &text[credentials.range]).collect()
    }

    #[test]
    fn credentials_are_found_in_every_url_of_a_text() {
        for (text, expected) in [
            ("http://host/a@b", &[][..]),
            ("mail=a@b.example", &[]),
            ("http://u:p@h", &["u:p"]),
            ("http://u:p@q@h/", &["u:p@q"]),
            ("http://u:a;b,c&d@h/x@y", &["u:a;b,c&d"]),
            ("a=http://h&b=http://u:p@h?c=ftp://v@h#x", &["u:p", "v"]),
            ("http://u:http://v:p@h/", &["v:p"]),
            ("<http://u:p@h>,\"http://v@h\" http://w@h", &["u:p", "v", "w"]),
            ("http://a b@c", &[]),
            ("://@", &[""]),
            (":/", &[]),
        ] {
            assert_eq!(credentials(text), expected, "{text}");
        }
    }

    #[test]
    fn credentials_are_found_however_the_url_is_encoded() {
        for (text, expected) in [
            ("to=http%3A%2F%2Fu%3Ap%40h%2Fa%40b&c", &["u%3Ap"][..]),
            ("to=http%3a%2f%2fu%3ap%40h", &["u%3ap"]),
            ("to=http%3A//u%3Ap%40h/a%40b", &["u%3Ap"]),
            ("to=http:%2F%2Fu:p&q@h%2Fa@b", &["u:p&q"]),
            ("to=http://u:p%2Fq%40h/", &["u:p%2Fq"]),
            ("to=http://u%40example.org:p@h/", &["u%40example.org:p"]),
            ("to=http%3A%2F%2Fu%3Ap%252Fq%40h", &["u%3Ap%252Fq"]),
            ("to=http%253A%252F%252Fu%253Ap%2540h%252Fa%2540b", &["u%253Ap"]),
            ("to=http%3A%2F%2Fh&mail=a%40b", &[]),
            ("to=http%3A%2F%2Fh%20a%40b", &[]),
            ("to=http%3A%2F%2Fh%3Fto%3Dhttp%253A%252F%252Fu%253Ap%2540h", &["u%253Ap"]),
            ("%", &[]),
            ("%3A%2F%2", &[]),
            ("%252525252525", &[]),
        ] {
            assert_eq!(credentials(text), expected, "{text}");
            assert!(expected.is_empty() || may_have_credentials(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn an_authority_ends_where_the_text_ends() {
        let found: Vec<_> = authorities(b"a=http://u:wo").collect();
        assert_eq!(found, [Authority { range: 9..13, credentials: None }]);
    }

    #[test]
    fn secret_values_are_found_in_every_url_of_a_field() {
        let values = |text: &'static str| -> Vec<&str> {
            let keys = SecretKeys::default();
            field_values(text.as_bytes(), &keys).map(|value| &text[value]).collect()
        };
        for (text, expected) in [
            ("sig=1", &[][..]),
            ("http://h/?sig=a,b", &["a,b"]),
            ("<http://h/?a=1>; rel=next, <http://h/?sig=s&b>", &["s"]),
            ("http://h/?a=1,http://h/?sig=s", &["s"]),
            ("http://h/?to=http://h/?sig=s&b", &["s"]),
            ("bot (+http://h/?b&sig=s) x?Signature=t", &["s)", "t"]),
        ] {
            assert_eq!(values(text), expected, "{text}");
        }
    }
}
