//! Counters of the engine: every refusal, loss and bound has one.

macro_rules! counters {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What is counted.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Counter { $($(#[$doc])* $variant,)* }
        /// All counters with their names, in order.
        pub const NAMES: &[&str] = &[$($name),*];
    };
}

counters! {
    /// Records that could not be decoded.
    RecordsRefused => "records_refused",
    /// Exchanges that started: the left side of the accounting equation.
    ExchangesSeen => "exchanges_seen",
    /// Spans given out.
    Spans => "spans",
    /// Exchanges that started and were found not to be requests.
    ExchangesRetracted => "exchanges_retracted",
    /// Gaps in streams.
    Gaps => "gaps",
    /// Bytes of gaps outside of bodies of known length.
    GapBytes => "gap_bytes",
    /// Bytes of gaps inside bodies of known length.
    BodyGapBytes => "body_gap_bytes",
    /// Bytes that arrived for a position that was given up.
    LateBytes => "late_bytes",
    /// Streams whose queue of out-of-order bytes was full.
    ReorderFull => "reorder_full",
    /// Messages that do not follow the protocol.
    Malformed => "malformed_messages",
    /// Header blocks longer than the bound.
    HeadTooLong => "head_too_long",
    /// Responses whose request was never seen.
    ResponsesUnpaired => "responses_unpaired",
    /// Connections given up because the table was full.
    ConnectionsEvicted => "connections_evicted",
    /// Connections found not to speak a known protocol.
    ConnectionsIgnored => "connections_ignored",
    /// Data of connections whose opening record was lost.
    ConnectionsUnannounced => "connections_unannounced",
    /// Exchanges given up because too many were open.
    ExchangesEvicted => "exchanges_evicted",
    /// Exchanges given out before their parent was certain, because the wait reached its bound.
    WaitsExpired => "waits_expired",
    /// Trace headers that do not follow their specification.
    TraceHeadersMalformed => "trace_headers_malformed",
    /// `Forwarded` and `X-Forwarded-*` fields that cannot be read.
    ForwardedMalformed => "forwarded_malformed",
    /// Header fields that were asked for and not kept: there was no room.
    HeadersLeftOut => "headers_left_out",
    /// Events beyond those that a span has room for.
    SpanEventsDropped => "span_events_dropped",
    /// Exchanges left out as telemetry, with what that causes.
    Excluded => "exchanges_excluded",
    /// Exchanges left out by a rule, with what they caused.
    Ignored => "exchanges_ignored",
    /// Exchanges whose program makes their spans itself.
    Instrumented => "exchanges_instrumented",
    /// Exchanges of traces that the sampler left out.
    SampledOut => "exchanges_sampled_out",
    /// Spans that the caller did not take in time.
    SpansDropped => "spans_dropped",
    /// Orders that the caller did not take in time.
    OrdersDropped => "orders_dropped",
    /// Header blocks of HTTP/2 that cannot be decoded.
    HeaderBlocksRefused => "header_blocks_refused",
    /// Requests that HTTP/2 servers made up and pushed: they are no exchanges.
    PushesIgnored => "http2_pushes_ignored",
    /// Directions of HTTP/2 connections in which frames were found, in the middle or behind a gap.
    Http2Joined => "http2_joined",
    /// Frames that were passed over to be sure of that.
    Http2FramesPassed => "http2_frames_passed",
    /// Directions in which what was found turned out to be no frames.
    Http2Refuted => "http2_refuted",
}

/// The values of all counters.
#[derive(Clone, Debug)]
pub struct Counters([u64; NAMES.len()]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; NAMES.len()])
    }
}

impl Counters {
    pub fn add(&mut self, counter: Counter, amount: u64) {
        if let Some(value) = self.0.get_mut(counter as usize) {
            *value = value.saturating_add(amount);
        }
    }

    pub fn value(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).copied().unwrap_or_default()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        NAMES.iter().copied().zip(self.0.iter().copied())
    }
}
