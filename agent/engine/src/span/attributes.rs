//! The attributes of a span, and those of an HTTP span: OpenTelemetry's stable conventions, required and recommended ones;
//! others only if its operator asked for them.
//!
//! Unknown is left out. The route is one of the configured patterns or is not there, and the path is never in the
//! name. `network.peer.*` is always the socket's other end, whatever proxies say of the client.

use std::borrow::Cow;

use super::{
    Attribute, Kind, Span, Status, Value, client, events, names, outcome, redact, rpc, server,
    target::Target, undecided,
};
use crate::{
    event::{Endpoint, Time},
    exchange::{Details, Exchange, Head, Method, Socket, Trace, kept::Kept, rpc::Code},
    policy::{HeaderNames, OptIn, SecretKeys, opt_in::Item},
    protocol::{Side, Version},
};

/// More than a span has, unless its operator asked for more.
const ATTRIBUTES: usize = 16;
/// Connections are plain ones until a TLS library is read.
pub(super) const SCHEME: &str = "http";
pub(super) const OTHER: &str = "_OTHER";

/// Makes the span of an exchange that has ended.
pub(crate) fn span(
    exchange: &Exchange,
    mut socket: Option<&mut Socket>,
    trace: Trace,
    start: Time,
    end: Time,
) -> Span {
    let policy = &*exchange.policy;
    let head = exchange.head.as_ref();
    let mut list = List(Vec::with_capacity(ATTRIBUTES.saturating_add(policy.attributes.len())));
    let rpc = exchange.rpc.as_deref();
    let call = rpc.filter(|rpc| rpc.is_sure());
    let (name, error) = if let Some(call) = call {
        (rpc::describe(&mut list, exchange, call, socket.as_deref()), rpc::error(exchange, call))
    } else {
        let error = outcome::error(exchange.side, exchange.status, exchange.ending);
        match head.filter(|_| rpc.is_some()) {
            Some(head) => (undecided::describe(&mut list, head, policy), error),
            None => (http(&mut list, exchange, socket.as_deref()), error),
        }
    };
    let undecided = rpc.is_some() && call.is_none();
    if undecided || head.is_some_and(|head| head.fields_incomplete && head.version == Version::Http2) {
        list.add(names::FIELDS_UNKNOWN, Value::Bool(true));
    }
    let port = socket.as_deref_mut().and_then(look_up_peer);
    if exchange.side == Side::Server {
        server::client(&mut list, head, socket.as_deref());
    }
    if let Some(address) = socket.as_deref().and_then(|socket| socket.remote_text.as_deref()) {
        list.text(names::NETWORK_PEER_ADDRESS, String::from(address));
        if let Some(port) = port {
            list.number(names::NETWORK_PEER_PORT, port.into());
        }
    }
    if !policy.opt_in.is_empty()
        && let Some(socket) = socket
    {
        list.connection(policy.opt_in, socket);
    }
    if let Some(error) = &error {
        list.add(names::ERROR_TYPE, Value::String(error.clone()));
    }
    if let Some(why) = outcome::incomplete(exchange.ending) {
        list.text(names::INCOMPLETE, why);
    }
    // A call whose time was over was not cancelled, nor one that was refused, though its stream is reset the same way.
    if outcome::is_cancelled(exchange.ending) && matches!(exchange.code(), None | Some(Code::Cancelled)) {
        list.text(names::END, "cancelled");
    }
    if let Some(parent) = trace.parent {
        list.text(names::LINK_METHOD, parent.method.as_str());
    }
    list.0.extend(policy.attributes.iter().cloned());
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
        events: events::events(exchange, start, end),
        links: trace.follows.into_iter().collect(),
        status: match call {
            Some(call) => rpc::status(error.is_some(), call, policy),
            // The status code or the error's type says all there is to say.
            None if error.is_some() => Status::Error { description: None },
            None => Status::Unset,
        },
    }
}

/// Adds what a request and its response were; returns the span's name.
fn http(list: &mut List, exchange: &Exchange, socket: Option<&Socket>) -> Cow<'static, str> {
    let policy = &*exchange.policy;
    let mut name = Cow::Borrowed("HTTP");
    if let Some(head) = &exchange.head {
        name = method(list, head);
        match exchange.side {
            Side::Server => {
                if let Some(route) = server::describe(list, head, policy) {
                    name = Cow::Owned([&*name, route].join(" "));
                }
            }
            Side::Client => client::describe(list, head, socket, policy),
        }
        list.text(names::NETWORK_PROTOCOL_VERSION, version(head.version));
        if head.target_truncated {
            list.add(names::TARGET_TRUNCATED, Value::Bool(true));
        }
        list.fields(names::HTTP_REQUEST_HEADER, &policy.headers.request, &head.headers, &policy.redact);
    }
    if let Some(status) = exchange.status {
        list.add(names::HTTP_RESPONSE_STATUS_CODE, Value::Integer(i64::from(status)));
    }
    if let Some(details) = exchange.details.as_deref() {
        list.details(details);
        list.fields(names::HTTP_RESPONSE_HEADER, &policy.headers.response, &details.headers, &policy.redact);
    }
    name
}

/// The attributes of a span that is being made.
pub(super) struct List(Vec<Attribute>);

impl List {
    pub(super) fn add(&mut self, key: &'static str, value: Value) {
        self.0.push(Attribute { key: Cow::Borrowed(key), value });
    }

    pub(super) fn text(&mut self, key: &'static str, value: impl Into<Cow<'static, str>>) {
        self.add(key, Value::String(value.into()));
    }

    pub(super) fn number(&mut self, key: &'static str, value: u64) {
        self.add(key, Value::Integer(i64::try_from(value).unwrap_or(i64::MAX)));
    }

    pub(super) fn server(&mut self, host: &[u8], port: Option<u16>) {
        self.text(names::SERVER_ADDRESS, redact::text(host));
        if let Some(port) = port {
            self.number(names::SERVER_PORT, port.into());
        }
    }

    /// Header fields that were asked for: all values of a name in one array.
    pub(super) fn fields(&mut self, prefix: &str, names: &HeaderNames, kept: &Kept, keys: &SecretKeys) {
        if kept.is_empty() {
            return;
        }
        for (index, name) in names.iter().enumerate() {
            let values: Vec<_> = kept.of(index).map(|value| redact::field(value, keys, false)).collect();
            if !values.is_empty() {
                let key = Cow::Owned([prefix, name].concat());
                self.0.push(Attribute { key, value: Value::Strings(values) });
            }
        }
    }

    fn details(&mut self, details: &Details) {
        if let Some(size) = details.request_body {
            self.number(names::HTTP_REQUEST_BODY_SIZE, size);
        }
        if let Some(size) = details.response_body {
            self.number(names::HTTP_RESPONSE_BODY_SIZE, size);
        }
    }

    /// What was asked for about the connection.
    fn connection(&mut self, opt_in: OptIn, socket: &Socket) {
        let (transport, kind) = match &socket.local {
            Some(Endpoint::Ip(local)) => {
                if opt_in.has(Item::LocalAddress) {
                    self.text(names::NETWORK_LOCAL_ADDRESS, local.ip().to_string());
                }
                if opt_in.has(Item::LocalPort) {
                    self.number(names::NETWORK_LOCAL_PORT, local.port().into());
                }
                ("tcp", Some(if local.is_ipv4() { "ipv4" } else { "ipv6" }))
            }
            Some(Endpoint::Unix(path)) => {
                if opt_in.has(Item::LocalAddress) && !path.is_empty() {
                    self.text(names::NETWORK_LOCAL_ADDRESS, redact::unix(path));
                }
                ("unix", None)
            }
            None => return,
        };
        if opt_in.has(Item::Transport) {
            self.text(names::NETWORK_TRANSPORT, transport);
        }
        if let Some(kind) = kind.filter(|_| opt_in.has(Item::NetworkType)) {
            self.text(names::NETWORK_TYPE, kind);
        }
    }
}

/// Adds the method; returns the span's name.
fn method(list: &mut List, head: &Head) -> Cow<'static, str> {
    let original = match head.method {
        Method::Known(method) if head.listed => {
            list.text(names::HTTP_REQUEST_METHOD, method);
            return Cow::Borrowed(method);
        }
        Method::Known(method) => Some(Cow::Borrowed(method)),
        Method::Other => head.method_text().map(|method| Cow::Owned(redact::text(method))),
        Method::Unknown => return Cow::Borrowed("HTTP"),
    };
    if head.listed
        && let Some(original) = original
    {
        list.text(names::HTTP_REQUEST_METHOD, original.clone());
        return original;
    }
    list.text(names::HTTP_REQUEST_METHOD, OTHER);
    if let Some(original) = original {
        list.text(names::HTTP_REQUEST_METHOD_ORIGINAL, original);
    }
    Cow::Borrowed("HTTP")
}

/// The port that an authority without one means (RFC 9110, 4.2). CONNECT's has to name one, but for the extended one, which
/// has a path (RFC 8441, 4).
pub(super) fn default_port(scheme: Option<&[u8]>, head: &Head) -> Option<u16> {
    let connect = head.method == Method::Known("CONNECT") && Target::of(head).path.is_none();
    match scheme.unwrap_or(SCHEME.as_bytes()) {
        _ if connect => None,
        scheme if scheme.eq_ignore_ascii_case(b"http") => Some(80),
        scheme if scheme.eq_ignore_ascii_case(b"https") => Some(443),
        _ => None,
    }
}

/// Makes the text of the socket's other end, once; returns its port.
fn look_up_peer(socket: &mut Socket) -> Option<u16> {
    match &socket.remote {
        Some(Endpoint::Ip(remote)) => {
            socket.remote_text.get_or_insert_with(|| remote.ip().to_string().into());
            Some(remote.port())
        }
        Some(Endpoint::Unix(path)) if !path.is_empty() => {
            socket.remote_text.get_or_insert_with(|| redact::unix(path).into());
            None
        }
        Some(Endpoint::Unix(_)) | None => None,
    }
}

pub(super) fn version(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
        Version::Http2 => "2",
    }
}
