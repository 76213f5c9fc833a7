//! Fields of HTTP/2, and of gRPC-Web trailers: in each what would be a secret in a line of HTTP/1 is one.

use std::{iter, ops::Range};

use engine::{Secrecy, policy::SecretKeys, protocol::detect::is_token};

use super::lines::{self, FILLER, Line};

/// See the module.
#[derive(Debug)]
pub(super) struct Fields(pub(super) SecretKeys);

impl Secrecy for Fields {
    fn of_field(&self, name: &[u8], value: &[u8]) -> Vec<Range<usize>> {
        let (before, behind): ([&[u8]; 2], &[u8]) = match name {
            b":path" => ([b"GET", b" "], b" HTTP/2\r\n"),
            b":authority" => ([b"CONNECT", b" "], b" HTTP/2\r\n"),
            b":method" | b":scheme" | b":status" | b":protocol" => return Vec::new(),
            name if is_token(name) => ([name, b": "], b"\r\n"),
            _ => return all(value),
        };
        // No value has these (RFC 9113, 8.2.1): it is unknown what this one is.
        if value.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n')) {
            return all(value);
        }
        let [first, second] = before;
        let mut line = [first, second, value, behind].concat();
        lines::scrub(&mut line, Line::Plain, true, &self.0);
        let start = first.len().saturating_add(second.len());
        overwritten(value, line.get(start..).unwrap_or_default())
    }
}

fn all(value: &[u8]) -> Vec<Range<usize>> {
    iter::once(0..value.len()).collect()
}

/// Where a text was overwritten. What looked like it before, within or beside, is part of it.
fn overwritten(before: &[u8], after: &[u8]) -> Vec<Range<usize>> {
    let (mut found, mut at) = (Vec::new(), 0_usize);
    let runs = after.chunk_by(|one, other| (*one == FILLER) == (*other == FILLER));
    for run in runs {
        let range = at..at.saturating_add(run.len()).min(before.len());
        at = range.end;
        if before.get(range.clone()).is_some_and(|text| Some(text) != run.get(..text.len())) {
            found.push(range);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_of_a_field_are_those_of_a_line() {
        let fields = Fields(SecretKeys::default());
        for (name, value, secrets) in [
            (":path", "/a?sig=axxb&b=c&Signature=x", &["axxb"][..]),
            (":path", "/a?b=c", &[]),
            (":path", "http://u:p@h/?sig=1", &["u:p", "1"]),
            (":path", "*", &[]),
            (":authority", "u:p@h:1", &["u:p"]),
            (":authority", "h:1", &[]),
            (":method", "sig=1", &[]),
            (":other", "value", &["value"]),
            ("no token", "value", &["value"]),
            ("", "value", &["value"]),
            ("authorization", "Basic dXNlcg==", &["Basic dXNlcg=="]),
            ("Cookie", "a=b; c=d", &["a=b; c=d"]),
            ("cookie", "", &[]),
            ("x-api-key", "k", &["k"]),
            ("x-lines", "a\r\nb", &["a\r\nb"]),
            ("referer", "https://u:p@h/?sig=abc", &["u:p", "abc"]),
            ("content-type", "application/grpc", &[]),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", &[]),
            ("grpc-status", "5", &[]),
        ] {
            let found = fields.of_field(name.as_bytes(), value.as_bytes());
            let found: Vec<_> = found.into_iter().map(|secret| &value[secret]).collect();
            assert_eq!(found, secrets, "{name}: {value}");
        }
    }
}
