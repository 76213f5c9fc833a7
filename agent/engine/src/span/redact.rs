//! What never leaves the host: the one place through which every exported text of a request passes.

use super::target::after_credentials;

const CREDENTIALS: &str = "REDACTED:REDACTED@";

/// A URL in which `user:password@` is replaced, as the conventions have it for `url.full`.
pub(super) fn url(scheme: &[u8], authority: &[u8], rest: &[u8]) -> String {
    let host = after_credentials(authority);
    let mut url = String::with_capacity(
        [scheme.len(), CREDENTIALS.len(), host.len(), rest.len(), 3].into_iter().fold(0, usize::saturating_add),
    );
    url.push_str(&String::from_utf8_lossy(scheme));
    url.push_str("://");
    if host.len() != authority.len() {
        url.push_str(CREDENTIALS);
    }
    url.push_str(&String::from_utf8_lossy(host));
    url.push_str(&text_of(rest));
    url
}

/// A text from the wire, as it may be shown. A target that holds a URL with credentials loses them too.
pub(super) fn text(bytes: &[u8]) -> String {
    text_of(bytes).into_owned()
}

fn text_of(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
