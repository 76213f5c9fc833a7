//! Secrets: what tells them, and how they are made unreadable where text of others is kept or shown.

use std::borrow::Cow;

use engine::policy::SecretKeys;

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

/// A text that may hold a URL, to be shown: credentials of URLs and the values of secret keys are `REDACTED`.
pub(crate) fn shown<'a>(text: &'a str, keys: &SecretKeys) -> Cow<'a, str> {
    let mut cuts = Vec::new();
    if let Some(scheme) = text.find("://") {
        let start = scheme.saturating_add(3);
        let rest = text.get(start..).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let length = user_information(authority.as_bytes());
        if length > 0 {
            cuts.push(start..start.saturating_add(length));
        }
    }
    if let Some(mark) = text.find('?') {
        let start = mark.saturating_add(1);
        let values = keys.values(text.as_bytes().get(start..).unwrap_or_default());
        cuts.extend(values.map(|value| start.saturating_add(value.start)..start.saturating_add(value.end)));
    }
    let mut shown = Cow::Borrowed(text);
    for cut in cuts.into_iter().rev() {
        shown.to_mut().replace_range(cut, "REDACTED");
    }
    shown
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
    fn a_text_is_shown_without_the_credentials_of_its_url() {
        let keys = SecretKeys::default();
        for (text, expected) in [
            ("plain", "plain"),
            ("http://host/a?b=c", "http://host/a?b=c"),
            ("http://user:p@ss@host/a@b", "http://REDACTED@host/a@b"),
            ("--proxy=http://user:pass@host", "--proxy=http://REDACTED@host"),
            ("/x?a=1&sig=s%41&b=2&Signature=t", "/x?a=1&sig=REDACTED&b=2&Signature=REDACTED"),
            ("https://u@h/?sig=1", "https://REDACTED@h/?sig=REDACTED"),
        ] {
            assert_eq!(shown(text, &keys), expected);
        }
    }
}
