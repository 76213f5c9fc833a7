//! What a client span says of its request.

use super::{
    attributes::{List, SCHEME, default_port},
    names, redact,
    target::{Target, host_and_port},
};
use crate::{
    event::Endpoint,
    exchange::{Head, Socket},
    limit,
    policy::{Policy, opt_in::Item},
    protocol::Version,
};

pub(super) fn describe(list: &mut List, head: &Head, socket: Option<&Socket>, policy: &Policy) {
    let target = Target::of(head);
    let authority = target.authority.or_else(|| head.host());
    let scheme = target.scheme_of(head);
    // A request without Host (HTTP/1.0) is for whom it was sent to.
    let remote = socket.filter(|_| authority.is_none() && !head.fields_incomplete);
    let peer = match remote.and_then(|socket| socket.remote.as_ref()) {
        Some(Endpoint::Ip(remote)) => Some(remote.to_string()),
        Some(Endpoint::Unix(path)) if !path.is_empty() => {
            list.text(names::SERVER_ADDRESS, redact::unix(path));
            None
        }
        Some(Endpoint::Unix(_)) | None => None,
    };
    let authority = authority.or_else(|| peer.as_deref().map(str::as_bytes));
    if let Some((host, port)) = authority.and_then(host_and_port) {
        list.server(host, port.or_else(|| default_port(scheme, head)));
    }
    let scheme = scheme.unwrap_or(SCHEME.as_bytes());
    // CONNECT asks for no resource, so that there is no URL.
    if let (Some(authority), Some(path)) = (authority, target.path) {
        let path = match (target.scheme, path) {
            // `OPTIONS *` is about the server (RFC 9112, 3.2.4).
            (None, b"*") => b"",
            _ => path,
        };
        let cut = head.target_truncated;
        let url = redact::url(scheme, authority, path, target.query, &policy.redact, cut);
        list.text(names::URL_FULL, url);
    }
    // The authority stands for an entry that was sent before the agent was there: what was asked for is known.
    if let (None, Some(path)) = (authority, target.path)
        && head.fields_incomplete
        && head.version == Version::Http2
    {
        list.text(names::URL_PATH, redact::path(path, head.target_truncated && target.query.is_none()));
        if let Some(query) = target.query {
            list.text(names::URL_QUERY, redact::query(query, &policy.redact, head.target_truncated));
        }
    }
    if policy.opt_in.has(Item::Scheme) && target.path.is_some() {
        list.text(names::URL_SCHEME, redact::text(scheme).to_ascii_lowercase());
    }
    if policy.opt_in.has(Item::UserAgent)
        && let Some(agent) = head.agent()
    {
        list.text(
            names::USER_AGENT_ORIGINAL,
            redact::field(agent, &policy.redact, agent.len() >= limit::TEXT_MAX),
        );
    }
}
