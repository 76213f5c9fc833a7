//! Which exchanges the rules of their process's policy ignore.

use super::Correlator;
use crate::{
    event::{Endpoint, Time},
    exchange::{Exchange, Key, Method},
    limit,
    policy::ignore::Facts,
    protocol::Side,
    span::target::Target,
};

impl Correlator {
    /// Whether its process's rules ignore this end of an exchange; `None`: that is not known yet.
    pub(super) fn is_ignored(&self, exchange: &Exchange, force: bool) -> Option<bool> {
        let rules = &exchange.policy.ignore;
        if rules.is_empty() {
            return Some(false);
        }
        let ended = exchange.end.is_some() || force;
        let Some(head) = &exchange.head else { return ended.then_some(false) };
        let method = match head.method {
            Method::Known(name) => Some(name.as_bytes()),
            Method::Other => head.method_text(),
            Method::Unknown => None,
        };
        let target =
            head.target().map(|target| Target::parse(target, head.method == Method::Known("CONNECT")));
        // Of a target that was cut the path is whole if the query has begun.
        let whole = |target: &Target<'_>| !head.target_truncated || target.query.is_some();
        let socket = self.sockets.get(exchange.socket).filter(|_| exchange.side == Side::Server);
        let port = match socket.and_then(|socket| socket.local.as_ref()) {
            Some(Endpoint::Ip(address)) => Some(address.port()),
            Some(Endpoint::Unix(_)) | None => None,
        };
        rules.covers(&Facts {
            method,
            path: target.filter(whole).and_then(|target| target.path),
            user_agent: head.agent(),
            port,
            status: exchange.status,
            status_may_come: !ended,
        })
    }

    /// The same of the server's end of a client exchange: only that one knows the port.
    pub(super) fn server_is_ignored(&self, key: Key<Exchange>, now: Time, force: bool) -> Option<bool> {
        let client = self.exchanges.get(key)?;
        match client.pair.and_then(|server| self.exchanges.get(server)) {
            Some(server) => self.is_ignored(server, force),
            None if self.policies.ignore_by_port && !force => {
                let over = client.end.is_some() && now >= client.ended.saturating_add(limit::PEER_WAIT);
                over.then_some(false)
            }
            None => Some(false),
        }
    }
}
