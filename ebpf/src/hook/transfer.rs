//! Bytes move: read, write, send, recv and their vector and message forms, sendfile, splice.

use abi::{
    conn::direction,
    counter,
    record::end,
    settings::call,
};
use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::tracepoint, programs::TracePointContext};

use super::{argument, number, returned};
use crate::{
    connections,
    copy::{self, Source},
    counters,
    error::ProbeError,
    filter::{self, Thread},
    inflight::{self, Call, flag},
    memory, output, registers,
    settings::{call_kind, setting},
    socket,
};

const MSG_OOB: u64 = 0x1;
const MSG_PEEK: u64 = 0x2;
const MSG_TRUNC: u64 = 0x20;
const MSG_ERRQUEUE: u64 = 0x2000;
/// Messages of one sendmmsg or recvmmsg that are followed; on stream sockets one is usual.
const MESSAGES: u64 = 8;
/// Offsets in `struct user_msghdr` and `struct mmsghdr` (include/linux/socket.h).
const MSGHDR_IOV: u64 = 16;
const MMSGHDR_LENGTH: u64 = 56;
const MMSGHDR_SIZE: u64 = 64;
/// Return values that say that nothing happened yet: EAGAIN, EINTR, and the kernel's restart codes.
const EAGAIN: i64 = -11;
const EINTR: i64 = -4;
const ERESTARTSYS: i64 = -512;
const ERESTART_LAST: i64 = -516;

/// hooks: tracepoint syscalls/sys_enter_* of the calls in `abi::settings::call` that move bytes
#[tracepoint]
pub(crate) fn transfer_enter(ctx: TracePointContext) -> u32 {
    counters::note(try_enter(&ctx));
    0
}

#[inline(always)]
fn try_enter(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    if !filter::admits(thread) {
        if thread.tgid == setting!(own_tgid) {
            return super::open::own(argument(ctx, 0), thread);
        }
        return Ok(());
    }
    let arguments =
        [argument(ctx, 0), argument(ctx, 1), argument(ctx, 2), argument(ctx, 3), argument(ctx, 4), argument(ctx, 5)];
    let Some(mut call) = describe(call_kind(number(ctx)), &arguments)? else { return Ok(()) };
    // SAFETY: the helper only reads the clock.
    call.enter = unsafe { bpf_ktime_get_ns() };
    if call.flags & flag::MOVES_NOTHING != 0 {
        return Ok(());
    }
    let socket = socket::Socket {
        sk: call.sk,
        inode: call.inode,
        family: call.family,
        protocol: call.protocol,
    };
    if !connections::mark(&socket, &mut call)? {
        return Ok(());
    }
    let stored = inflight::enter(thread, &call);
    if stored.is_err() {
        connections::unmark(&call);
    }
    stored
}

/// The call that the arguments describe; `None` if it is not on a stream socket.
#[inline(always)]
fn describe(kind: u8, arguments: &[u64; 6]) -> Result<Option<Call>, ProbeError> {
    let [first, second, third, fourth, _, _] = *arguments;
    let (socket, way) = match kind {
        call::NONE => return Ok(None),
        call::SPLICE => match socket::of_descriptor(third)? {
            Some(socket) => (Some(socket), direction::SENT),
            None => (socket::of_descriptor(first)?, direction::RECEIVED),
        },
        call::READ | call::READV | call::RECVFROM | call::RECVMSG | call::RECVMMSG => {
            (socket::of_descriptor(first)?, direction::RECEIVED)
        }
        _ => (socket::of_descriptor(first)?, direction::SENT),
    };
    let Some(socket) = socket else { return Ok(None) };
    let message_flags = match kind {
        call::RECVFROM | call::SENDTO | call::RECVMMSG | call::SENDMMSG => fourth,
        call::RECVMSG | call::SENDMSG => third,
        _ => 0,
    };
    let mut flags = 0;
    let ignored = if way == direction::RECEIVED { MSG_PEEK | MSG_ERRQUEUE | MSG_OOB } else { MSG_OOB };
    if message_flags & ignored != 0 {
        flags |= flag::MOVES_NOTHING;
    }
    if way == direction::RECEIVED && message_flags & MSG_TRUNC != 0 && socket.sequenced() {
        flags |= flag::UNCOPYABLE;
    }
    Ok(Some(Call {
        sk: socket.sk,
        inode: socket.inode,
        enter: 0,
        pointer: second,
        count: third as u32,
        mark: 0,
        family: socket.family,
        protocol: socket.protocol,
        flags,
        kind,
        direction: way,
    }))
}

/// The call that ends here, and the bytes that it moved; `None` if there is nothing to do.
#[inline(always)]
fn ending(ctx: &TracePointContext, thread: Thread) -> Result<Option<(Call, i64)>, ProbeError> {
    let moved = returned(ctx);
    if let Some(call) = inflight::exit(thread) {
        if moved > 0 {
            return Ok(Some((call, moved)));
        }
        connections::unmark(&call);
        nothing_moved(&call, thread, moved);
        return Ok(None);
    }
    if moved <= 0 || !inflight::recovers(thread) || !filter::admits(thread) {
        return Ok(None);
    }
    let base = registers::saved()?;
    let arguments = [
        registers::argument::<0>(base)?,
        registers::argument::<1>(base)?,
        registers::argument::<2>(base)?,
        registers::argument::<3>(base)?,
        0,
        0,
    ];
    let Some(mut call) = describe(call_kind(number(ctx)), &arguments)? else { return Ok(None) };
    if call.flags & flag::MOVES_NOTHING != 0 {
        return Ok(None);
    }
    if let Some(connection) = connections::find(call.sk, call.inode) {
        // SAFETY: see `connections::find`.
        if unsafe { (*connection).verdict } == abi::conn::verdict::IGNORED {
            return Ok(None);
        }
    }
    call.flags |= flag::ENTRY_UNSEEN;
    counters::add(counter::RECOVERED_CALLS, 1);
    Ok(Some((call, moved)))
}

/// A call that moved nothing: the end of the stream, an error, or a restart.
#[inline(always)]
fn nothing_moved(call: &Call, thread: Thread, returned: i64) {
    let restart = returned <= ERESTARTSYS && returned >= ERESTART_LAST;
    if returned == EAGAIN || returned == EINTR || restart {
        return;
    }
    // A read of nothing into nothing is no end.
    if returned == 0 && (call.direction != direction::RECEIVED || call.count == 0) {
        return;
    }
    let Some(connection) = connections::find(call.sk, call.inode) else { return };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    let (how, error) =
        if returned == 0 { (end::EOF, 0) } else { (end::CALL_FAILED, returned.wrapping_neg() as u32) };
    output::end(connection, call.sk, thread, 1 << call.direction, how, error);
}

/// hooks: tracepoint syscalls/sys_exit_read, sys_exit_write, sys_exit_recvfrom, sys_exit_sendto
#[tracepoint]
pub(crate) fn buffer_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_buffer(&ctx));
    0
}

#[inline(always)]
fn try_buffer(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let Some((call, moved)) = ending(ctx, thread)? else { return Ok(()) };
    let moved = moved as u32;
    let (connection, place) = connections::place(&call, moved)?;
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    if call.flags & flag::UNCOPYABLE != 0 {
        return copy::nothing(connection, &call, thread, place, moved);
    }
    copy::buffer(connection, &call, thread, place, moved)
}

/// hooks: tracepoint syscalls/sys_exit_readv, sys_exit_writev, sys_exit_recvmsg, sys_exit_sendmsg
#[tracepoint]
pub(crate) fn vector_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_vector(&ctx));
    0
}

#[inline(always)]
fn try_vector(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let Some((call, moved)) = ending(ctx, thread)? else { return Ok(()) };
    let moved = moved as u32;
    let (connection, place) = connections::place(&call, moved)?;
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    if call.flags & flag::UNCOPYABLE != 0 {
        return copy::nothing(connection, &call, thread, place, moved);
    }
    let source = if call.kind == call::RECVMSG || call.kind == call::SENDMSG {
        match message(call.pointer) {
            Ok(source) => source,
            // The bytes were moved all the same: a gap.
            Err(_) => return copy::nothing(connection, &call, thread, place, moved),
        }
    } else {
        Source { pointer: call.pointer, count: u64::from(call.count) }
    };
    copy::vector(connection, &call, source, thread, place, moved)
}

/// The vector of a `struct user_msghdr`.
#[inline(always)]
fn message(pointer: u64) -> Result<Source, ProbeError> {
    let [pointer, count] = memory::user::<[u64; 2]>(pointer.wrapping_add(MSGHDR_IOV))?;
    Ok(Source { pointer, count })
}

/// hooks: tracepoint syscalls/sys_exit_recvmmsg, sys_exit_sendmmsg
#[tracepoint]
pub(crate) fn messages_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_messages(&ctx));
    0
}

#[inline(always)]
fn try_messages(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    // What is returned is the number of messages.
    let Some((mut call, messages)) = ending(ctx, thread)? else { return Ok(()) };
    let array = call.pointer;
    let mut total: u32 = 0;
    let mut index = 0;
    while index < MESSAGES {
        if index >= messages as u64 {
            break;
        }
        let length: u32 = memory::user(array.wrapping_add(index * MMSGHDR_SIZE + MMSGHDR_LENGTH))?;
        total = total.wrapping_add(length);
        index += 1;
    }
    let (connection, place) = connections::place(&call, total)?;
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    // The first message with its bytes, the others as a gap behind it: on a stream socket the calls are
    // used for one message.
    let first: u32 = memory::user(array.wrapping_add(MMSGHDR_LENGTH))?;
    if call.flags & flag::UNCOPYABLE != 0 || place.ambiguous || first > total {
        return copy::nothing(connection, &call, thread, place, total);
    }
    call.pointer = array;
    let source = message(array)?;
    copy::vector(connection, &call, source, thread, place, first)?;
    if total > first {
        let beyond = connections::Place { position: place.position.wrapping_add(u64::from(first)), ..place };
        return copy::nothing(connection, &call, thread, beyond, total - first);
    }
    Ok(())
}

/// hooks: tracepoint syscalls/sys_exit_sendfile64, sys_exit_splice
#[tracepoint]
pub(crate) fn file_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_file(&ctx));
    0
}

#[inline(always)]
fn try_file(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let Some((call, moved)) = ending(ctx, thread)? else { return Ok(()) };
    let moved = moved as u32;
    let (connection, place) = connections::place(&call, moved)?;
    // SAFETY: see `connections::find`.
    copy::nothing(unsafe { &mut *connection }, &call, thread, place, moved)
}
