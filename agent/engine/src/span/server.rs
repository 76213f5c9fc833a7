//! What a server span says of its request. Its client is who the first proxy in front heard, if proxies are believed.

use super::{
    attributes::{List, SCHEME, default_port},
    names, redact,
    target::{Target, host_and_port},
};
use crate::{
    event::Endpoint,
    exchange::{Head, Socket, forwarded::Client},
    limit,
    policy::Policy,
};

/// Adds the attributes; returns the route.
pub(super) fn describe<'a>(list: &mut List, head: &Head, policy: &'a Policy) -> Option<&'a str> {
    let target = Target::of(head);
    let mut route = None;
    if let Some(path) = target.rooted() {
        list.text(names::URL_PATH, redact::path(path, head.target_truncated && target.query.is_none()));
        // A path that is cut is another path.
        let whole = !head.target_truncated || target.query.is_some();
        route = policy.routes.find(path).filter(|_| whole);
        if let Some(route) = route {
            list.text(names::HTTP_ROUTE, route.to_owned());
        }
    }
    if let Some(query) = target.query {
        list.text(names::URL_QUERY, redact::query(query, &policy.redact, head.target_truncated));
    }
    let told = head.forwarded_scheme();
    match told {
        None => list.text(names::URL_SCHEME, SCHEME),
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => list.text(names::URL_SCHEME, "https"),
        Some(scheme) => list.text(names::URL_SCHEME, redact::text(scheme).to_ascii_lowercase()),
    }
    address(list, head, &target);
    if let Some(agent) = head.agent() {
        list.text(
            names::USER_AGENT_ORIGINAL,
            redact::field(agent, &policy.redact, agent.len() >= limit::TEXT_MAX),
        );
    }
    route
}

fn address(list: &mut List, head: &Head, target: &Target<'_>) {
    let told = head.forwarded_scheme();
    if let Some((host, port)) = head.forwarded_host().and_then(host_and_port) {
        // The scheme of the connection says nothing of a host that was asked in front of a proxy.
        return list.server(host, port.or_else(|| told.and_then(|scheme| default_port(Some(scheme), head))));
    }
    // An absolute target overrides Host (RFC 9112, 3.2.2).
    if let Some((host, port)) = target.authority.or_else(|| head.host()).and_then(host_and_port) {
        let meant = || default_port(target.scheme_of(head), head);
        // A proxy may have put its own host here, or left the client's: known only if both mean the same port.
        let told = |meant: &u16| told.is_none_or(|scheme| default_port(Some(scheme), head) == Some(*meant));
        list.server(host, port.or_else(|| meant().filter(told)));
    }
}

/// Adds the client: what proxies say, else what the PROXY protocol says, else the peer.
pub(super) fn client(list: &mut List, head: Option<&Head>, socket: Option<&Socket>) {
    let proxied = socket.and_then(|socket| socket.proxied);
    match (head.and_then(|head| head.client), proxied) {
        (Some(Client::Address(address)), _) | (None, Some(address)) => {
            list.text(names::CLIENT_ADDRESS, address.to_string());
        }
        (Some(Client::Hidden), _) => {}
        (None, None) => {
            // A Unix socket's path is the server's.
            let ip = socket.filter(|socket| matches!(socket.remote, Some(Endpoint::Ip(_))));
            if let Some(peer) = ip.and_then(|socket| socket.remote_text.as_deref()) {
                list.text(names::CLIENT_ADDRESS, String::from(peer));
            }
        }
    }
}
