//! From records to spans: `event -> stream -> message -> exchange -> link -> span`.
//!
//! Records and the time go in, spans and orders to the kernel side come out. No I/O, no clock, no `unsafe`.

#![forbid(unsafe_code)]
#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod connection;
pub mod counter;
pub mod event;
pub mod limit;
pub mod protocol;
pub mod span;
pub mod stream;

use event::{ConnectionId, Direction};

/// An order to the kernel side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Bytes of this direction below the position are body: count them, do not copy them.
    Skip { conn: ConnectionId, direction: Direction, position: u64 },
    /// Make no more records of this connection.
    Ignore { conn: ConnectionId },
}
