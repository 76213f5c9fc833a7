//! A connection, or one direction of it, ends.

use abi::{conn::direction, record::end};
use aya_ebpf::{
    EbpfContext as _,
    macros::{raw_tracepoint, tracepoint},
    programs::{RawTracePointContext, TracePointContext},
};

use super::argument;
use crate::{
    connections, counters,
    error::ProbeError,
    filter::{self, Thread},
    memory, output,
    settings::{offset, setting},
    socket::{self, AF_UNIX},
    tcp,
};

const BOTH: u8 = 3;
const SHUT_RD: u64 = 0;

/// hooks: tracepoint syscalls/sys_enter_shutdown(int fd, int how)
///
/// For sockets that have no state event: Unix and MPTCP.
#[tracepoint]
pub(crate) fn shutdown_enter(ctx: TracePointContext) -> u32 {
    counters::note(try_shutdown(&ctx));
    0
}

#[inline(always)]
fn try_shutdown(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let how = argument(ctx, 1);
    if how == SHUT_RD || !filter::admits(thread) {
        return Ok(());
    }
    let Some((socket, connection)) = socket::of_descriptor(argument(ctx, 0))? else { return Ok(()) };
    if socket.sequenced() {
        return Ok(());
    }
    let Some(connection) = connection else { return Ok(()) };
    // SAFETY: see `connections::find`.
    output::end(unsafe { &mut *connection }, socket.sk, thread, 1 << direction::SENT, end::SHUTDOWN, 0);
    Ok(())
}

/// hooks: tracepoint syscalls/sys_enter_close(unsigned int fd)
///
/// For sockets without a tracepoint at their end: Unix, when this is the last reference. Others' ends and
/// the ends by dup2, exit and close_range are found by the sweep (`order::CHECK`).
#[tracepoint]
pub(crate) fn close_enter(ctx: TracePointContext) -> u32 {
    counters::note(try_close(&ctx));
    0
}

#[inline(always)]
fn try_close(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    if !connections::any_unix() || !filter::admits(thread) {
        return Ok(());
    }
    let file = socket::file(argument(ctx, 0))?;
    let Some((socket, connection)) = socket::of_file(file)? else { return Ok(()) };
    if socket.family != AF_UNIX {
        return Ok(());
    }
    let references: u64 = memory::kernel(file, offset!(file_count))?;
    if references != offset!(file_count_single) as u64 {
        return Ok(());
    }
    let Some(connection) = connection else { return Ok(()) };
    // SAFETY: see `connections::find`.
    if output::end(unsafe { &mut *connection }, socket.sk, thread, BOTH, end::CLOSED, 0) {
        connections::forget(socket.sk);
    }
    Ok(())
}

/// hooks: raw_tracepoint inet_sock_set_state(const struct sock *sk, const int oldstate, const int newstate)
#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
pub(crate) fn socket_state(ctx: RawTracePointContext) -> i32 {
    counters::note(try_state(&ctx));
    0
}

#[inline(always)]
fn try_state(ctx: &RawTracePointContext) -> Result<(), ProbeError> {
    let sk = raw_argument(ctx, 0);
    let Some(connection) = connections::find_sock(sk) else { return Ok(()) };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    match raw_argument(ctx, 2) as u8 {
        tcp::ESTABLISHED if setting!(socket_events) != 0 => connections::base_established(connection, sk)?,
        // Our FIN: by close both directions are shut down, by shutdown only the sent one.
        tcp::FIN_WAIT1 | tcp::LAST_ACK => {
            let thread = Thread::current();
            // Before the FIN takes a sequence number.
            connections::catch_up(connection, sk, direction::SENT)?;
            if tcp::shutdown(sk)? == tcp::SHUTDOWN_BOTH {
                connections::catch_up(connection, sk, direction::RECEIVED)?;
                output::end(connection, sk, thread, BOTH, end::CLOSED, 0);
            } else {
                output::end(connection, sk, thread, 1 << direction::SENT, end::SHUTDOWN, 0);
            }
        }
        // MPTCP's sockets have no destroy event. TCP's may still hold bytes to be read: see below.
        tcp::CLOSE if connection.flags & abi::conn::flag::SEQUENCED == 0 => {
            gone(connection, sk)?;
        }
        _ => {}
    }
    Ok(())
}

/// hooks: raw_tracepoint tcp_destroy_sock(struct sock *sk)
#[raw_tracepoint(tracepoint = "tcp_destroy_sock")]
pub(crate) fn socket_destroy(ctx: RawTracePointContext) -> i32 {
    counters::note(try_destroy(&ctx));
    0
}

#[inline(always)]
fn try_destroy(ctx: &RawTracePointContext) -> Result<(), ProbeError> {
    let sk = raw_argument(ctx, 0);
    let Some(connection) = connections::find_sock(sk) else { return Ok(()) };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    // Where the program shut down what it sends before. Of a socket that it disconnected nothing is known any more.
    if tcp::received(sk)? != 0 {
        connections::catch_up(connection, sk, direction::RECEIVED)?;
    }
    gone(connection, sk)
}

/// The socket is no more.
#[inline(always)]
fn gone(connection: &mut abi::Connection, sk: u64) -> Result<(), ProbeError> {
    let error: u32 = memory::kernel(sk, offset!(sock_error))?;
    let how = if error == 0 { end::CLOSED } else { end::FAILED };
    // One that does not fit the ring stays in the table: the sweep finds and reports it.
    if output::end(connection, sk, Thread::current(), BOTH, how, error) {
        connections::forget(sk);
    }
    Ok(())
}

/// An argument of a raw tracepoint.
#[inline(always)]
pub(super) fn raw_argument(ctx: &RawTracePointContext, index: usize) -> u64 {
    // SAFETY: the context is an array of 64-bit arguments; the verifier checks the index.
    unsafe { ctx.as_ptr().cast::<u64>().add(index).read() }
}
