//! What is kept of a request's head: the few texts that a span shows, in one allocation.

use super::{
    forwarded::{self, Client, Forwarded},
    kept::Kept,
};
use crate::{
    limit,
    policy::{Methods, Policy, methods::STANDARD},
    protocol::{Field, RequestHead, Side, Version},
    span::target::is_scheme,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// One of the standard ones, whether or not the operator counts it as known.
    Known(&'static str),
    /// Its text is kept.
    Other,
    Unknown,
}

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// The operator counts the method as known.
    pub(crate) listed: bool,
    pub(crate) target_truncated: bool,
    /// Fields were lost: one that is not here may have been there.
    pub(crate) fields_incomplete: bool,
    /// What proxies in front say of the client.
    pub(crate) client: Option<Client>,
    /// Fields that the operator asked for.
    pub(crate) headers: Kept,
    text: Box<[u8]>,
    /// Where each text ends in `text`; `None`: unknown, and takes no room.
    ends: [Option<u32>; 7],
}

/// What was wrong with a head, or too much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Fields of proxies that could not be read.
    pub(crate) forwarded: u64,
    /// Fields that the operator asked for and there was no room for.
    pub(crate) headers: u64,
}

const METHOD: usize = 0;
const TARGET: usize = 1;
const HOST: usize = 2;
const AGENT: usize = 3;
const FORWARDED_HOST: usize = 4;
const FORWARDED_SCHEME: usize = 5;
const SCHEME: usize = 6;

impl Head {
    /// `room`: bytes that may be kept.
    pub(crate) fn new(head: &RequestHead<'_>, side: Side, policy: &Policy, room: usize) -> (Self, Refused) {
        let (method, listed) = method(head.method, &policy.methods);
        let found = Found::new(head.fields, side == Side::Server && policy.forwarded);
        let proxies = found.forwarded;
        let target_room = limit::TARGET_MAX.min(room.max(limit::TARGET_CROWDED));
        let full = head.target;
        let target = full.map(|target| cut(target, target_room));
        let parts = [
            head.method.filter(|_| method == Method::Other).map(|text| cut(text, limit::TEXT_MAX)),
            target,
            // A longer one is no host, and a cut one would be a wrong one.
            head.authority.or(found.host).filter(|host| host.len() <= limit::TEXT_MAX),
            found.agent.map(|agent| cut(agent, limit::TEXT_MAX)),
            proxies.host.as_deref(),
            proxies.scheme.as_deref(),
            // `http` is what is taken for it where nothing else is said.
            head.scheme
                .filter(|scheme| scheme.len() <= limit::TEXT_MAX && *scheme != b"http" && is_scheme(scheme)),
        ];
        let mut text = Vec::with_capacity(parts.iter().flatten().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            text.extend_from_slice(part?);
            u32::try_from(text.len()).ok()
        });
        let (headers, left_out) =
            Kept::new(&policy.headers.request, head.fields, room.saturating_sub(text.len()));
        let kept = Self {
            version: head.version,
            method,
            listed,
            target_truncated: head.target_truncated || full.map(<[u8]>::len) != target.map(<[u8]>::len),
            fields_incomplete: head.fields_incomplete,
            client: proxies.client,
            headers,
            text: text.into_boxed_slice(),
            ends,
        };
        (kept, Refused { forwarded: proxies.malformed, headers: left_out })
    }

    pub(crate) fn method_text(&self) -> Option<&[u8]> {
        self.part(METHOD)
    }

    pub(crate) fn target(&self) -> Option<&[u8]> {
        self.part(TARGET)
    }

    pub(crate) fn host(&self) -> Option<&[u8]> {
        self.part(HOST)
    }

    pub(crate) fn agent(&self) -> Option<&[u8]> {
        self.part(AGENT)
    }

    /// `:scheme` of HTTP/2, unless it is `http`: what the client meant, whatever the connection is.
    pub(crate) fn scheme(&self) -> Option<&[u8]> {
        self.part(SCHEME)
    }

    /// Host and port of the request as the first proxy got it.
    pub(crate) fn forwarded_host(&self) -> Option<&[u8]> {
        self.part(FORWARDED_HOST)
    }

    /// Scheme of the request as the first proxy got it.
    pub(crate) fn forwarded_scheme(&self) -> Option<&[u8]> {
        self.part(FORWARDED_SCHEME)
    }

    /// Bytes that are kept.
    pub(crate) fn size(&self) -> usize {
        self.text.len().saturating_add(self.headers.size())
    }

    fn part(&self, which: usize) -> Option<&[u8]> {
        let end = (*self.ends.get(which)?)?;
        let before = self.ends.get(..which)?.iter().flatten().next_back().copied().unwrap_or_default();
        self.text.get(before as usize..end as usize)
    }
}

/// A method, and whether the operator counts it as known.
fn method(text: Option<&[u8]>, known: &Methods) -> (Method, bool) {
    let Some(text) = text else { return (Method::Unknown, false) };
    match STANDARD.iter().enumerate().find(|(_, standard)| standard.as_bytes() == text) {
        Some((index, standard)) => (Method::Known(standard), known.knows_standard(index)),
        None => (Method::Other, known.knows_other(text)),
    }
}

/// The fields that every span needs.
struct Found<'a> {
    host: Option<&'a [u8]>,
    agent: Option<&'a [u8]>,
    forwarded: Forwarded<'a>,
}

impl<'a> Found<'a> {
    /// `trusting`: proxies in front are believed.
    fn new(fields: &[Field<'a>], trusting: bool) -> Self {
        let (mut host, mut hosts, mut agent) = (None, 0_u32, None);
        let mut forwarded = forwarded::Fields::default();
        for field in fields {
            match field.name.len() {
                4 if field.name.eq_ignore_ascii_case(b"host") => {
                    host = Some(field.value);
                    hosts = hosts.saturating_add(1);
                }
                10 if agent.is_none() && field.name.eq_ignore_ascii_case(b"user-agent") => {
                    agent = Some(field.value);
                }
                9 | 15..=17 if trusting => forwarded.look(field),
                _ => {}
            }
        }
        // Two hosts are none (RFC 9112, 3.2).
        let host = host.filter(|host| hosts == 1 && !host.is_empty());
        Self { host, agent, forwarded: forwarded.read() }
    }
}

fn cut(text: &[u8], room: usize) -> &[u8] {
    text.get(..room).unwrap_or(text)
}
