//! Bytes moved, as the sockets' own tracepoints tell at the end of `sock_sendmsg` and `sock_recvmsg`: on sockets only,
//! with the socket at hand, and without the cost of a system call tracepoint. The call's arguments are in the saved
//! registers. Used where the kernel has them; see `abi::Settings::socket_events`.
//!
//! TCP needs no more than this for reads, and the time of the entry for writes. On other sockets overlapping calls are
//! only told apart by their entries: their calls are hooked as well once there is such a connection (`transfer.rs`), and
//! what is told here is then what was under way before.

use abi::{
    conn::{direction, flag as conn_flag, verdict},
    counter,
    process::decision,
    settings::call,
};
use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::{btf_tracepoint, tracepoint},
    programs::{BtfTracePointContext, TracePointContext},
};

use super::{
    MSG_OOB, argument, number,
    transfer::{self, MSG_ERRQUEUE, MSG_PEEK, MSG_TRUNC},
};
use crate::{
    connections, copy, counters,
    error::ProbeError,
    filter::{self, Thread},
    inflight::{self, Call, flag},
    quiet, registers,
    settings::{call_kind, setting},
    socket,
};

/// hooks: tracepoint syscalls/sys_enter_* of the calls that send
///
/// Only the time: whether the descriptor is a socket is seen when bytes moved.
#[tracepoint]
pub(crate) fn send_enter(ctx: TracePointContext) -> u32 {
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
    // SAFETY: the helper only reads the clock.
    let time = unsafe { bpf_ktime_get_ns() };
    inflight::enter_timed(thread, call_kind(number(ctx)), time, [argument(ctx, 0), argument(ctx, 1)])
}

/// hooks: tp_btf tcp_sendmsg_locked(const struct sock *sk, const struct msghdr *msg, const struct sk_buff *skb, int size_goal)
///
/// Instead of the entries, where the kernel has it: before each piece that a send adds, the first of which counts.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
pub(crate) fn sending(ctx: BtfTracePointContext) -> i32 {
    counters::note(try_sending(&ctx));
    0
}

#[inline(always)]
fn try_sending(ctx: &BtfTracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let sk = copy::number(ctx.arg(0))?;
    let own = thread.tgid == setting!(own_tgid);
    if !own
        && let Some(connection) = connections::find_sock(sk)
        // SAFETY: see `connections::find`.
        && connections::begins(unsafe { &mut *connection }, thread)
    {
        return Ok(());
    }
    // Who it is will be asked when bytes moved: it may be a thread of the kernel's.
    if !own && filter::decision_of(thread.tgid) == decision::SKIP {
        return Ok(());
    }
    if own {
        let inode = socket::inode_of_argument(ctx.arg(0));
        return super::open::own_socket(socket::of_sock(sk, inode)?, thread);
    }
    inflight::begins(thread, sk)
}

/// hooks: tp_btf sock_recv_length(struct sock *sk, int ret, int flags)
#[btf_tracepoint(function = "sock_recv_length")]
pub(crate) fn received(ctx: BtfTracePointContext) -> i32 {
    counters::note(try_moved(&ctx, direction::RECEIVED));
    0
}

/// hooks: tp_btf sock_send_length(struct sock *sk, int ret, int flags)
#[btf_tracepoint(function = "sock_send_length")]
pub(crate) fn sent(ctx: BtfTracePointContext) -> i32 {
    counters::note(try_moved(&ctx, direction::SENT));
    0
}

#[inline(always)]
fn try_moved(ctx: &BtfTracePointContext, way: u8) -> Result<(), ProbeError> {
    let returned = i64::from(ctx.arg::<i32>(1));
    let repeated = transfer::is_to_be_repeated(returned);
    let sends = way == direction::SENT && setting!(send_events) != 0;
    if repeated && !sends {
        return Ok(());
    }
    // Of a send they are not told.
    let told = if way == direction::RECEIVED { ctx.arg::<i32>(2) as u64 } else { 0 };
    if told & (MSG_PEEK | MSG_ERRQUEUE | MSG_OOB) != 0 {
        return Ok(());
    }
    let sk = copy::number(ctx.arg(0))?;
    // Whatever its inode is: an entry of an earlier socket at the same address counts other bytes.
    let connection = connections::find_sock(sk);
    let mut began = None;
    if sends {
        let thread = Thread::current();
        // SAFETY: see `connections::find`.
        began = connection.and_then(|connection| connections::began(unsafe { &mut *connection }, thread));
        if began.is_none() {
            began = inflight::began(thread, sk);
        }
    }
    if repeated {
        return Ok(());
    }
    if let Some(connection) = connection
        && returned > 0
        // SAFETY: see `connections::find`.
        && quiet::passes(unsafe { &mut *connection }, sk, way, returned as u32, told & MSG_TRUNC != 0)?
    {
        return Ok(());
    }
    let thread = Thread::current();
    let inode = socket::inode_of_argument(ctx.arg(0));
    // SAFETY: see `connections::find`.
    let connection = connection.filter(|connection| unsafe { (**connection).inode } == inode);
    if connection.is_none() && filter::decision_of(thread.tgid) == decision::SKIP {
        return Ok(());
    }
    let current = registers::current();
    let admitted = current.is_some() && filter::admits(thread);
    let socket = match connection {
        Some(connection) => {
            // SAFETY: see `connections::find`.
            let connection = unsafe { &*connection };
            if connection.verdict == verdict::IGNORED || connection.flags & conn_flag::ENDED != 0 {
                return Ok(());
            }
            socket::Socket { sk, inode, family: connection.family, protocol: connection.protocol }
        }
        // Whoever moves the bytes of a known connection, they count; of the others only those of who is traced.
        None if !admitted || inflight::attaching() => return Ok(()),
        None => match socket::of_sock(sk, inode)? {
            Some((socket, _)) => socket,
            None => return Ok(()),
        },
    };
    let (number, arguments) = current.unwrap_or((-1, [0; 4]));
    let mut kind = if number < 0 { call::NONE } else { call_kind(number) };
    if admitted && kind != call::NONE && !call::is_evented(kind) {
        return Ok(());
    }
    if !socket.sequenced() {
        if inflight::refuses_counted() {
            connections::abandon(sk, inode, thread.key());
            return Ok(());
        }
        if inflight::awaits_exit(thread, kind, sk) {
            return Ok(());
        }
    }
    let [descriptor, pointer, third, fourth] = arguments;
    let out_of_band =
        kind == call::SENDTO && fourth & MSG_OOB != 0 || kind == call::SENDMSG && third & MSG_OOB != 0;
    if !admitted || call::receives(kind) != (way == direction::RECEIVED) || out_of_band {
        kind = call::NONE;
    }
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *copy::walk()? };
    let mut flags = flag::TOLD;
    if told & MSG_TRUNC != 0 && socket.family != socket::AF_UNIX {
        flags |= flag::UNCOPYABLE;
    }
    let mut enter = 0;
    if way == direction::SENT {
        match if sends { began } else { inflight::entered(thread, kind, descriptor, pointer) } {
            Some(time) => enter = time,
            None => flags |= flag::ENTRY_UNSEEN,
        }
    } else {
        flags |= flag::ENTRY_UNSEEN;
    }
    // What a read of nothing is told by; for messages the third argument is something else.
    let count = if kind == call::RECVMSG || kind == call::SENDMSG { 1 } else { third as u32 };
    walk.call = Call {
        sk,
        inode,
        enter,
        pointer,
        count,
        mark: 0,
        family: socket.family,
        protocol: socket.protocol,
        flags,
        kind,
        direction: way,
    };
    if kind == call::NONE {
        // io_uring, another process's call, and what the kernel does by itself.
        if connection.is_some() && returned > 0 {
            counters::add(counter::UNSEEN_BYTES, returned as u64);
            connections::place(&walk.call, returned as u32)?;
        }
        return Ok(());
    }
    if connection.is_none() {
        // A socket of the kernel's own that serves the call (a file system's) is not the program's.
        let file = socket::file(descriptor)?;
        if file == 0 || file != socket::file_of(sk)? {
            return Ok(());
        }
    }
    if returned <= 0 {
        transfer::nothing_moved(&walk.call, thread, returned);
        return Ok(());
    }
    copy::records(thread, returned as u32, returned as u32);
    Ok(())
}
