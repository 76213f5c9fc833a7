//! A request target taken apart (RFC 9112, 3.2).

use crate::exchange::{Head, Method};

/// What a target and the host say about the resource. Parts are as on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) scheme: Option<&'a [u8]>,
    /// Of an absolute or authority form.
    pub(crate) authority: Option<&'a [u8]>,
    /// Of an absolute form it may be empty.
    pub(crate) path: Option<&'a [u8]>,
    pub(crate) query: Option<&'a [u8]>,
}

impl<'a> Target<'a> {
    pub(super) fn of(head: &'a Head) -> Self {
        let connect = head.method == Method::Known("CONNECT");
        let target = head.target().map_or_else(Self::default, |target| Self::parse(target, connect));
        // The rest of the authority, the host in it, may be what was cut off.
        let cut = head.target_truncated
            && target.authority.is_some()
            && target.query.is_none()
            && target.path.is_none_or(<[u8]>::is_empty);
        if cut { Self::default() } else { target }
    }

    /// What the client asked by: the target says, else `:scheme` does. `None`: nothing but the connection says.
    pub(super) fn scheme_of(&self, head: &'a Head) -> Option<&'a [u8]> {
        self.scheme.or_else(|| head.scheme())
    }

    /// The path; an empty one is the root (RFC 9110, 4.2.3).
    pub(super) fn rooted(&self) -> Option<&'a [u8]> {
        self.path.map(|path| if path.is_empty() { b"/" } else { path })
    }

    /// `connect`: the method is CONNECT, whose target is an authority.
    pub(crate) fn parse(text: &'a [u8], connect: bool) -> Self {
        if text.first() == Some(&b'/') || text == b"*" {
            let (path, query) = split_query(text);
            return Self { path: Some(path), query, ..Self::default() };
        }
        if connect {
            return Self { authority: Some(text), ..Self::default() };
        }
        let Some(colon) = find(text, b"://").filter(|colon| text.get(..*colon).is_some_and(is_scheme)) else {
            // No form of the RFC: shown as it is.
            let (path, query) = split_query(text);
            return Self { path: Some(path), query, ..Self::default() };
        };
        let rest = text.get(colon.saturating_add(3)..).unwrap_or_default();
        let end = rest.iter().position(|byte| b"/?#".contains(byte)).unwrap_or(rest.len());
        let (authority, rest) = rest.split_at_checked(end).unwrap_or((rest, b""));
        let (path, query) = split_query(rest);
        Self { scheme: text.get(..colon), authority: Some(authority), path: Some(path), query }
    }
}

/// Host and port of an authority, without credentials and brackets. A port that is none makes both unknown.
pub(super) fn host_and_port(authority: &[u8]) -> Option<(&[u8], Option<u16>)> {
    let authority = after_credentials(authority);
    let (host, port) = if let Some(rest) = authority.strip_prefix(b"[") {
        let close = rest.iter().position(|&byte| byte == b']')?;
        let (host, rest) = rest.split_at_checked(close)?;
        (host, rest.strip_prefix(b"]")?)
    } else {
        let colon = authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len());
        authority.split_at_checked(colon)?
    };
    let port = match port {
        // An empty port is the default one (RFC 3986, 3.2.3).
        [] | [b':'] => None,
        [b':', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            Some(std::str::from_utf8(digits).ok()?.parse().ok()?)
        }
        _ => return None,
    };
    (!host.is_empty()).then_some((host, port))
}

/// The part of an authority behind `user:password@`.
pub(super) fn after_credentials(authority: &[u8]) -> &[u8] {
    let at = authority.iter().rposition(|&byte| byte == b'@');
    at.and_then(|at| authority.get(at.saturating_add(1)..)).unwrap_or(authority)
}

fn split_query(text: &[u8]) -> (&[u8], Option<&[u8]>) {
    match text.iter().position(|&byte| byte == b'?').and_then(|mark| text.split_at_checked(mark)) {
        Some((path, query)) => (path, query.get(1..)),
        None => (text, None),
    }
}

/// RFC 3986, 3.1.
pub(crate) fn is_scheme(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}
