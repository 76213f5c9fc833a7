//! Remote: whom a client called. Without it Zipkin sees no dependency.

use std::net::IpAddr;

use engine::span::{Attribute, Value, names};

use super::{print, string, tag_value};

/// The attributes that tell it, the best first: of each the address, and the port that goes with a socket's. Spans
/// have the older ones only by way of the operator's own attributes.
const RANKS: [(&str, Option<&str>); 11] = [
    ("peer.service", None),
    (names::SERVER_ADDRESS, None),
    ("net.peer.name", None),
    (names::NETWORK_PEER_ADDRESS, Some(names::NETWORK_PEER_PORT)),
    ("server.socket.domain", None),
    ("server.socket.address", Some("server.socket.port")),
    ("net.sock.peer.name", None),
    ("net.sock.peer.addr", Some("net.sock.peer.port")),
    ("peer.hostname", None),
    ("peer.address", None),
    ("db.name", None),
];

/// Writes `remoteEndpoint`, if the attributes tell it.
pub(super) fn write(out: &mut Vec<u8>, attributes: &[Attribute]) {
    let rank = |attribute: &Attribute| RANKS.iter().position(|(name, _)| *name == attribute.key);
    let ranked = attributes.iter().filter_map(|attribute| Some((rank(attribute)?, attribute)));
    let Some((rank, best)) = ranked.min_by_key(|(rank, _)| *rank) else { return };
    let Some((_, port)) = RANKS.get(rank) else { return };
    let name = tag_value(&best.value);
    // Only an address of a socket is one in Zipkin's terms: what a host is called stays the name of its service.
    match (port, name.parse::<IpAddr>()) {
        (Some(port), Ok(address)) => {
            let family = if address.is_ipv4() { "ipv4" } else { "ipv6" };
            print(out, format_args!(r#","remoteEndpoint":{{"{family}":"{address}""#));
            let port = attributes.iter().find(|attribute| attribute.key == *port);
            if let Some(Value::Integer(number)) = port.map(|port| &port.value) {
                print(out, format_args!(r#","port":{number}"#));
            }
            out.push(b'}');
        }
        _ => {
            out.extend_from_slice(br#","remoteEndpoint":{"serviceName":"#);
            string(out, &name);
            out.push(b'}');
        }
    }
}
