//! Orders to the kernel side: test runs of the program `order`, see `abi::order`.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use abi::order;
use engine::{
    Order,
    event::{ConnectionId, Direction},
};

use super::syscall;

const BPF_PROG_TEST_RUN: libc::c_int = 10;

/// `union bpf_attr`, the part of BPF_PROG_TEST_RUN (include/uapi/linux/bpf.h).
#[repr(C)]
#[derive(Default)]
struct TestRun {
    program: u32,
    result: u32,
    data_size_in: u32,
    data_size_out: u32,
    data_in: u64,
    data_out: u64,
    repeat: u32,
    duration: u32,
    context_size_in: u32,
    context_size_out: u32,
    context_in: u64,
    context_out: u64,
    flags: u32,
    processor: u32,
}

/// Passes on an order of the engine.
pub(super) fn run(program: BorrowedFd<'_>, order: &Order) -> io::Result<()> {
    let (number, conn, position) = match *order {
        Order::Skip { conn, direction: Direction::Received, position } => {
            (order::SKIP_RECEIVED, conn, position)
        }
        Order::Skip { conn, direction: Direction::Sent, position } => (order::SKIP_SENT, conn, position),
        Order::Ignore { conn } => (order::IGNORE, conn, 0),
        Order::Frames { conn, direction: Direction::Received, position } => {
            (order::FRAMES_RECEIVED, conn, position)
        }
        Order::Frames { conn, direction: Direction::Sent, position } => (order::FRAMES_SENT, conn, position),
        Order::Search { conn, direction: Direction::Received } => (order::SEARCH_RECEIVED, conn, 0),
        Order::Search { conn, direction: Direction::Sent } => (order::SEARCH_SENT, conn, 0),
        Order::Quiet { conn, direction: Direction::Received, stream } => {
            (order::QUIET_RECEIVED, conn, stream.into())
        }
        Order::Quiet { conn, direction: Direction::Sent, stream } => (order::QUIET_SENT, conn, stream.into()),
    };
    send(program, number, conn, position)
}

/// Lets the kernel side look whether the connection's socket still is.
pub(super) fn check(program: BorrowedFd<'_>, conn: ConnectionId) -> io::Result<()> {
    send(program, order::CHECK, conn, 0)
}

fn send(program: BorrowedFd<'_>, number: u64, conn: ConnectionId, position: u64) -> io::Result<()> {
    let context = [number, conn.sock, conn.inode, position];
    let mut attributes = TestRun {
        program: program.as_raw_fd() as u32,
        context_size_in: size_of_val(&context) as u32,
        context_in: (&raw const context) as u64,
        ..TestRun::default()
    };
    // SAFETY: the layout is that of the command, and `context` lives until the call returns.
    unsafe { syscall::bpf(BPF_PROG_TEST_RUN, &mut attributes) }
}
