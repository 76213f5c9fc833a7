//! Orders from user space to the kernel side. An order is the argument of a test run of the program
//! `order` (`BPF_PROG_TEST_RUN`), so that a connection is changed in place and never overwritten whole.

/// Bytes of the sent (`SKIP_SENT`) or received direction below a position are body.
pub const SKIP_RECEIVED: u64 = 1;
pub const SKIP_SENT: u64 = 2;
/// The connection is of no interest: make no more records of it.
pub const IGNORE: u64 = 3;
/// The connection is gone: forget it.
pub const FORGET: u64 = 4;
