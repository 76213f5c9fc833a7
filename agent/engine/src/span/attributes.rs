//! The attributes of an HTTP span: OpenTelemetry's stable conventions, required and recommended ones.
//!
//! Unknown is left out. The route is never guessed, so a span's name is its method. `Forwarded` and its kin
//! are not believed: addresses and scheme are those of the connection, or of its PROXY protocol preamble.

use std::borrow::Cow;

use super::{
    Attribute, Kind, Span, Status, Value, names, outcome, redact,
    target::{Target, host_and_port},
};
use crate::{
    event::{Endpoint, Time},
    exchange::{Exchange, Head, Method, Socket, Trace},
    protocol::{Side, Version},
};

/// More than a span has.
const ATTRIBUTES: usize = 16;
/// Connections are plain ones until a TLS library is read.
const SCHEME: &str = "http";

/// Makes the span of an exchange that has ended.
pub(crate) fn span(
    exchange: &Exchange,
    socket: Option<&mut Socket>,
    trace: Trace,
    start: Time,
    end: Time,
) -> Span {
    let mut list = List(Vec::with_capacity(ATTRIBUTES));
    let error = outcome::error(exchange.side, exchange.status, exchange.ending);
    let name = exchange.head.as_ref().map_or(Cow::Borrowed("HTTP"), |head| method(&mut list, head));
    if let Some(head) = &exchange.head {
        match exchange.side {
            Side::Server => server(&mut list, head),
            Side::Client => client(&mut list, head, socket.as_deref()),
        }
        list.text(names::NETWORK_PROTOCOL_VERSION, version(head.version));
        if head.target_truncated {
            list.add(names::TARGET_TRUNCATED, Value::Bool(true));
        }
    }
    if let Some(status) = exchange.status {
        list.add(names::HTTP_RESPONSE_STATUS_CODE, Value::Integer(i64::from(status)));
    }
    if let Some(socket) = socket {
        peer(&mut list, exchange.side, socket);
    }
    if let Some(error) = &error {
        list.add(names::ERROR_TYPE, Value::String(error.clone()));
    }
    if let Some(why) = outcome::incomplete(exchange.ending) {
        list.text(names::INCOMPLETE, why);
    }
    if let Some(parent) = trace.parent {
        list.text(names::LINK_METHOD, parent.method.as_str());
    }
    list.0.extend(exchange.policy.attributes.iter().cloned());
    Span {
        trace_id: trace.trace_id,
        span_id: exchange.span_id,
        parent: trace.parent,
        trace_state: trace.state.as_deref().map(Box::from),
        trace_flags: trace.flags,
        kind: match exchange.side {
            Side::Server => Kind::Server,
            Side::Client => Kind::Client,
        },
        name,
        start,
        end,
        tgid: exchange.tgid,
        attributes: list.0,
        events: Vec::new(),
        links: trace.follows.into_iter().collect(),
        // The status code or the error's type says all there is to say.
        status: if error.is_some() { Status::Error { description: None } } else { Status::Unset },
    }
}

struct List(Vec<Attribute>);

impl List {
    fn add(&mut self, key: &'static str, value: Value) {
        self.0.push(Attribute { key: Cow::Borrowed(key), value });
    }

    fn text(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.add(key, Value::String(value.into()));
    }

    fn server(&mut self, host: &[u8], port: Option<u16>) {
        self.text(names::SERVER_ADDRESS, redact::text(host));
        if let Some(port) = port {
            self.add(names::SERVER_PORT, Value::Integer(i64::from(port)));
        }
    }
}

/// Adds the method; returns the span's name.
fn method(list: &mut List, head: &Head) -> Cow<'static, str> {
    match head.method {
        Method::Known(method) => {
            list.text(names::HTTP_REQUEST_METHOD, method);
            Cow::Borrowed(method)
        }
        Method::Other => {
            list.text(names::HTTP_REQUEST_METHOD, "_OTHER");
            if let Some(original) = head.method_text() {
                list.text(names::HTTP_REQUEST_METHOD_ORIGINAL, redact::text(original));
            }
            Cow::Borrowed("HTTP")
        }
        Method::Unknown => Cow::Borrowed("HTTP"),
    }
}

fn parse(head: &Head) -> Target<'_> {
    let connect = head.method == Method::Known("CONNECT");
    head.target().map_or_else(Target::default, |target| Target::parse(target, connect))
}

fn server(list: &mut List, head: &Head) {
    let target = parse(head);
    if let Some(path) = target.path {
        list.text(names::URL_PATH, redact::text(path));
    }
    if let Some(query) = target.query {
        list.text(names::URL_QUERY, redact::text(query));
    }
    list.text(names::URL_SCHEME, SCHEME);
    // An absolute target overrides Host (RFC 9112, 3.2.2).
    if let Some((host, port)) = target.authority.or_else(|| head.host()).and_then(host_and_port) {
        list.server(host, port.or_else(|| default_port(target.scheme, head)));
    }
    if let Some(agent) = head.agent() {
        list.text(names::USER_AGENT_ORIGINAL, redact::text(agent));
    }
}

fn client(list: &mut List, head: &Head, socket: Option<&Socket>) {
    let target = parse(head);
    let authority = target.authority.or_else(|| head.host());
    let remote = socket.filter(|_| !head.fields_incomplete).and_then(|socket| match &socket.remote {
        Some(Endpoint::Ip(remote)) => Some(remote),
        Some(Endpoint::Unix(_)) | None => None,
    });
    let peer;
    let authority = match (authority, remote) {
        (Some(authority), _) => Some(authority),
        // A request without Host (HTTP/1.0) is for whom it was sent to.
        (None, Some(remote)) => {
            peer = remote.to_string();
            Some(peer.as_bytes())
        }
        (None, None) => None,
    };
    if let Some((host, port)) = authority.and_then(host_and_port) {
        list.server(host, port.or_else(|| default_port(target.scheme, head)));
    }
    // CONNECT asks for no resource, so that there is no URL.
    if let (Some(authority), Some(path), Some(text)) = (authority, target.path, head.target()) {
        let rest = match (target.scheme, path) {
            // `OPTIONS *` is about the server (RFC 9112, 3.2.4).
            (None, b"*") => b"".as_slice(),
            (None, _) => text,
            (Some(scheme), _) => {
                let before = scheme.len().saturating_add(3).saturating_add(authority.len());
                text.get(before..).unwrap_or_default()
            }
        };
        list.text(names::URL_FULL, redact::url(target.scheme.unwrap_or(SCHEME.as_bytes()), authority, rest));
    }
}

/// The port that an authority without one means (RFC 9110, 4.2). CONNECT's has to name one.
fn default_port(scheme: Option<&[u8]>, head: &Head) -> Option<u16> {
    let connect = head.method == Method::Known("CONNECT");
    match scheme.unwrap_or(SCHEME.as_bytes()) {
        _ if connect => None,
        scheme if scheme.eq_ignore_ascii_case(b"http") => Some(80),
        scheme if scheme.eq_ignore_ascii_case(b"https") => Some(443),
        _ => None,
    }
}

/// The other end of the socket.
fn peer(list: &mut List, side: Side, socket: &mut Socket) {
    let port = match &socket.remote {
        Some(Endpoint::Ip(remote)) => {
            socket.remote_text.get_or_insert_with(|| remote.ip().to_string().into());
            Some(remote.port())
        }
        Some(Endpoint::Unix(path)) if !path.is_empty() => {
            // Abstract names start with NUL, which is written as `@`.
            let shown = || redact::text(path).replacen('\0', "@", 1).into();
            socket.remote_text.get_or_insert_with(shown);
            None
        }
        Some(Endpoint::Unix(_)) | None => return,
    };
    let Some(address) = &socket.remote_text else { return };
    match socket.proxied {
        Some(client) if side == Side::Server => list.text(names::CLIENT_ADDRESS, client.to_string()),
        // A Unix socket's path is the server's, whichever end it is.
        _ if side == Side::Server && port.is_some() => {
            list.text(names::CLIENT_ADDRESS, String::from(&**address));
        }
        _ => {}
    }
    list.text(names::NETWORK_PEER_ADDRESS, String::from(&**address));
    if let Some(port) = port {
        list.add(names::NETWORK_PEER_PORT, Value::Integer(i64::from(port)));
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}
