//! Orders from user space to the kernel side. An order is the argument of a test run of the program
//! `order` (`BPF_PROG_TEST_RUN`), so that a connection is changed in place and never overwritten whole.
//!
//! The arguments are four 64-bit numbers: the order, `struct sock`, sockfs inode, and a stream position
//! or 0.

/// Bytes of the sent (`SKIP_SENT`) or received direction below a position are body.
pub const SKIP_RECEIVED: u64 = 1;
pub const SKIP_SENT: u64 = 2;
/// The connection is of no interest: make no more records of it.
pub const IGNORE: u64 = 3;
/// Report the end of the connection and forget it if its socket is no more.
pub const CHECK: u64 = 4;
/// A frame header of HTTP/2 begins at a position of the received or sent direction. Obeyed if nothing behind it has
/// passed.
pub const FRAMES_RECEIVED: u64 = 5;
pub const FRAMES_SENT: u64 = 6;
/// DATA of a stream, its id in place of the position, tells nothing in the received or sent direction until it ends the
/// stream: it may pass without records ([`crate::QuietRecord`]). 0: of no stream any more.
pub const QUIET_RECEIVED: u64 = 7;
pub const QUIET_SENT: u64 = 8;
/// Frames of HTTP/2 are searched in the received or sent direction: of the next [`SEARCHED_CALLS`](crate::limit::SEARCHED_CALLS)
/// calls up to [`SEARCHED_COPY_LIMIT`](crate::limit::SEARCHED_COPY_LIMIT) bytes are copied, while frames are not followed.
pub const SEARCH_RECEIVED: u64 = 9;
pub const SEARCH_SENT: u64 = 10;
