//! Every bound of the engine, each with its reason.

use crate::event::Time;

const MILLISECOND: Time = 1_000_000;

/// Largest header block that is kept: common servers refuse more than 8 to 64 KiB.
pub const HEAD_MAX: usize = 256 * 1024;
/// Fields of a header block that are looked at.
pub const FIELDS_MAX: usize = 256;
/// Longest request target that is exported; longer ones are cut and marked.
pub const TARGET_MAX: usize = 64 * 1024;
/// Connections known at once.
pub const CONNECTIONS_MAX: usize = 200_000;
/// Exchanges open on one connection (pipelining).
pub const PIPELINE_MAX: usize = 1024;
/// Streams open on one HTTP/2 connection: servers allow 100 to 250 by default, gRPC any number.
pub const STREAMS_MAX: usize = 4096;
/// Exchanges open or waiting at once.
pub const EXCHANGES_MAX: usize = 200_000;
/// Bytes of one direction that wait for earlier ones: two threads that write to one socket.
pub const REORDER_BYTES_MAX: usize = 1024 * 1024;
/// How long later bytes wait for earlier ones: a thread can be off its processor between the exit of its
/// call and the submit of its record.
pub const REORDER_WAIT: Time = 100 * MILLISECOND;
/// How long a response waits for a request that is recorded after it.
pub const PAIRING_WAIT: Time = 100 * MILLISECOND;
/// How long a finished server exchange waits for the other end of its connection to show.
pub const PEER_WAIT: Time = 100 * MILLISECOND;
/// How long a finished client exchange waits for its owner to end.
pub const OWNER_WAIT: Time = 10_000 * MILLISECOND;
/// Bytes of a `Host`, `User-Agent` or unregistered method that are kept.
pub const TEXT_MAX: usize = 1024;
/// Bytes of request text kept for all exchanges together; beyond it targets are cut to [`TARGET_CROWDED`].
pub const KEPT_TEXT_MAX: usize = 16 * 1024 * 1024;
/// Longest target that is kept when [`KEPT_TEXT_MAX`] is reached: most are shorter.
pub const TARGET_CROWDED: usize = 256;
/// Bytes of header fields that are kept of one message because an operator asked for them.
pub const HEADERS_KEPT_MAX: usize = 16 * 1024;
/// Informational responses of one exchange that become events: servers send one or two.
pub const EVENTS_MAX: usize = 32;
/// Tasks known at once; beyond it a new one owns nothing.
pub const TASKS_MAX: usize = 100_000;
/// Tasks below which idle ones are not forgotten.
pub const TASKS_PRUNE: usize = 4096;
/// Instrumented programs known at once.
pub const INSTRUMENTED_MAX: usize = 32_768;
/// How long after its owner's response a call is still linked to it: thread ids are used again.
pub const FOLLOWS_MAX: Time = 10_000 * MILLISECOND;
/// How long after a request without an answer it is unknown whether its task still works on it.
pub const DOUBT: Time = 1_000 * MILLISECOND;
/// Links that are followed to find the trace of an exchange that can wait no longer.
pub const ANCESTORS_MAX: u32 = 64;
/// Spans that wait to be taken, if the caller does not take them after each call.
pub const SPANS_MAX: usize = 100_000;
/// Orders that wait to be taken; one that is lost costs copying, nothing else.
pub const ORDERS_MAX: usize = 100_000;
/// How long a closed connection can still be found by its other end, whose records may come later.
pub const LINGER: Time = PEER_WAIT;
