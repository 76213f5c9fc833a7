//! Orders from user space, one a test run. The program is attached to nothing.

use abi::{
    Connection,
    conn::{direction, frame, verdict},
    limit, order,
    record::end,
};
use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};

use super::close::raw_argument;
use crate::{connections, filter::Thread, frames, output, socket};

/// hooks: none; run by BPF_PROG_TEST_RUN with (order, sock, inode, position)
#[raw_tracepoint]
pub(crate) fn order(ctx: RawTracePointContext) -> i32 {
    let (sk, inode, position) = (raw_argument(&ctx, 1), raw_argument(&ctx, 2), raw_argument(&ctx, 3));
    let Some(connection) = connections::find(sk, inode) else { return 0 };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    match raw_argument(&ctx, 0) {
        order::SKIP_RECEIVED => connections::half(connection, direction::RECEIVED).skip_until = position,
        order::SKIP_SENT => connections::half(connection, direction::SENT).skip_until = position,
        order::FRAMES_RECEIVED => frames_at(connection, direction::RECEIVED, position),
        order::FRAMES_SENT => frames_at(connection, direction::SENT, position),
        order::QUIET_RECEIVED => {
            connections::half(connection, direction::RECEIVED).quiet_stream = position as u32;
        }
        order::QUIET_SENT => connections::half(connection, direction::SENT).quiet_stream = position as u32,
        order::SEARCH_RECEIVED => {
            connections::half(connection, direction::RECEIVED).searched_calls = limit::SEARCHED_CALLS;
        }
        order::SEARCH_SENT => {
            connections::half(connection, direction::SENT).searched_calls = limit::SEARCHED_CALLS;
        }
        order::IGNORE => connection.verdict = verdict::IGNORED,
        // A released socket loses its `struct socket` (sock_orphan); memory that became another socket has
        // another inode.
        order::CHECK => {
            let alive = matches!(socket::inode_of(sk), Ok(found) if found == inode);
            if !alive && output::end(connection, sk, Thread::current(), 3, end::SWEPT, 0) {
                connections::forget(sk);
            }
        }
        _ => {}
    }
    1
}

/// A frame begins there. Too late is nothing: user space tells again.
#[inline(always)]
fn frames_at(connection: &mut Connection, way: u8, position: u64) {
    let half = connections::half(connection, way);
    if half.frame_at == frame::UNKNOWN && half.position <= position {
        frames::tell(half, position);
    }
}
