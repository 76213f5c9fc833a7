//! Lines of heads: which bytes of a line are secrets.
//!
//! Every line is treated as if it were one of a head, for a line of anything else is of no use to a replay. Secrets are
//! overwritten where they stand, so that every length and position stays what it was.

use std::ops::Range;

use engine::{policy::SecretKeys, protocol::detect::is_token, secrets};

use crate::secret::{is_credential, user_information};

/// What secrets in heads are overwritten with: it can stand anywhere.
pub(super) const FILLER: u8 = b'x';

/// Fields of which the value is an authority.
const HOSTS: [&[u8]; 2] = [b"host", b"x-forwarded-host"];

/// What a line is to the next one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Line {
    #[default]
    Plain,
    /// A field with credentials, which may be folded (RFC 9112, 5.2).
    Credentials,
}

/// Overwrites the secrets of a line, of which the end may be missing. Says what it is.
pub(super) fn scrub(line: &mut [u8], before: Line, complete: bool, keys: &SecretKeys) -> Line {
    let blanks = line.iter().take_while(|byte| is_blank(**byte)).count();
    let text = line.get_mut(blanks..).unwrap_or_default();
    if blanks > 0 && before == Line::Credentials {
        overwrite(text);
        return Line::Credentials;
    }
    let colon = text.iter().position(|&byte| byte == b':');
    let name = colon.and_then(|colon| text.get(..colon)).map(<[u8]>::trim_ascii_end);
    match (colon, name) {
        (Some(colon), Some(name)) if is_token(name) => {
            let credentials = is_credential(name);
            let host = HOSTS.iter().any(|host| name.eq_ignore_ascii_case(host));
            let value = text.get_mut(colon.saturating_add(1)..).unwrap_or_default();
            let start = value.iter().take_while(|byte| is_blank(**byte)).count();
            let value = value.get_mut(start..).unwrap_or_default();
            if credentials {
                overwrite(value);
                return Line::Credentials;
            }
            if host {
                scrub_host(value, complete);
            }
            scrub_value(value, complete, keys);
        }
        _ if blanks > 0 => scrub_value(text, complete, keys),
        _ => {
            let (target, ended) = target(text);
            let connect = text.starts_with(b"CONNECT ");
            let target = text.get_mut(target).unwrap_or_default();
            scrub_target(target, connect, complete || ended, keys);
        }
    }
    Line::Plain
}

/// Makes everything but the line end unreadable.
pub(super) fn overwrite(text: &mut [u8]) {
    for byte in text {
        if !matches!(byte, b'\r' | b'\n') {
            *byte = FILLER;
        }
    }
}

/// Where the target of a request line lies (RFC 9112, 3), and whether its end is there.
fn target(line: &[u8]) -> (Range<usize>, bool) {
    let Some(method) = line.iter().position(|&byte| byte == b' ') else { return (0..0, true) };
    let end = line.trim_ascii_end().len();
    let text = line.get(..end).unwrap_or_default();
    let start = method.saturating_add(1).min(end);
    // Blanks within a target are against the rules and sent all the same.
    let last = text.iter().rposition(|&byte| byte == b' ').filter(|last| *last > method);
    if let Some(last) = last
        && text.get(last..).is_some_and(|word| word.starts_with(b" HTTP/"))
    {
        return (start..last, true);
    }
    let rest = text.get(start..).unwrap_or_default();
    let first = rest.iter().position(|&byte| byte == b' ');
    (start..first.map_or(end, |first| start.saturating_add(first)), first.is_some())
}

/// The credentials and the secret values of a request target, in any of its forms.
fn scrub_target(target: &mut [u8], connect: bool, complete: bool, keys: &SecretKeys) {
    let leading = target.iter().take_while(|byte| is_blank(**byte)).count();
    let target = target.get_mut(leading..).unwrap_or_default();
    if connect {
        scrub_authority(target, complete);
        return;
    }
    if target.first() != Some(&b'/') {
        let mut start = 0..secrets::leading_credentials(target).map_or(0, |range| range.end);
        if !complete && !target.contains(&b'/') {
            // A scheme, or a name with a password.
            let colon = target.iter().position(|&byte| byte == b':');
            start = colon.map_or(start, |colon| colon.saturating_add(1)..target.len());
        }
        overwrite(target.get_mut(start).unwrap_or_default());
    }
    scrub_urls(target, complete);
    scrub_query(target, keys);
}

/// The same for the URLs in the value of a field.
fn scrub_value(value: &mut [u8], complete: bool, keys: &SecretKeys) {
    scrub_urls(value, complete);
    let values: Vec<_> = secrets::field_values(value, keys).collect();
    for secret in values {
        overwrite(value.get_mut(secret).unwrap_or_default());
    }
}

/// The credentials of URLs. While the end of an authority is not there, an `@` may follow.
fn scrub_urls(text: &mut [u8], complete: bool) {
    let open = text.len();
    let found = secrets::authorities(text).filter_map(|authority| {
        if authority.range.end == open && !complete {
            return Some(authority.range);
        }
        authority.credentials.map(|credentials| credentials.range)
    });
    for secret in found.collect::<Vec<_>>() {
        overwrite(text.get_mut(secret).unwrap_or_default());
    }
}

/// `user:password` of the value of such a field. What may be a name alone stays, for spans show it.
fn scrub_host(text: &mut [u8], complete: bool) {
    if complete {
        return scrub_authority(text, true);
    }
    let colon = text.iter().position(|&byte| byte == b':').filter(|_| text.first() != Some(&b'['));
    let start = colon.map_or(text.len(), |colon| colon.saturating_add(1));
    overwrite(text.get_mut(start..).unwrap_or_default());
}

/// `user:password` of a text that is an authority.
fn scrub_authority(text: &mut [u8], complete: bool) {
    let length = if complete { user_information(text) } else { text.len() };
    overwrite(text.get_mut(..length).unwrap_or_default());
}

fn scrub_query(text: &mut [u8], keys: &SecretKeys) {
    let Some(mark) = text.iter().position(|&byte| byte == b'?') else { return };
    let query = text.get_mut(mark.saturating_add(1)..).unwrap_or_default();
    let values: Vec<_> = keys.values(query).collect();
    for value in values {
        overwrite(query.get_mut(value).unwrap_or_default());
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubbed(line: &str, complete: bool) -> (String, Line) {
        let mut bytes = line.as_bytes().to_vec();
        let kind = scrub(&mut bytes, Line::Plain, complete, &SecretKeys::default());
        assert_eq!(bytes.len(), line.len());
        (String::from_utf8(bytes).unwrap(), kind)
    }

    #[test]
    fn secrets_of_a_line_are_overwritten_at_equal_length() {
        for (line, expected) in [
            ("Authorization: Basic dXNlcg==\r\n", "Authorization: xxxxxxxxxxxxxx\r\n"),
            ("cookie:a=b; c=d\n", "cookie:xxxxxxxx\n"),
            ("X-Api-Key \t:  k\r\n", "X-Api-Key \t:  x\r\n"),
            ("Host: user\r\n", "Host: user\r\n"),
            ("GET /a?sig=abc&b=c HTTP/1.1\r\n", "GET /a?sig=xxx&b=c HTTP/1.1\r\n"),
            ("GET /a?b=c&Signature=a b HTTP/1.1\r\n", "GET /a?b=c&Signature=xxx HTTP/1.1\r\n"),
            ("GET /a&sig=abc HTTP/1.1\r\n", "GET /a&sig=abc HTTP/1.1\r\n"),
            ("GET http://u:p@h:1/a@b?sig=c HTTP/1.1\r\n", "GET http://xxx@h:1/a@b?sig=x HTTP/1.1\r\n"),
            ("GET http://u:p@q@h HTTP/1.1\r\n", "GET http://xxxxx@h HTTP/1.1\r\n"),
            ("GET /http://u:p;q@h HTTP/1.1\r\n", "GET /http://xxxxx@h HTTP/1.1\r\n"),
            ("GET /?a=http%3A%2F%2Fu%3Ap%40h HTTP/1.1\r\n", "GET /?a=http%3A%2F%2Fxxxxx%40h HTTP/1.1\r\n"),
            (
                "GET /?a=http://h&b=http://u:p&q@h&sig=c HTTP/1.1\r\n",
                "GET /?a=http://h&b=http://xxxxx@h&sig=x HTTP/1.1\r\n",
            ),
            ("GET u:p@h/@b HTTP/1.1\r\n", "GET xxx@h/@b HTTP/1.1\r\n"),
            ("CONNECT u:p@h:443 HTTP/1.1\r\n", "CONNECT xxx@h:443 HTTP/1.1\r\n"),
            ("Referer: https://u:p@h/?sig=abc\r\n", "Referer: https://xxx@h/?sig=xxx\r\n"),
            ("Link: <http://h/?sig=ab>; rel=\"next\"\r\n", "Link: <http://h/?sig=xx>; rel=\"next\"\r\n"),
            ("Refresh: 0;url=http://u:p@h/\r\n", "Refresh: 0;url=http://xxx@h/\r\n"),
            ("User-Agent: a (+http://u:p@h/?sig=1)\r\n", "User-Agent: a (+http://xxx@h/?sig=xx\r\n"),
            ("Link: <http://h/?a>, <http://h/?sig=a,b>\r\n", "Link: <http://h/?a>, <http://h/?sig=xxx>\r\n"),
            ("X-Forwarded-Host: u:p@h\r\n", "X-Forwarded-Host: xxx@h\r\n"),
            ("HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n"),
            ("\r\n", "\r\n"),
            ("", ""),
        ] {
            assert_eq!(scrubbed(line, true).0, expected);
        }
    }

    #[test]
    fn a_line_that_is_cut_says_no_more_than_a_whole_one() {
        for line in [
            "GET http://user:secret@host/a?sig=secret&b=c HTTP/1.1\r\n",
            "GET /http://user:secret@host/?a=http%3A//user:secret%40host/&b=c HTTP/1.1\r\n",
            "GET user:secret@host/ HTTP/1.1\r\n",
            "CONNECT user:secret@host:443 HTTP/1.1\r\n",
            "Host: user:secret@host\r\n",
            "User-Agent: a (+http://user:secret@host/?sig=secret) b\r\n",
        ] {
            for length in 0..line.len() {
                let (cut, _) = scrubbed(&line[..length], false);
                assert!(!cut.contains("sec"), "{cut}");
            }
        }
        assert_eq!(scrubbed("GET http://ho", false).0, "GET http://xx");
        assert_eq!(scrubbed("GET http://host/", false).0, "GET http://host/");
        assert_eq!(scrubbed("Authorization: B", false), ("Authorization: x".into(), Line::Credentials));
    }

    #[test]
    fn a_folded_field_is_overwritten_to_its_end() {
        let mut line = b" more\r\n".to_vec();
        let kind = scrub(&mut line, Line::Credentials, true, &SecretKeys::default());
        assert_eq!((&line[..], kind), (&b" xxxx\r\n"[..], Line::Credentials));
    }
}
