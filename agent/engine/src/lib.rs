//! From records to spans: `event -> stream -> message -> exchange -> link -> span`.
//!
//! Records and the time go in, spans and orders to the kernel side come out. No I/O, no clock, no `unsafe`.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod connection;
mod correlate;
pub mod counter;
mod deadline;
mod engine;
pub mod event;
mod exchange;
mod id;
pub mod limit;
pub mod percent;
pub mod policy;
pub mod protocol;
pub mod secrets;
pub mod span;
pub mod stream;

use core::ops::Range;

pub use engine::Engine;
use event::{ConnectionId, Direction};
use smallvec::SmallVec;

/// An order to the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Bytes of this direction below the position are body: count them, do not copy them.
    Skip { conn: ConnectionId, direction: Direction, position: u64 },
    /// From the position on this direction is a sequence of HTTP/2 frames: content can be told from headers by
    /// walking them.
    Frames { conn: ConnectionId, direction: Direction, position: u64 },
    /// HTTP/2 is spoken in this direction, and it is not known where its frames begin: copy more of the next calls.
    Search { conn: ConnectionId, direction: Direction },
    /// DATA of this stream of HTTP/2 tells nothing in this direction until it ends the stream, so it needs no record of its
    /// own; 0: of no stream any more.
    Quiet { conn: ConnectionId, direction: Direction, stream: u32 },
    /// Make no more records of this connection.
    Ignore { conn: ConnectionId },
}

/// Bytes of a stream in which nothing is read: bodies, and what passes on connections that are not followed. With any
/// others in their place the spans would be the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub conn: ConnectionId,
    pub direction: Direction,
    pub position: u64,
    pub length: u64,
}

/// Bytes that a recording may have, secrets overwritten, where the rest is none of its business. What is read lies in them:
/// a replay of excerpts and anything else in other places gives the same, but for what the secrets were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    pub conn: ConnectionId,
    pub direction: Direction,
    pub position: u64,
    pub bytes: SmallVec<[u8; 16]>,
    pub of: Of,
}

/// What an excerpt is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// HTTP/2, of which nothing else may be written.
    Http2,
    /// The same, and it has no bytes: up to there the direction was HTTP/1 (`Upgrade: h2c`).
    Upgrade,
    /// A body of HTTP/1, which is content else.
    Body,
}

/// Tells secrets from the rest, for excerpts.
pub trait Secrecy: Send + Sync {
    /// Where in the value of a field secrets are. HTTP/2's pseudo-header fields have their names.
    fn of_field(&self, name: &[u8], value: &[u8]) -> Vec<Range<usize>>;
}

/// What becomes of telemetry that traced programs send to a collector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TelemetryIngest {
    /// It makes no spans, nor do the calls that serving it causes: they would make more of it.
    #[default]
    Exclude,
    Trace,
}

/// What an engine is told once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    /// All ids come from it: the same records and the same seed give the same spans.
    pub seed: u128,
    /// The process of the agent: what is at the other end of its connections makes no spans.
    pub own_tgid: u32,
    pub telemetry_ingest: TelemetryIngest,
}

/// Where the exchanges are, at every moment:
/// `seen = open + waiting + spans + excluded + ignored + instrumented + sampled_out + retracted + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accounting {
    /// Exchanges that started.
    pub seen: u64,
    /// Of these, those that have not ended;
    pub open: u64,
    /// that ended, and have not been taken as spans;
    pub waiting: u64,
    /// that were taken as spans;
    pub spans: u64,
    /// that make no span because they are telemetry, or what that caused;
    pub excluded: u64,
    /// that a rule ignores, or that what it ignores caused;
    pub ignored: u64,
    /// whose program makes their spans itself;
    pub instrumented: u64,
    /// that belong to a trace that is not sampled;
    pub sampled_out: u64,
    /// that turned out to be no exchanges;
    pub retracted: u64,
    /// that did not fit (`exchanges_evicted`, `spans_dropped`).
    pub dropped: u64,
}

impl Accounting {
    /// Both sides of the equation.
    pub fn sides(&self) -> (u64, u64) {
        let right = [
            self.open,
            self.waiting,
            self.spans,
            self.excluded,
            self.ignored,
            self.instrumented,
            self.sampled_out,
            self.retracted,
            self.dropped,
        ];
        (self.seen, right.into_iter().fold(0, u64::saturating_add))
    }
}
