//! What is kept of a request's head: the few texts that a span shows, in one allocation.

use crate::{
    limit,
    protocol::{Field, RequestHead, Version},
};

/// Methods that keep their name: RFC 9110 (9.3), PATCH (RFC 5789), QUERY (OpenTelemetry's HTTP conventions).
const METHODS: [&str; 10] =
    ["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "CONNECT", "TRACE", "QUERY"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
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
    pub(crate) target_truncated: bool,
    text: Box<[u8]>,
    /// Where method, target, host and agent end in `text`; `None`: unknown, and takes no room.
    ends: [Option<u32>; 4],
}

const METHOD: usize = 0;
const TARGET: usize = 1;
const HOST: usize = 2;
const AGENT: usize = 3;

impl Head {
    /// `room`: bytes of text that may be kept.
    pub(crate) fn new(head: &RequestHead<'_>, room: usize) -> Self {
        let method = match head.method {
            None => Method::Unknown,
            Some(text) => METHODS
                .iter()
                .find(|known| known.as_bytes() == text)
                .map_or(Method::Other, |known| Method::Known(known)),
        };
        let (host, agent) = host_and_agent(head.fields);
        let target_room = limit::TARGET_MAX.min(room.max(limit::TARGET_CROWDED));
        let full = head.target;
        let target = full.map(|target| cut(target, target_room));
        let parts = [
            head.method.filter(|_| method == Method::Other).map(|text| cut(text, limit::TEXT_MAX)),
            target,
            // A longer one is no host, and a cut one would be a wrong one.
            head.authority.or(host).filter(|host| host.len() <= limit::TEXT_MAX),
            agent.map(|agent| cut(agent, limit::TEXT_MAX)),
        ];
        let mut text = Vec::with_capacity(parts.iter().flatten().map(|part| part.len()).sum());
        let ends = parts.map(|part| {
            text.extend_from_slice(part?);
            u32::try_from(text.len()).ok()
        });
        Self {
            version: head.version,
            method,
            target_truncated: head.target_truncated || full.map(<[u8]>::len) != target.map(<[u8]>::len),
            text: text.into_boxed_slice(),
            ends,
        }
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

    /// Bytes of text.
    pub(crate) fn size(&self) -> usize {
        self.text.len()
    }

    fn part(&self, which: usize) -> Option<&[u8]> {
        let end = (*self.ends.get(which)?)?;
        let before = self.ends.get(..which)?.iter().flatten().next_back().copied().unwrap_or_default();
        self.text.get(before as usize..end as usize)
    }
}

/// The values of `Host` and `User-Agent`. Two hosts are none (RFC 9112, 3.2).
fn host_and_agent<'a>(fields: &[Field<'a>]) -> (Option<&'a [u8]>, Option<&'a [u8]>) {
    let (mut host, mut hosts, mut agent) = (None, 0_u32, None);
    for field in fields {
        match field.name.len() {
            4 if field.name.eq_ignore_ascii_case(b"host") => {
                host = Some(field.value);
                hosts = hosts.saturating_add(1);
            }
            10 if agent.is_none() && field.name.eq_ignore_ascii_case(b"user-agent") => agent = Some(field.value),
            _ => {}
        }
    }
    (host.filter(|host| hosts == 1 && !host.is_empty()), agent)
}

fn cut(text: &[u8], room: usize) -> &[u8] {
    text.get(..room).unwrap_or(text)
}
