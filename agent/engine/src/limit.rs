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
