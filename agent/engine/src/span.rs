//! Span: an exchange with its ids, parent and attributes, as it is exported.

pub(crate) mod attributes;
mod client;
mod events;
pub mod names;
mod outcome;
mod redact;
mod rpc;
mod server;
pub(crate) mod target;
#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
mod tests;
mod undecided;

use std::{borrow::Cow, sync::Arc};

use crate::event::Time;

/// A trace id, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(pub u128);

/// A span id, never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Server,
    Client,
}

/// How the parent was found: `spandrel.link.method`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkMethod {
    /// Both ends of a connection are on this host.
    Connection,
    /// A trace context in the header.
    Header,
    /// The thread that read the request made the call.
    Reader,
}

impl LinkMethod {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Header => "header",
            Self::Reader => "reader",
        }
    }
}

/// The parent of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    pub span_id: SpanId,
    pub method: LinkMethod,
    /// The process that has the parent. None: it is known from a header only, another host or program made it.
    pub process: Option<u32>,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    String(Cow<'static, str>),
    Integer(i64),
    Bool(bool),
    Strings(Vec<String>),
}

/// An attribute; names come from the conventions.
#[derive(Clone, Debug, PartialEq)]
pub struct Attribute {
    pub key: Cow<'static, str>,
    pub value: Value,
}

/// Something that happened during a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    pub time: Time,
    pub name: &'static str,
    pub attributes: Vec<Attribute>,
}

/// A span that this one follows from without being its child.
///
/// It is always one of the same process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpanLink {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub trace_state: Option<Arc<str>>,
    pub trace_flags: u8,
}

/// Status by OpenTelemetry's rules; `Ok` is never set by instrumentation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Unset,
    Error { description: Option<String> },
}

/// What is exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent: Option<Parent>,
    /// W3C tracestate, verbatim, of a continued trace.
    pub trace_state: Option<Box<str>>,
    /// W3C trace flags: sampled (1), random (2).
    pub trace_flags: u8,
    pub kind: Kind,
    pub name: Cow<'static, str>,
    /// Kernel time; the agent turns it into wall time.
    pub start: Time,
    pub end: Time,
    /// The process that moved the first byte of the request; with `start` it finds the Resource.
    pub tgid: u32,
    pub attributes: Vec<Attribute>,
    pub events: Vec<SpanEvent>,
    pub links: Vec<SpanLink>,
    pub status: Status,
}

impl Span {
    /// There is a parent, and it is another process's: what OTLP and SDKs call a remote parent.
    pub fn has_remote_parent(&self) -> bool {
        self.parent.is_some_and(|parent| parent.process != Some(self.tgid))
    }
}
