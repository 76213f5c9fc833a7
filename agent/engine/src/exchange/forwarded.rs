//! What proxies in front say of the request they pass on: `Forwarded` (RFC 7239), else `X-Forwarded-*`.
//!
//! In: fields of a request's head. Out: the client, host and scheme that the first proxy saw: those of the first
//! element of the list. Of each, `Forwarded` is asked first. A field that cannot be read says nothing, and is counted.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::borrow::Cow;

use crate::{limit, protocol::Field};

/// Longest name of a scheme that is taken for one.
const SCHEME_MAX: usize = 16;

/// Who sent the request to the first proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Address(IpAddr),
    /// The proxy knows and does not say (RFC 7239, 6.2 and 6.3): it is not the peer.
    Hidden,
}

/// What the fields say; what they do not say is `None`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Forwarded<'a> {
    pub(crate) client: Option<Client>,
    /// Host and port, as in a `Host` field.
    pub(crate) host: Option<Cow<'a, [u8]>>,
    pub(crate) scheme: Option<Cow<'a, [u8]>>,
    /// Fields that could not be read.
    pub(crate) malformed: u64,
}

/// The fields that matter, the first of each: the first element of the list is in it.
#[derive(Clone, Copy, Default)]
pub(crate) struct Fields<'a> {
    forwarded: Option<&'a [u8]>,
    client: Option<&'a [u8]>,
    host: Option<&'a [u8]>,
    scheme: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// Looks at a field whose name may be one of these.
    pub(crate) fn look(&mut self, field: &Field<'a>) {
        let (name, slot): (&[u8], _) = match field.name.len() {
            9 => (b"forwarded", &mut self.forwarded),
            15 => (b"x-forwarded-for", &mut self.client),
            16 => (b"x-forwarded-host", &mut self.host),
            17 => (b"x-forwarded-proto", &mut self.scheme),
            _ => return,
        };
        if slot.is_none() && !field.value.is_empty() && name.eq_ignore_ascii_case(field.name) {
            *slot = Some(field.value);
        }
    }

    pub(crate) fn read(&self) -> Forwarded<'a> {
        let mut read = Forwarded::default();
        if self.forwarded.or(self.client).or(self.host).or(self.scheme).is_none() {
            return read;
        }
        if let Some(text) = self.forwarded {
            match forwarded(text) {
                Some(found) => read = found,
                None => read.malformed = 1,
            }
        }
        let mut malformed = 0_u64;
        if read.client.is_none() {
            read.client = first(self.client, client, &mut malformed);
        }
        if read.host.is_none() {
            read.host = first(self.host, |text| host(Cow::Borrowed(text)), &mut malformed);
        }
        if read.scheme.is_none() {
            read.scheme = first(self.scheme, |text| scheme(Cow::Borrowed(text)), &mut malformed);
        }
        read.malformed = read.malformed.saturating_add(malformed);
        read
    }
}

/// Reads the first element of a list without parameters.
fn first<'a, T>(
    text: Option<&'a [u8]>,
    read: impl FnOnce(&'a [u8]) -> Option<T>,
    malformed: &mut u64,
) -> Option<T> {
    let mut elements = text?.split(|&byte| byte == b',').map(<[u8]>::trim_ascii);
    // Empty elements do not count (RFC 9110, 5.6.1.2).
    let found = elements.find(|element| !element.is_empty()).and_then(read);
    *malformed = malformed.saturating_add(u64::from(found.is_none()));
    found
}

/// The first element of a `Forwarded` field: `name=value` with `;` between (RFC 7239, 4).
fn forwarded(text: &[u8]) -> Option<Forwarded<'_>> {
    let mut read = Forwarded::default();
    let (mut rest, mut any) = (text.trim_ascii_start(), false);
    while let Some(&byte) = rest.first() {
        match byte {
            b',' if any => break,
            b',' | b';' => rest = rest.get(1..)?.trim_ascii_start(),
            _ => {
                let Pair { name, value, behind } = Pair::first(rest)?;
                // A parameter occurs once in an element.
                let again = if name.eq_ignore_ascii_case(b"for") {
                    read.client.replace(client(&value)?).is_some()
                } else if name.eq_ignore_ascii_case(b"host") {
                    read.host.replace(host(value)?).is_some()
                } else if name.eq_ignore_ascii_case(b"proto") {
                    read.scheme.replace(scheme(value)?).is_some()
                } else {
                    false
                };
                rest = behind.trim_ascii_start();
                if again || !matches!(rest.first(), None | Some(b',' | b';')) {
                    return None;
                }
                any = true;
            }
        }
    }
    any.then_some(read)
}

/// A parameter, and what follows it.
struct Pair<'a> {
    name: &'a [u8],
    value: Cow<'a, [u8]>,
    behind: &'a [u8],
}

impl<'a> Pair<'a> {
    /// Addresses with ports and brackets are no tokens and have to be quoted, but are often sent without; so any value
    /// ends where the next one can begin.
    fn first(text: &'a [u8]) -> Option<Self> {
        let (name, rest) = text.split_at_checked(memchr::memchr(b'=', text)?)?;
        let rest = rest.get(1..)?;
        if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-') {
            return None;
        }
        if rest.first() == Some(&b'"') {
            let (value, behind) = quoted(rest.get(1..)?)?;
            return Some(Self { name, value, behind });
        }
        let ends = |byte: &u8| matches!(byte, b',' | b';' | b' ' | b'\t');
        let (value, behind) = rest.split_at_checked(rest.iter().position(ends).unwrap_or(rest.len()))?;
        let valid = !value.is_empty() && !value.contains(&b'"');
        valid.then_some(Self { name, value: Cow::Borrowed(value), behind })
    }
}

/// The rest of a quoted string (RFC 9110, 5.6.4), and what follows it.
fn quoted(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let end = memchr::memchr2(b'"', b'\\', text)?;
    if text.get(end) == Some(&b'"') {
        return Some((Cow::Borrowed(text.get(..end)?), text.get(end.saturating_add(1)..)?));
    }
    let mut value = Vec::new();
    let mut bytes = text.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((Cow::Owned(value), bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

/// A node (RFC 7239, 6), or an element of `X-Forwarded-For`: an address, perhaps with a port.
fn client(text: &[u8]) -> Option<Client> {
    if text.eq_ignore_ascii_case(b"unknown") || text.first() == Some(&b'_') {
        return Some(Client::Hidden);
    }
    let text = str::from_utf8(text).ok()?;
    let address = match text.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            let port = if port.is_empty() { Some("0") } else { port.strip_prefix(':') };
            port.filter(|port| is_port(port))?;
            IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)
        }
        // `X-Forwarded-For` has IPv6 addresses without brackets.
        None => match text.parse::<IpAddr>() {
            Ok(address) => address,
            Err(_) => {
                let (address, _) = text.split_once(':').filter(|(_, port)| is_port(port))?;
                IpAddr::V4(address.parse::<Ipv4Addr>().ok()?)
            }
        },
    };
    Some(Client::Address(address.to_canonical()))
}

/// A port, which may be obfuscated (RFC 7239, 6).
fn is_port(text: &str) -> bool {
    let digits = || text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok();
    text.starts_with('_') || digits()
}

/// What may be a host, perhaps with a port (RFC 3986, 3.2.2).
fn host(text: Cow<'_, [u8]>) -> Option<Cow<'_, [u8]>> {
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+=:[]".contains(byte);
    (!text.is_empty() && text.len() <= limit::TEXT_MAX && text.iter().all(allowed)).then_some(text)
}

/// RFC 3986, 3.1.
fn scheme(text: Cow<'_, [u8]>) -> Option<Cow<'_, [u8]>> {
    let is_scheme = text.len() <= SCHEME_MAX
        && text.first().is_some_and(u8::is_ascii_alphabetic)
        && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(byte));
    is_scheme.then_some(text)
}
