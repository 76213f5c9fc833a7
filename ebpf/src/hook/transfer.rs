//! Bytes move: read, write, send, recv and their vector and message forms, sendfile, splice.

use abi::{Connection, conn::direction, counter, record::end, settings::call};
use aya_ebpf::{helpers::bpf_ktime_get_ns, macros::tracepoint, programs::TracePointContext};

use super::{MSG_OOB, argument, late_argument, number, returned};
use crate::{
    connections, copy, counters,
    error::ProbeError,
    filter::{self, Thread},
    inflight::{self, Call, flag},
    memory, output, registers,
    settings::{call_kind, setting},
    socket::{self, Socket},
};

pub(super) const MSG_PEEK: u64 = 0x2;
pub(super) const MSG_TRUNC: u64 = 0x20;
pub(super) const MSG_ERRQUEUE: u64 = 0x2000;
/// Messages of one sendmmsg or recvmmsg that are followed; on stream sockets one is usual.
const MESSAGES: i64 = 8;
/// Size of `struct mmsghdr` and offset of its length (include/linux/socket.h).
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
    let kind = call_kind(number(ctx));
    // Only calls with a fourth argument may be asked for it: the kernel refuses to attach otherwise.
    let fourth = match kind {
        call::RECVFROM | call::SENDTO | call::RECVMMSG | call::SENDMMSG => late_argument(ctx, 3),
        _ => 0,
    };
    let arguments = [argument(ctx, 0), argument(ctx, 1), argument(ctx, 2), fourth];
    let Some((mut call, socket, connection)) = describe(kind, &arguments)? else {
        inflight::enter_nothing(thread);
        return Ok(());
    };
    // SAFETY: the helper only reads the clock.
    call.enter = unsafe { bpf_ktime_get_ns() };
    if setting!(socket_events) != 0 && call::is_evented(kind) && socket.sequenced() {
        // The socket's tracepoint tells of its end.
        return if setting!(send_events) != 0 {
            inflight::enter_nothing(thread);
            Ok(())
        } else if call.direction == direction::SENT {
            inflight::enter_timed(thread, kind, call.enter, [arguments[0], arguments[1]])
        } else {
            Ok(())
        };
    }
    if call.flags & flag::MOVES_NOTHING != 0 || !connections::mark(&socket, connection, &mut call)? {
        inflight::enter_nothing(thread);
        return Ok(());
    }
    let stored = inflight::enter(thread, &call);
    if stored.is_err() {
        connections::unmark(&call);
        connections::give_up(&call, thread);
    }
    stored
}

/// A call, its socket, and the connection that is known of it.
type Described = (Call, Socket, Option<*mut Connection>);

/// The call that the arguments describe; `None` if it is not on a stream socket.
#[inline(always)]
fn describe(kind: u8, arguments: &[u64; 4]) -> Result<Option<Described>, ProbeError> {
    let [first, second, third, fourth] = *arguments;
    if kind == call::NONE {
        return Ok(None);
    }
    let mut way = if call::receives(kind) { direction::RECEIVED } else { direction::SENT };
    let mut found = socket::of_descriptor(if kind == call::SPLICE { third } else { first })?;
    if kind == call::SPLICE && found.is_none() {
        found = socket::of_descriptor(first)?;
        way = direction::RECEIVED;
    }
    let Some((socket, connection)) = found else { return Ok(None) };
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
    // On TCP and MPTCP the bytes are thrown away (tcp_recvmsg); Unix streams know no such thing.
    if way == direction::RECEIVED && message_flags & MSG_TRUNC != 0 && socket.family != socket::AF_UNIX {
        flags |= flag::UNCOPYABLE;
    }
    // What a read of nothing is told by; for messages the third argument is something else.
    let count = if kind == call::RECVMSG || kind == call::SENDMSG { 1 } else { third as u32 };
    let call = Call {
        sk: socket.sk,
        inode: socket.inode,
        enter: 0,
        pointer: second,
        count,
        mark: 0,
        family: socket.family,
        protocol: socket.protocol,
        flags,
        kind,
        direction: way,
    };
    Ok(Some((call, socket, connection)))
}

/// hooks: tracepoint syscalls/sys_exit_* of the same calls
#[tracepoint]
pub(crate) fn transfer_exit(ctx: TracePointContext) -> u32 {
    counters::note(try_exit(&ctx));
    0
}

#[inline(always)]
fn try_exit(ctx: &TracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let returned = returned(ctx);
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *copy::walk()? };
    let number = number(ctx);
    if !inflight::exit(thread, call_kind(number), &mut walk.call) {
        if setting!(socket_events) != 0 && call::is_evented(call_kind(number)) {
            return Ok(());
        }
        if !inflight::recovers(thread) || returned <= 0 || !filter::admits(thread) {
            return Ok(());
        }
        if recover(number as u64) == 0 {
            return Ok(());
        }
    } else if returned <= 0 {
        connections::unmark(&walk.call);
        nothing_moved(&walk.call, thread, returned);
        return Ok(());
    }
    let mut moved = returned as u32;
    let mut copyable = moved;
    if walk.call.kind == call::RECVMMSG || walk.call.kind == call::SENDMMSG {
        let Some((total, first)) = messages(returned) else {
            connections::unmark(&walk.call);
            connections::give_up(&walk.call, thread);
            return Ok(());
        };
        if total == 0 {
            connections::unmark(&walk.call);
            nothing_moved(&walk.call, thread, 0);
            return Ok(());
        }
        (moved, copyable) = (total, first);
    }
    copy::records(thread, moved, copyable);
    Ok(())
}

/// Fills in a call whose entry was not seen from the saved registers. Whether it is to be followed.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn recover(number: u64) -> u64 {
    match try_recover(number) {
        Ok(true) => {
            counters::add(counter::RECOVERED_CALLS, 1);
            1
        }
        Ok(false) => 0,
        Err(error) => {
            counters::add(error.counter(), 1);
            0
        }
    }
}

#[inline(always)]
fn try_recover(number: u64) -> Result<bool, ProbeError> {
    let base = registers::saved()?;
    let arguments = [
        registers::argument::<0>(base)?,
        registers::argument::<1>(base)?,
        registers::argument::<2>(base)?,
        registers::argument::<3>(base)?,
    ];
    let Some((mut call, _, connection)) = describe(call_kind(number as i64), &arguments)? else {
        return Ok(false);
    };
    if call.flags & flag::MOVES_NOTHING != 0 {
        return Ok(false);
    }
    if let Some(connection) = connection {
        // SAFETY: see `connections::find`.
        if unsafe { (*connection).verdict } == abi::conn::verdict::IGNORED {
            return Ok(false);
        }
    }
    call.flags |= flag::ENTRY_UNSEEN;
    // SAFETY: this processor's own state.
    unsafe { (*copy::walk()?).call = call };
    Ok(true)
}

/// Whether a call says that it did nothing so far.
#[inline(always)]
pub(super) fn is_to_be_repeated(returned: i64) -> bool {
    let restart = (ERESTART_LAST..=ERESTARTSYS).contains(&returned);
    returned == EAGAIN || returned == EINTR || restart
}

/// A call that moved nothing: the end of the stream, an error, or a restart.
#[inline(always)]
pub(super) fn nothing_moved(call: &Call, thread: Thread, returned: i64) {
    if is_to_be_repeated(returned) {
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

/// Bytes in the messages of a sendmmsg or recvmmsg, which returns their number, and bytes in the first of them. The
/// first is copied, the others are a gap: on a stream socket one message is usual. `None`: they cannot be told.
#[inline(always)]
fn messages(count: i64) -> Option<(u32, u32)> {
    // SAFETY: this processor's own state.
    let array = unsafe { (*copy::walk().ok()?).call.pointer };
    if count > MESSAGES {
        return None;
    }
    let first: u32 = memory::user(array.wrapping_add(MMSGHDR_LENGTH)).ok()?;
    let mut total = first;
    let mut index = 1;
    while index < MESSAGES {
        if index >= count {
            break;
        }
        let place = array.wrapping_add(index as u64 * MMSGHDR_SIZE + MMSGHDR_LENGTH);
        let length: u32 = memory::user(place).ok()?;
        total = total.wrapping_add(length);
        index += 1;
    }
    Some((total, first))
}
