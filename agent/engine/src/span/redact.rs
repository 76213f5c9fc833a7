//! What never leaves the host: the one place through which every exported text of a request passes.

use super::target::after_credentials;

const CREDENTIALS: &str = "REDACTED:REDACTED@";

/// A URL in which `user:password@` is replaced, as the conventions have it for `url.full`.
pub(super) fn url(scheme: &[u8], authority: &[u8], rest: &[u8]) -> String {
    let host = after_credentials(authority);
    let mut url = String::with_capacity(
        [scheme.len(), CREDENTIALS.len(), host.len(), rest.len(), 3]
            .into_iter()
            .fold(0, usize::saturating_add),
    );
    push(&mut url, scheme);
    url.push_str("://");
    if host.len() != authority.len() {
        url.push_str(CREDENTIALS);
    }
    push(&mut url, host);
    push(&mut url, rest);
    url
}

/// A text from the wire, as it may be shown.
pub(super) fn text(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn push(url: &mut String, bytes: &[u8]) {
    match str::from_utf8(bytes) {
        Ok(text) => url.push_str(text),
        Err(_) => url.push_str(&String::from_utf8_lossy(bytes)),
    }
}
