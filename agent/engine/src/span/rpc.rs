//! The attributes of a gRPC span: OpenTelemetry's stable conventions for RPC and gRPC.
//!
//! A span is named by its method, `package.Service/Method`, or `grpc` if that is not known, or not known to the
//! service (`_OTHER`): whoever sends requests would choose names otherwise.
//!
//! `server.*` is what the client was configured with, so far as the wire shows it: `:authority`, whose port is not filled
//! in, since that of a target without one depends on its resolver; or the path of a Unix socket. It is not what proxies
//! say. The conventions for HTTP have other rules.

use std::borrow::Cow;

use super::{
    Status, Value,
    attributes::{List, OTHER, version},
    names, outcome, redact,
    target::{Target, host_and_port},
};
use crate::{
    event::Endpoint,
    exchange::{
        Exchange, Head, Rpc, Socket,
        rpc::{Code, Message},
    },
    policy::Policy,
    protocol::{
        Ending, Side,
        http2::{CANCEL, error_name},
    },
};

const SYSTEM: &str = "grpc";

/// Adds what the call was; returns the span's name.
pub(super) fn describe(
    list: &mut List,
    exchange: &Exchange,
    rpc: &Rpc,
    socket: Option<&Socket>,
) -> Cow<'static, str> {
    list.text(names::RPC_SYSTEM_NAME, SYSTEM);
    let mut name = Cow::Borrowed(SYSTEM);
    if let Some(head) = &exchange.head {
        if let Some(method) = method(head) {
            if rpc.unrecognised {
                list.text(names::RPC_METHOD, OTHER);
                list.text(names::RPC_METHOD_ORIGINAL, method);
            } else {
                list.text(names::RPC_METHOD, method.clone());
                name = Cow::Owned(method);
            }
        }
        let unix = socket.filter(|_| exchange.side == Side::Client).and_then(|socket| socket.remote.as_ref());
        match unix {
            Some(Endpoint::Unix(path)) if !path.is_empty() => {
                list.text(names::SERVER_ADDRESS, redact::unix(path));
            }
            Some(Endpoint::Unix(_) | Endpoint::Ip(_)) | None => address(list, head),
        }
        protocol(list, head);
        let policy = &*exchange.policy;
        list.fields(names::RPC_REQUEST_HEADER, &policy.headers.request, &head.headers, &policy.redact);
        if let Some(details) = exchange.details.as_deref() {
            let asked = &policy.headers.response;
            list.fields(names::RPC_RESPONSE_HEADER, asked, &details.headers, &policy.redact);
            list.fields(names::RPC_RESPONSE_TRAILER, asked, &details.trailers, &policy.redact);
        }
    }
    if let Some(code) = exchange.code() {
        list.text(names::RPC_STATUS_CODE, code.name());
    }
    let [request, response] = rpc.messages;
    let (sent, received) = match exchange.side {
        Side::Client => (request, response),
        Side::Server => (response, request),
    };
    for (name, count) in [(names::RPC_MESSAGES_SENT, sent), (names::RPC_MESSAGES_RECEIVED, received)] {
        if let Some(count) = count {
            list.number(name, count);
        }
    }
    name
}

/// The value of `error.type`, if the call failed: the status code that was returned, which is the last of a response, so
/// that what becomes of the stream behind it is no failure; else how its stream or connection failed.
pub(super) fn error(exchange: &Exchange, rpc: &Rpc) -> Option<Cow<'static, str>> {
    let code = exchange.code();
    let failed = match exchange.ending {
        _ if rpc.answer().is_some() => None,
        Some(Ending::Reset { code: CANCEL, .. }) if code == Some(Code::DeadlineExceeded) => None,
        // Cancelled, or too late: to its client it failed in either case.
        Some(Ending::Reset { code: CANCEL, by: Side::Client }) => {
            (exchange.side == Side::Client && code.is_none()).then_some(Cow::Borrowed(error_name(CANCEL)))
        }
        Some(Ending::Reset { .. } | Ending::GoneAway { .. } | Ending::Failed(_) | Ending::Closed { .. }) => {
            outcome::error(exchange.side, None, exchange.ending)
        }
        _ => None,
    };
    failed.or_else(|| code.filter(|code| code.is_error(exchange.side)).map(|code| Cow::Borrowed(code.name())))
}

/// The status of a call that failed or not; `grpc-message` says more than its code.
pub(super) fn status(error: bool, rpc: &Rpc, policy: &Policy) -> Status {
    let shown = |message: &Message| redact::field(message.text.as_bytes(), &policy.redact, message.cut);
    if error { Status::Error { description: rpc.message().map(shown) } } else { Status::Unset }
}

/// `package.Service/Method` (gRPC over HTTP/2, Path).
fn method(head: &Head) -> Option<String> {
    let path = Target::of(head).path?;
    // As a path: without its slash what there is of a cut one could be credentials.
    let mut shown = redact::path(path, head.target_truncated);
    if shown.starts_with('/') {
        shown.remove(0);
    }
    Some(shown)
}

/// Adds host and port of `:authority`.
pub(super) fn address(list: &mut List, head: &Head) {
    if let Some((host, port)) = Target::of(head).authority.or_else(|| head.host()).and_then(host_and_port) {
        list.server(host, port);
    }
}

/// Adds what carries the call.
pub(super) fn protocol(list: &mut List, head: &Head) {
    list.text(names::NETWORK_PROTOCOL_NAME, "http");
    list.text(names::NETWORK_PROTOCOL_VERSION, version(head.version));
    if head.target_truncated {
        list.add(names::TARGET_TRUNCATED, Value::Bool(true));
    }
}
