//! Telemetry on its way to a collector, known by what a request asks for.

use crate::{exchange::Method, span::target::Target};

/// OTLP's default path for traces.
const TRACES: &[u8] = b"/v1/traces";
/// The method of OTLP's gRPC service for traces.
const TRACES_GRPC: &[u8] = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// What a request asks for, whatever the form of its target: that of one to a forward proxy is absolute.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    path: &'a [u8],
    post: bool,
}

impl<'a> Asked<'a> {
    pub(super) fn new(method: Method, target: Option<&'a [u8]>) -> Option<Self> {
        let target = Target::parse(target?, method == Method::Known("CONNECT"));
        Some(Self { path: target.path?, post: method == Method::Known("POST") })
    }

    /// Traces, metrics and logs on their way to a collector: a span for each would make more of them.
    pub(super) fn is_telemetry(self) -> bool {
        match self.path {
            TRACES | b"/v1/metrics" | b"/v1/logs" | b"/api/v2/spans" => self.post,
            path => path.starts_with(b"/opentelemetry.proto.collector."),
        }
    }

    /// A program's traces, as OTLP.
    pub(super) fn exports_traces(self) -> bool {
        self.post && (self.path == TRACES || self.path == TRACES_GRPC)
    }

    /// Traces that whoever serves this may pass on. A proxy may take a prefix off the path.
    pub(super) fn may_pass_traces_on(self) -> bool {
        self.post && (self.path.ends_with(TRACES) || self.path.ends_with(TRACES_GRPC))
    }
}
