//! Secrets: what tells them, and how they are made unreadable where text of others is kept or shown.

use std::borrow::Cow;

use engine::{policy::SecretKeys, secrets};

/// Words in the names of header fields that carry credentials. There is no end of such names, so words are listed, and
/// rather one too many: none of the fields that spans are made of has one in its name.
const CREDENTIALS: [&str; 16] = [
    "authorization",
    "authenticat",
    "cookie",
    "token",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "credential",
    "session",
    "api-key",
    "api_key",
    "apikey",
    "access-key",
    "subscription-key",
    "jwt",
];
/// Names without such a word.
const NAMES: [&str; 6] =
    ["x-functions-key", "x-auth", "x-auth-key", "dpop", "x-amzn-oidc-data", "x-goog-iap-data"];

/// Whether the values of this header field or variable are credentials, by its name.
pub(crate) fn is_credential(name: &[u8]) -> bool {
    let has =
        |word: &str| name.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()));
    NAMES.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
        || CREDENTIALS.iter().any(|word| has(word))
}

/// Where `user:password` stands in an authority (RFC 3986, 3.2): everything before its last `@`.
pub(crate) fn user_information(authority: &[u8]) -> usize {
    authority.iter().rposition(|&byte| byte == b'@').unwrap_or_default()
}

/// A text that may hold URLs, to be shown: credentials of URLs and the values of secret keys are `REDACTED`.
pub(crate) fn shown<'a>(text: &'a str, keys: &SecretKeys) -> Cow<'a, str> {
    let bytes = text.as_bytes();
    let credentials = secrets::authorities(bytes).filter_map(|authority| authority.credentials);
    let mut cuts: Vec<_> = credentials.map(|credentials| credentials.range).collect();
    if let Some(mark) = text.find('?') {
        // To the end of the text: what is no URL by the rules ends nowhere before.
        let start = mark.saturating_add(1);
        let values = keys.values(bytes.get(start..).unwrap_or_default());
        cuts.extend(values.map(|value| start.saturating_add(value.start)..start.saturating_add(value.end)));
    }
    if cuts.is_empty() {
        return Cow::Borrowed(text);
    }
    cuts.sort_by_key(|cut| cut.start);
    let (mut out, mut at) = (String::with_capacity(text.len()), 0);
    for cut in cuts {
        if cut.start >= at {
            out.push_str(text.get(at..cut.start).unwrap_or_default());
            out.push_str("REDACTED");
        }
        at = at.max(cut.end);
    }
    out.push_str(text.get(at..).unwrap_or_default());
    Cow::Owned(out)
}

/// What is meant to be an address, or `NAME=ADDRESS`, to be shown where it is refused: it need not be one, so that
/// everything before its last `@` is taken for credentials, and a query is left out, for it may be a key.
pub(crate) fn address(text: &str) -> String {
    let before = text.split('?').next().unwrap_or_default();
    let begin = before.find("://").map(|mark| mark.saturating_add(3));
    let begin = begin.or_else(|| before.find('=').map(|mark| mark.saturating_add(1))).unwrap_or_default();
    let (name, rest) = text.split_at_checked(begin).unwrap_or(("", text));
    let (credentials, host) = match rest.rsplit_once('@') {
        Some((_, host)) => ("REDACTED@", host),
        None => ("", rest),
    };
    let host = host.split('?').next().unwrap_or_default();
    format!("{name}{credentials}{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_carry_credentials_are_known_by_their_names() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "Cookie",
            "Set-Cookie",
            "X-Api-Key",
            "apikey",
            "X-Auth-Token",
            "X-Amz-Security-Token",
            "X-CSRF-Token",
            "X-Vault-Token",
            "PRIVATE-TOKEN",
            "X-Client-Secret",
            "Ocp-Apim-Subscription-Key",
            "Cf-Access-Jwt-Assertion",
            "X-Session-Id",
            "Authentication-Info",
            "X-Functions-Key",
        ] {
            assert!(is_credential(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn fields_that_spans_are_made_of_are_none_of_them() {
        for name in [
            "Host",
            "Content-Length",
            "Transfer-Encoding",
            "Connection",
            "Upgrade",
            "Expect",
            "User-Agent",
            "Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "traceparent",
            "tracestate",
            "baggage",
            "b3",
            "X-B3-TraceId",
            "X-B3-Sampled",
            "uber-trace-id",
            "x-datadog-trace-id",
            "x-datadog-parent-id",
            "x-datadog-tags",
            "ot-tracer-spanid",
            "X-Amzn-Trace-Id",
            "grpc-status",
            "Content-Type",
        ] {
            assert!(!is_credential(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn an_address_is_shown_without_credentials_and_query() {
        for (text, expected) in [
            ("jaeger", "jaeger"),
            ("otlp=http://c:4318/x", "otlp=http://c:4318/x"),
            ("otlp=http://u:p?q@c/?k=v", "otlp=http://REDACTED@c/"),
            ("otlp-grpc=u:p@c?k=v", "otlp-grpc=REDACTED@c"),
            ("u@c?k=v", "REDACTED@c"),
            ("c?to=http://x", "c"),
        ] {
            assert_eq!(address(text), expected);
        }
    }

    #[test]
    fn a_text_is_shown_without_the_credentials_of_its_url() {
        let keys = SecretKeys::default();
        for (text, expected) in [
            ("plain", "plain"),
            ("http://host/a?b=c", "http://host/a?b=c"),
            ("http://user:p@ss@host/a@b", "http://REDACTED@host/a@b"),
            ("--proxy=http://user:pass@host", "--proxy=http://REDACTED@host"),
            ("/x?a=1&sig=s%41&b=2&Signature=t", "/x?a=1&sig=REDACTED&b=2&Signature=REDACTED"),
            (
                "curl http://h/?a=b http://u:p@h http://v:q;r@h/?sig=s",
                "curl http://h/?a=b http://REDACTED@h http://REDACTED@h/?sig=REDACTED",
            ),
            ("--to=http%3A%2F%2Fu%3Ap%40h", "--to=http%3A%2F%2FREDACTED%40h"),
            ("https://u@h/?sig=1", "https://REDACTED@h/?sig=REDACTED"),
        ] {
            assert_eq!(shown(text, &keys), expected);
        }
    }
}
