//! Known connections: the table by `struct sock`, and true stream positions.

mod place;

use abi::{
    Connection,
    conn::{Half, direction, flag, frame, role, verdict},
    record::end,
};
use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
    macros::map,
    maps::{Array, HashMap, PerCpuArray},
};

use crate::{
    counters,
    error::ProbeError,
    filter::Thread,
    inflight::{self, Call},
    output,
    settings::setting,
    socket::{AF_UNIX, Socket},
    tcp,
};

use self::place::account_from;
pub(crate) use self::place::{catch_up, is_alone, is_settled, place, settle};

/// By address of `struct sock`. Plain, never LRU: that would evict the idle keep-alive connection first.
#[map]
static CONNECTIONS: HashMap<u64, Connection> = HashMap::with_max_entries(65_536, 0);

/// The connection of a socket; an entry of an earlier socket at the same address is not it.
#[inline(always)]
pub(crate) fn find(sk: u64, inode: u64) -> Option<*mut Connection> {
    let connection = CONNECTIONS.get_ptr_mut(sk)?;
    // SAFETY: a map value stays readable while the program runs (RCU).
    (unsafe { (*connection).inode } == inode).then_some(connection)
}

/// The connection at a `struct sock`, whatever its inode: at TCP's end of life the inode is gone.
#[inline(always)]
pub(crate) fn find_sock(sk: u64) -> Option<*mut Connection> {
    CONNECTIONS.get_ptr_mut(sk)
}

/// The socket begins to send for the thread, or goes on. Whether that is noted: it is not if another thread is inside.
#[inline(always)]
pub(crate) fn begins(connection: &mut Connection, thread: Thread) -> bool {
    if connection.sender == 0 {
        // SAFETY: the helper only reads the clock.
        connection.sender_since = unsafe { bpf_ktime_get_ns() };
        connection.sender = thread.tid;
    }
    connection.sender == thread.tid
}

/// Takes the time at which the socket began to send for the thread; `None` if it is not noted here.
#[inline(always)]
pub(crate) fn began(connection: &mut Connection, thread: Thread) -> Option<u64> {
    if connection.sender != thread.tid {
        return None;
    }
    connection.sender = 0;
    Some(connection.sender_since)
}

/// Forgets a connection.
#[inline(always)]
pub(crate) fn forget(sk: u64) {
    // Fails only if another processor was faster.
    CONNECTIONS.remove(sk).ok();
}

/// Stores a connection whose opening was seen.
#[inline(always)]
pub(crate) fn open(socket: &Socket, role: u8) -> Result<*mut Connection, ProbeError> {
    let mut flags = flag::FROM_OPENING;
    if socket.sequenced() {
        flags |= flag::SEQUENCED;
    }
    store(socket, role, flags).map(|(connection, _)| connection)
}

/// Stores a connection that is older than the agent, or whose opening passed unseen. A global function: rare, and
/// many ways lead out of it. [`STORED`], [`KNOWN`] if another call was faster, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn adopt(sk: u64, inode: u64, family: u64, protocol: u64) -> u64 {
    let socket = Socket { sk, inode, family: family as u16, protocol: protocol as u16 };
    match try_adopt(&socket) {
        Ok(true) => STORED,
        Ok(false) => KNOWN,
        Err(error) => {
            counters::add(error.counter(), 1);
            0
        }
    }
}

#[inline(always)]
fn try_adopt(socket: &Socket) -> Result<bool, ProbeError> {
    if !socket.sequenced() {
        return store(socket, role::UNKNOWN, 0).map(|(_, fresh)| fresh);
    }
    let (connection, fresh) = store(socket, role::UNKNOWN, flag::SEQUENCED)?;
    if !fresh {
        return Ok(false);
    }
    if let Some(ends) = tcp::ends(socket.sk)? {
        // SAFETY: see `find`; nobody else knows the entry's bases yet.
        let connection = unsafe { &mut *connection };
        for direction in [direction::RECEIVED, direction::SENT] {
            let end = if direction == direction::RECEIVED { ends[0] } else { ends[1] };
            base(connection, direction, end.first);
            let half = half(connection, direction);
            half.position = end.position;
            if setting!(socket_events) != 0 {
                account_from(half, end.position as u32);
            }
        }
    }
    Ok(true)
}

/// One element: whether a Unix socket was ever stored. Lets the many closes of files pass at little cost.
#[map]
static UNIX_SEEN: Array<u32> = Array::with_max_entries(1, 0);

/// Whether there may be connections that only a close ends.
#[inline(always)]
pub(crate) fn any_unix() -> bool {
    // SAFETY: an aligned number in a map; volatile, since other programs write it.
    UNIX_SEEN.get(0).is_some_and(|seen| unsafe { core::ptr::read_volatile(seen) } != 0)
}

#[inline(always)]
fn store(socket: &Socket, role: u8, flags: u16) -> Result<(*mut Connection, bool), ProbeError> {
    let kind = u64::from(socket.family) | u64::from(socket.protocol) << 16;
    let stored = insert(socket.sk, socket.inode, kind, u64::from(role) | u64::from(flags) << 16);
    if stored == 0 {
        return Err(ProbeError::ConnectionsFull);
    }
    let connection = CONNECTIONS.get_ptr_mut(socket.sk).ok_or(ProbeError::ConnectionsFull)?;
    Ok((connection, stored == STORED))
}

/// Answers of [`adopt`] and [`insert`]; 0: there is no room.
const STORED: u64 = 1;
/// It was there already.
const KNOWN: u64 = 2;

/// An entry being made. In map memory: it is a quarter of the stack that 5.10 allows three functions in a row. One a
/// processor: see `output::SCRATCH`.
#[map]
static FRESH: PerCpuArray<Connection> = PerCpuArray::with_max_entries(1, 0);

/// A global function: rare, and called from several places. `kind` is family and protocol, `state` role and flags, each
/// with the second above 16 bits. [`STORED`], [`KNOWN`] if it was adopted before, or 0.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value the entry would lie on the stack")]
extern "C" fn insert(sk: u64, inode: u64, kind: u64, state: u64) -> u64 {
    let family = kind as u16;
    if family == AF_UNIX
        && let Some(seen) = UNIX_SEEN.get_ptr_mut(0)
    {
        // SAFETY: an aligned number in a map that only ever becomes 1.
        unsafe { seen.write_volatile(1) };
    }
    let adopted = state as u8 == role::UNKNOWN;
    if adopted && find(sk, inode).is_some() {
        return KNOWN;
    }
    // An entry that is there is of a socket that is gone, whose end was not seen: its memory is this one's now.
    if let Some(old) = find_sock(sk) {
        // SAFETY: see `find`.
        output::end(unsafe { &mut *old }, sk, Thread::current(), 3, end::SWEPT, 0);
    }
    let Some(fresh) = FRESH.get_ptr_mut(0) else { return 0 };
    // Word by word: the compiler's memset is a function more on the stack.
    let mut word = 0;
    while word < size_of::<Connection>() / 8 {
        // SAFETY: inside the entry, which is whole words and for which zeroes are valid.
        unsafe { fresh.cast::<u64>().add(word).write_volatile(0) };
        word += 1;
    }
    // SAFETY: this processor's own.
    let fresh = unsafe { &mut *fresh };
    fresh.inode = inode;
    fresh.flags = (state >> 16) as u16;
    fresh.family = family;
    fresh.role = state as u8;
    fresh.verdict = verdict::UNDECIDED;
    fresh.protocol = (kind >> 16) as u16;
    for direction in [direction::RECEIVED, direction::SENT] {
        let half = half(fresh, direction);
        half.frame_at = frame::UNKNOWN;
        half.frame_kept = frame::NOT_DATA;
    }
    u64::from(CONNECTIONS.insert(sk, &*fresh, 0).is_ok())
}

/// The sequence number of position 0 of a half is known. It never changes: the position alone moves.
#[inline(always)]
fn base(connection: &mut Connection, direction: u8, first: u32) {
    half(connection, direction).sequence = first;
    if direction == direction::RECEIVED {
        connection.isn[0] = first.wrapping_sub(1);
        connection.flags |= flag::BASED_RECEIVED;
    } else {
        connection.isn[1] = first.wrapping_sub(1);
        connection.flags |= flag::BASED_SENT;
    }
    if connection.flags & (flag::BASED_RECEIVED | flag::BASED_SENT) == flag::BASED_RECEIVED | flag::BASED_SENT
    {
        connection.flags |= flag::ISN_KNOWN;
    }
}

/// The flag that says that the sequence number of position 0 of a direction is known.
#[inline(always)]
fn based(direction: u8) -> u16 {
    if direction == direction::RECEIVED { flag::BASED_RECEIVED } else { flag::BASED_SENT }
}

/// One direction, without an index that the compiler would guard with a panic.
#[inline(always)]
pub(crate) fn half(connection: &mut Connection, direction: u8) -> &mut Half {
    let [received, sent] = &mut connection.halves;
    if direction == direction::RECEIVED { received } else { sent }
}

/// Both bases of a fresh connection, before its first byte was moved by the program: exact, because only
/// the program's own calls move `write_seq` and `copied_seq`.
#[inline(always)]
pub(crate) fn base_fresh(connection: &mut Connection, sk: u64) -> Result<(), ProbeError> {
    let state = tcp::state(sk)?;
    if state != tcp::ESTABLISHED && state != tcp::CLOSE_WAIT {
        return Ok(());
    }
    if connection.flags & flag::BASED_RECEIVED == 0 {
        base(connection, direction::RECEIVED, tcp::copied(sk)?);
    }
    if connection.flags & flag::BASED_SENT == 0 {
        base(connection, direction::SENT, tcp::written(sk)?);
    }
    Ok(())
}

/// The connection that `connect` opened is established: nothing was moved, unless it went with the opening itself
/// (TCP Fast Open). Called before the state is stored.
#[inline(always)]
pub(crate) fn base_established(connection: &mut Connection, sk: u64) -> Result<(), ProbeError> {
    if connection.flags & flag::SEQUENCED == 0 || connection.role != role::CONNECTED {
        return Ok(());
    }
    if connection.flags & flag::BASED_RECEIVED == 0 {
        base(connection, direction::RECEIVED, tcp::copied(sk)?);
    }
    if connection.flags & flag::BASED_SENT == 0 && tcp::sent(sk)? == 0 {
        base(connection, direction::SENT, tcp::written(sk)?);
    }
    Ok(())
}

/// At the entry of a call: what is needed to place its bytes at the exit. `false`: not to be followed.
#[inline(always)]
pub(crate) fn mark(
    socket: &Socket,
    known: Option<*mut Connection>,
    call: &mut Call,
) -> Result<bool, ProbeError> {
    let connection = match known {
        Some(connection) => {
            // SAFETY: see `find`. Fields that several processors change are changed by atomics or by
            // one writer at a time; a torn count only makes a call ambiguous.
            unsafe { &mut *connection }
        }
        // Whether the connection is worth an entry is seen when bytes moved.
        None if socket.sequenced() => {
            // TCP_FASTOPEN data goes with the opening itself.
            if call.direction == direction::SENT && tcp::state(socket.sk)? == tcp::CLOSE {
                open(socket, role::CONNECTED)?;
                return Ok(true);
            }
            return mark_sequence(socket.sk, call);
        }
        None => return Ok(true),
    };
    if connection.verdict == verdict::IGNORED || connection.flags & flag::ENDED != 0 {
        return Ok(false);
    }
    if socket.sequenced() {
        if connection.flags & (flag::FROM_OPENING | flag::ISN_KNOWN) == flag::FROM_OPENING {
            base_fresh(connection, socket.sk)?;
        }
        if connection.flags & (flag::FROM_OPENING | based(call.direction)) == flag::FROM_OPENING {
            return Ok(true);
        }
        return mark_sequence(socket.sk, call);
    }
    let half = half(connection, call.direction);
    if half.active != 0 {
        call.flags |= inflight::flag::OVERLAPPED;
    }
    call.mark = half.entries.wrapping_add(1);
    call.flags |= inflight::flag::MARKED;
    add32(&raw mut half.entries, 1);
    add32(&raw mut half.active, 1);
    Ok(true)
}

#[inline(always)]
fn mark_sequence(sk: u64, call: &mut Call) -> Result<bool, ProbeError> {
    call.mark = if call.direction == direction::RECEIVED { tcp::copied(sk)? } else { tcp::written(sk)? };
    call.flags |= inflight::flag::MARKED;
    Ok(true)
}

/// Follows a connection no more: positions are counted and a call's bytes could not be.
#[inline(always)]
pub(crate) fn give_up(call: &Call, thread: Thread) {
    if counted(call) {
        abandon(call.sk, call.inode, thread.key());
    }
}

/// Follows a connection no more. A global function: rare, and called from several places.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn abandon(sk: u64, inode: u64, thread: u64) -> u64 {
    if let Some(connection) = find(sk, inode) {
        // SAFETY: see `find`.
        let connection = unsafe { &mut *connection };
        output::end(connection, sk, Thread::of_key(thread), 3, end::SWEPT, 0);
        connection.verdict = verdict::IGNORED;
    }
    0
}

/// At the exit of a call that moved nothing: takes back what [`mark`] counted.
#[inline(always)]
pub(crate) fn unmark(call: &Call) {
    if counted(call)
        && call.flags & inflight::flag::MARKED != 0
        && let Some(connection) = find(call.sk, call.inode)
    {
        // SAFETY: see `find`.
        let half = half(unsafe { &mut *connection }, call.direction);
        add32(&raw mut half.active, u32::MAX);
    }
}

#[inline(always)]
fn counted(call: &Call) -> bool {
    !Socket { sk: call.sk, inode: call.inode, family: call.family, protocol: call.protocol }.sequenced()
}

#[inline(always)]
fn add32(counter: *mut u32, amount: u32) {
    // In assembly, because core offers no 32-bit atomics for this target. The sum is not fetched: kernels
    // before 5.12 can add atomically, but not fetch.
    // SAFETY: an aligned counter in a map value.
    unsafe { core::arch::asm!("lock *(u32 *)({0} + 0) += {1}", in(reg) counter, in(reg) u64::from(amount)) };
}
