//! Exchange: a request with its response, as one of its two ends shows it.
//!
//! In: what a protocol tells its observer. Out: [`Exchange`]s, which the link stage joins and gives out.
//!
//! * The two ends of one exchange are two of these: a `Client` and a `Server` one. Each belongs to the process
//!   that moved its first byte.
//! * A message that is sent starts at the entry of its first call; one that is read, at the exit of its first.
//!   It ends at the exit of the call that moved its last byte.
//! * An exchange of HTTP/1 lasts from the start of its request to the end of its response. A request that still runs
//!   then (an early response, RFC 9112, 9.5) does not prolong it: what the caller waited for is over, and
//!   OpenTelemetry's conventions end a client span no later than when the response is read. One of HTTP/2 is a
//!   stream, and lasts until both of its directions have ended (RFC 9113, 5.1): a call whose client goes on talking is not over.

pub(crate) mod details;
pub(crate) mod forwarded;
pub(crate) mod head;
pub(crate) mod kept;
pub(crate) mod rpc;
pub(crate) mod socket;
pub(crate) mod table;

use std::sync::Arc;

use smallvec::SmallVec;

pub(crate) use self::{
    details::Details,
    head::{Head, Method},
    rpc::Rpc,
    socket::Socket,
    table::{Key, Table},
};
use crate::{
    correlate::header::Header,
    event::{Call, Task, Time},
    policy::Policy,
    protocol::{Ending, Side},
    span::{Parent, SpanId, SpanLink, TraceId},
};

/// W3C trace flags (level 2, 3.2.2.5).
pub(crate) const SAMPLED: u8 = 1;
pub(crate) const RANDOM: u8 = 2;

/// Where an exchange stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Open,
    /// Ended; what it is linked to is not certain yet.
    Waiting,
    /// Given out or left out; kept because another one has yet to look at it.
    Gone,
}

/// The trace that an exchange belongs to.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    pub(crate) trace_id: TraceId,
    pub(crate) parent: Option<Parent>,
    pub(crate) flags: u8,
    pub(crate) state: Option<Arc<str>>,
    pub(crate) follows: Option<SpanLink>,
    /// The program makes the span itself. What it caused hangs under what it would hang under.
    pub(crate) skipped: bool,
}

impl Trace {
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// What becomes of an exchange. Once known it does not change.
#[derive(Clone, Debug)]
pub(crate) enum Fate {
    Excluded,
    /// By a rule of the policy.
    Ignored,
    Traced(Trace),
}

/// How a client exchange with a trace header came by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The header is that of this server exchange of the same process.
    Forwarded(Key<Exchange>),
    /// The header is that of a server exchange that had been answered.
    Late(Key<Exchange>),
    /// Several server exchanges have this header.
    Ambiguous,
    /// The process made it.
    Made,
}

/// What is known of the trace that a program made for a request that came without a header.
#[derive(Clone, Debug, Default)]
pub(crate) enum Made {
    #[default]
    Nothing,
    /// The header of a call that carries it, and when the last such call started.
    One(Box<Header>, Time),
    Several,
}

impl Made {
    pub(crate) fn add(&mut self, header: Header, start: Time) {
        match self {
            Self::Nothing => *self = Self::One(Box::new(header), start),
            Self::One(known, last) if known.trace_id() == header.trace_id() => *last = start.max(*last),
            Self::One(..) | Self::Several => *self = Self::Several,
        }
    }
}

/// Who owns a client exchange by the reader rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Exchange(Key<Exchange>),
    /// The owner has been given out already.
    Gone(SpanLink),
}

#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) socket: Key<Socket>,
    pub(crate) side: Side,
    pub(crate) position: u64,
    pub(crate) tgid: u32,
    pub(crate) phase: Phase,
    pub(crate) span_id: SpanId,
    /// That of its process when it started.
    pub(crate) policy: Arc<Policy>,
    /// The call that moved the first byte.
    pub(crate) first: Call,
    pub(crate) head: Option<Head>,
    pub(crate) header: Option<Box<Header>>,
    /// Whether there is a trace header is known.
    pub(crate) header_known: bool,
    pub(crate) status: Option<u16>,
    pub(crate) details: Option<Box<Details>>,
    /// What makes it an RPC, if it is one.
    pub(crate) rpc: Option<Box<Rpc>>,
    pub(crate) responding: bool,
    /// When the engine saw the request end: until a while later its other end may show.
    pub(crate) request_ended: Option<Time>,
    pub(crate) end: Option<Time>,
    /// How long the call lasted that moved the last byte.
    pub(crate) last_duration: Time,
    pub(crate) ending: Option<Ending>,
    /// When the engine saw the end.
    pub(crate) ended: Time,
    /// It carries telemetry to a collector.
    pub(crate) telemetry: bool,
    /// Server: it brought traces, which the process may pass on.
    pub(crate) brings_traces: bool,
    pub(crate) excluded: bool,
    /// Its program was instrumented until it ended.
    pub(crate) instrumented: bool,
    pub(crate) fate: Option<Fate>,
    /// The other end of the same exchange.
    pub(crate) pair: Option<Key<Exchange>>,
    /// Client: who made it call. Server: nobody.
    pub(crate) owner: Option<Owner>,
    pub(crate) claim: Option<Claim>,
    /// Server: the trace that its program's calls carry.
    pub(crate) made: Made,
    /// Task voids at the start; see [`crate::correlate::ownership`].
    pub(crate) voids: u32,
    /// Server: the task that read the request.
    pub(crate) reader: Option<Task>,
    /// Server: reasons why what its reader called cannot be told from other work.
    pub(crate) taints: u32,
    /// Server: the request that its reader read before this one was known to be answered, and when.
    pub(crate) overlap: Option<(Key<Exchange>, Time)>,
    /// Exchanges that look at this one for their own fate.
    pub(crate) dependents: SmallVec<[Key<Exchange>; 2]>,
    /// Exchanges that have not been given out and look at this one.
    pub(crate) references: u32,
}

impl Exchange {
    pub(crate) fn new(
        socket: Key<Socket>,
        side: Side,
        position: u64,
        call: &Call,
        span_id: SpanId,
        policy: Arc<Policy>,
    ) -> Self {
        Self {
            socket,
            side,
            position,
            tgid: call.task.tgid,
            phase: Phase::Open,
            span_id,
            policy,
            first: *call,
            head: None,
            header: None,
            header_known: false,
            status: None,
            details: None,
            rpc: None,
            responding: false,
            request_ended: None,
            end: None,
            last_duration: 0,
            ending: None,
            ended: 0,
            telemetry: false,
            brings_traces: false,
            excluded: false,
            instrumented: false,
            fate: None,
            pair: None,
            owner: None,
            claim: None,
            made: Made::Nothing,
            voids: 0,
            reader: None,
            taints: 0,
            overlap: None,
            dependents: SmallVec::new(),
            references: 0,
        }
    }

    pub(crate) fn start(&self) -> Time {
        match self.side {
            Side::Client => self.first.enter,
            Side::Server => self.first.exit,
        }
    }

    /// A response may not end before its request started; clocks of two processors differ by little.
    pub(crate) fn set_end(&mut self, time: Time, duration: Time, ending: Option<Ending>, now: Time) {
        self.end = Some(time.max(self.start()));
        self.last_duration = duration;
        self.ending = ending;
        self.ended = now;
        self.phase = Phase::Waiting;
    }

    pub(crate) fn trace(&self) -> Option<&Trace> {
        match &self.fate {
            Some(Fate::Traced(trace)) => Some(trace),
            Some(Fate::Excluded | Fate::Ignored) | None => None,
        }
    }

    /// To add something to.
    pub(crate) fn details(&mut self) -> &mut Details {
        self.details.get_or_insert_default()
    }

    /// When a message that this call began, or was the only one of, was moved: one that is sent at the entry, one that
    /// is read at the exit.
    pub(crate) fn response_time(&self, call: &Call) -> Time {
        match self.side {
            Side::Client => call.exit,
            Side::Server => call.enter,
        }
    }

    /// Bytes of texts from the wire.
    pub(crate) fn kept_text(&self) -> usize {
        let head = self.head.as_ref().map_or(0, Head::size);
        let fields = |details: &Details| details.headers.size().saturating_add(details.trailers.size());
        head.saturating_add(self.details.as_deref().map_or(0, fields))
    }

    /// It makes a span, or has made one.
    pub(crate) fn has_span(&self) -> bool {
        self.trace().is_some_and(|trace| trace.is_sampled() && !trace.skipped)
    }

    /// It is an exchange and will not be taken back: it has a response, or ended.
    pub(crate) fn is_certain(&self) -> bool {
        self.responding || self.end.is_some()
    }

    /// The end is known to be one of the exchange, not of our knowledge of it.
    pub(crate) fn ended_for_certain(&self) -> bool {
        self.responding || !matches!(self.ending, Some(Ending::Gap | Ending::Malformed))
    }
}
