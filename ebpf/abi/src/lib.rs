//! The contract between the BPF programs and user space.
//!
//! * **Byte order**: native. Both sides run on one machine; a recording carries a mark of its order.
//!   Ports and addresses are the exception: they stand as they do on the wire (network order).
//! * **Time**: nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).
//! * **Lifetime**: a record is valid from the submit of the ring entry until its release; nothing in it is
//!   a pointer that user space may follow.
//! * **Loss**: a record that did not fit is counted ([`counter`]). Positions are absolute, so a lost data
//!   record shows as a gap of exact size in front of the next one.
//! * **Versioning**: kinds, counters and flags only grow; a changed layout bumps [`VERSION`].

#![no_std]

pub mod conn;
pub mod counter;
pub mod limit;
pub mod order;
pub mod process;
pub mod record;
pub mod settings;

pub use conn::{Connection, ConnectionId};
pub use record::{DataRecord, EndRecord, Kind, OpenRecord, ProcessRecord, QuietRecord, RecordHeader};
pub use settings::{Offsets, Settings};

/// The version of every layout in this crate; a recording states the one that it was made with.
pub const VERSION: u32 = 1;
