//! A connection appears: connect, accept.

use abi::conn::{flag, role, verdict};
use aya_ebpf::{macros::tracepoint, programs::TracePointContext};

use super::{argument, returned};
use crate::{
    connections, counters,
    error::ProbeError,
    filter::{self, Thread},
    output,
    settings::setting,
    socket, tcp,
};

/// hooks: tracepoint syscalls/sys_enter_connect(int fd, struct sockaddr *uservaddr, int addrlen)
///
/// At entry: the descriptor can be another's by the time of the exit, and a failed connection leaves an
/// entry that goes with its socket.
#[tracepoint]
pub(crate) fn connect_enter(ctx: TracePointContext) -> u32 {
    counters::note(try_connect(&ctx));
    0
}

#[inline(always)]
fn try_connect(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    if !filter::admits(thread) && thread.tgid != setting!(own_tgid) {
        return Ok(());
    }
    let Some((socket, connection)) = socket::of_descriptor(argument(ctx, 0))? else { return Ok(()) };
    // A second connect only asks how the first is going. Unix sockets keep TCP's states too.
    if tcp::state(socket.sk)? != tcp::CLOSE {
        return Ok(());
    }
    if let Some(connection) = connection {
        // The socket was disconnected and starts again (AF_UNSPEC).
        // SAFETY: see `connections::find`.
        output::end(unsafe { &mut *connection }, socket.sk, thread, 3, abi::record::end::CLOSED, 0);
    }
    connections::open(&socket, role::CONNECTED).map(|_| ())
}

/// hooks: tracepoint syscalls/sys_exit_accept, sys_exit_accept4
#[tracepoint]
pub(crate) fn accept_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_accept(&ctx));
    0
}

#[inline(always)]
fn try_accept(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let descriptor = returned(ctx);
    let thread = Thread::current();
    if descriptor < 0 || !filter::admits(thread) {
        return Ok(());
    }
    let Some((socket, _)) = socket::of_descriptor(descriptor as u64)? else { return Ok(()) };
    let connection = connections::open(&socket, role::ACCEPTED)?;
    if socket.sequenced() {
        // SAFETY: see `connections::find`.
        connections::base_fresh(unsafe { &mut *connection }, socket.sk)?;
    }
    Ok(())
}

/// Announces a connection of the agent's own: what happens at its other end is not to be traced.
#[inline(always)]
pub(super) fn own(descriptor: u64, thread: Thread) -> Result<(), ProbeError> {
    own_socket(socket::of_descriptor(descriptor)?, thread)
}

/// The same, of a socket that was found.
#[inline(always)]
pub(super) fn own_socket(found: Option<socket::Found>, thread: Thread) -> Result<(), ProbeError> {
    let Some((socket, Some(connection))) = found else { return Ok(()) };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    if connection.role != role::CONNECTED || connection.flags & flag::ANNOUNCED != 0 {
        return Ok(());
    }
    if socket.sequenced() {
        connections::base_fresh(connection, socket.sk)?;
    }
    output::announce(connection, socket.sk, socket.protocol, thread.key());
    connection.verdict = verdict::IGNORED;
    Ok(())
}
