//! Where the bytes of a call lie in their stream.

use abi::{
    Connection,
    conn::{Half, direction, flag, verdict},
    counter,
    settings::call,
};

use super::{STORED, add32, adopt, base, based, find, half};
use crate::{
    counters,
    error::ProbeError,
    inflight::{self, Call},
    settings::setting,
    socket::{self, Socket},
    tcp,
};

/// Where the bytes of a call lie.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) position: u64,
    /// Bytes of the stream, from `position`, that the call's bytes are among: more than it moved if others moved
    /// bytes meanwhile.
    pub(crate) span: u32,
    /// Calls overlapped: the bytes lie somewhere in the span, in an order that cannot be told.
    pub(crate) ambiguous: bool,
}

/// At the exit of a call that moved `moved` bytes: the connection and the place of the bytes. `None`: the connection
/// could not be stored, which is counted.
#[inline(always)]
pub(crate) fn place(call: &Call, moved: u32) -> Result<Option<(*mut Connection, Place)>, ProbeError> {
    let socket = Socket { sk: call.sk, inode: call.inode, family: call.family, protocol: call.protocol };
    let mut adopted = false;
    let pointer = match find(call.sk, call.inode) {
        Some(found) => found,
        None => {
            let answer = adopt(call.sk, call.inode, u64::from(call.family), u64::from(call.protocol));
            adopted = answer == STORED;
            match find(call.sk, call.inode) {
                Some(found) if answer != 0 => found,
                _ => return Ok(None),
            }
        }
    };
    // SAFETY: see `find` and `mark`.
    let connection = unsafe { &mut *pointer };
    let place = if socket.sequenced() && setting!(socket_events) != 0 {
        place_accounted(connection, call, moved, adopted)?
    } else if socket.sequenced() {
        place_sequenced(connection, call, moved, adopted)?
    } else {
        place_counted(connection, call, moved)
    };
    if place.ambiguous {
        counters::add(counter::AMBIGUOUS_CALLS, 1);
        counters::add(counter::AMBIGUOUS_BYTES, u64::from(moved));
    }
    Ok(Some((pointer, place)))
}

#[inline(always)]
fn place_sequenced(
    connection: &mut Connection,
    call: &Call,
    moved: u32,
    adopted: bool,
) -> Result<Place, ProbeError> {
    let received = call.direction == direction::RECEIVED;
    let end = if received { tcp::copied(call.sk)? } else { tcp::written(call.sk)? };
    let marked = call.flags & inflight::flag::MARKED != 0;
    let mut start = end.wrapping_sub(moved);
    let mut span = moved;
    let mut ambiguous = false;
    if marked {
        start = call.mark;
        let delta = end.wrapping_sub(call.mark);
        if delta != moved {
            // Reading up to the peer's FIN moves the counter by one more (tcp_recvmsg_locked, found_fin_ok).
            let fin = received
                && delta == moved.wrapping_add(1)
                && tcp::shutdown(call.sk)? & tcp::RCV_SHUTDOWN != 0;
            if !fin {
                ambiguous = true;
                if delta > moved && delta < i32::MAX as u32 {
                    span = delta;
                }
            }
        }
    }
    let based = based(call.direction);
    let known = connection.flags & based != 0;
    if !known {
        if connection.flags & flag::FROM_OPENING != 0 {
            base(connection, call.direction, start);
        } else {
            // Positions count from the first byte seen; the initial sequence numbers are not known.
            half(connection, call.direction).sequence = start;
            connection.flags |= based;
        }
    }
    let half = half(connection, call.direction);
    // One word that is read once and written once: other processors move it too.
    // SAFETY: an aligned word in a map value.
    let reached = unsafe { (&raw const half.position).read_volatile() };
    let ahead = start.wrapping_sub(half.sequence).wrapping_sub(reached as u32) as i32;
    let position = reached.wrapping_add(ahead as i64 as u64);
    if !marked && known && !adopted && ahead != 0 {
        // Nothing tells whether others moved bytes while this call was inside.
        ambiguous = true;
    }
    if ahead > 0 && !ambiguous {
        counters::add(counter::UNSEEN_BYTES, ahead as u64);
    }
    // Another thread's later bytes may have been placed already: the half only moves forward.
    let end = position.wrapping_add(u64::from(span));
    if end > reached {
        // SAFETY: as above.
        unsafe { (&raw mut half.position).write_volatile(end) };
    }
    Ok(Place { position, span, ambiguous })
}

/// Where calls are seen when they end, and only then, the bytes that they moved are added up beside the socket's own
/// counter. Each call that is between moving bytes and its end here makes the sum lag behind. So at a moment when both
/// are equal nobody is: then all bytes before that point belong to calls that were added before, and if a call, once it
/// is added, finds both equal again, and only its own bytes between the last such point and this one, these are its own.
///
/// `entries` is the sum, `active` the last point where both were equal.
#[inline(always)]
fn place_accounted(
    connection: &mut Connection,
    call: &Call,
    moved: u32,
    adopted: bool,
) -> Result<Place, ProbeError> {
    let received = call.direction == direction::RECEIVED;
    let based = based(call.direction);
    let known = connection.flags & based != 0;
    if !known || adopted {
        // The first call that is seen: its bytes are the last ones if nobody else is inside of one, or came to its end
        // meanwhile, who could have moved bytes behind them.
        let sum = half(connection, call.direction).entries;
        let before = counter(call.sk, call.direction)?.wrapping_sub(moved);
        let last = company(call)? != Company::Others
            && !tcp::is_below(call.sk)?
            && half(connection, call.direction).entries == sum;
        if !known && last && connection.flags & flag::FROM_OPENING != 0 {
            base(connection, call.direction, before);
        } else if !known {
            // Positions count from the first byte seen; the initial sequence numbers are not known.
            half(connection, call.direction).sequence = before;
            connection.flags |= based;
        }
        let half = half(connection, call.direction);
        account_from(half, before.wrapping_sub(half.sequence).wrapping_sub(if last { 0 } else { NEVER }));
    }
    if adopted {
        forsake(half(connection, direction::SENT - call.direction));
    }
    let half = half(connection, call.direction);
    // In this order: the point that is compared with must be older than the call's own part of the sum.
    // SAFETY: aligned words in a map value, which other processors change.
    let equal = unsafe { (&raw const half.active).read_volatile() };
    add32(&raw mut half.entries, moved);
    // SAFETY: as above.
    let sum = unsafe { (&raw const half.entries).read_volatile() };
    let mut end = tcp_counter(call.sk, received)?.wrapping_sub(half.sequence);
    let mut certain = false;
    if end != sum && received && tcp::is_behind_fin(call.sk, end.wrapping_add(half.sequence))? {
        end = end.wrapping_sub(1);
    }
    if end == sum {
        certain = equal.wrapping_add(moved) == end;
        // SAFETY: as above.
        unsafe { (&raw mut half.active).write_volatile(end) };
    } else {
        // Bytes passed unseen, or those that were added moved before the connection was known. If there is nobody who
        // could still add some, the sum begins anew. The call's own bytes are the last ones only if nobody could come
        // between.
        let company = company(call)?;
        if company != Company::Others && !tcp::is_below(call.sk)? {
            certain = company == Company::Nobody && (end.wrapping_sub(sum) as i32) > 0;
            account_from(half, end);
        }
    }
    // SAFETY: as above.
    let reached = unsafe { (&raw const half.position).read_volatile() };
    let beyond = end.wrapping_sub(reached as u32) as i32;
    let mut ahead = beyond.wrapping_sub(moved as i32);
    let mut span = moved;
    if certain {
        if ahead > 0 {
            counters::add(counter::UNSEEN_BYTES, ahead as u64);
        }
    } else if beyond > 0 {
        ahead = 0;
        span = beyond as u32;
    }
    let position = reached.wrapping_add(i64::from(ahead) as u64);
    if beyond > 0 {
        // SAFETY: as above.
        unsafe { (&raw mut half.position).write_volatile(reached.wrapping_add(beyond as u64)) };
    }
    heal(connection, call)?;
    Ok(Place { position, span, ambiguous: !certain })
}

/// Nobody is inside of a call that moves bytes in this direction, and all of them are accounted for, for all that is known
/// before anything is of the current call.
#[inline(always)]
pub(crate) fn is_settled(connection: &mut Connection, way: u8) -> bool {
    let wanted = flag::SEQUENCED | based(way);
    if setting!(socket_events) == 0 || connection.flags & wanted != wanted {
        return false;
    }
    let half = half(connection, way);
    // SAFETY: aligned words in a map value, which other processors change.
    let (equal, sum, reached) = unsafe {
        (
            (&raw const half.active).read_volatile(),
            (&raw const half.entries).read_volatile(),
            (&raw const half.position).read_volatile(),
        )
    };
    equal == sum && sum == reached as u32
}

/// Whether a call that moved so many bytes is the only one that moved any since all [was settled](is_settled).
#[inline(always)]
pub(crate) fn is_alone(half: &Half, sk: u64, way: u8, moved: u32) -> Result<bool, ProbeError> {
    let end = (half.position as u32).wrapping_add(moved);
    Ok(tcp_counter(sk, way == direction::RECEIVED)?.wrapping_sub(half.sequence) == end)
}

/// The bytes of a call are accounted for, before which all [was settled](is_settled).
#[inline(always)]
pub(crate) fn settle(half: &mut Half, moved: u32) {
    let end = half.position.wrapping_add(u64::from(moved));
    add32(&raw mut half.entries, moved);
    // SAFETY: aligned words in a map value, which other processors change.
    unsafe {
        (&raw mut half.active).write_volatile(end as u32);
        (&raw mut half.position).write_volatile(end);
    }
}

/// A direction ends: what passed since the last call that was seen belongs to none that will be.
#[inline(always)]
pub(crate) fn catch_up(connection: &mut Connection, sk: u64, way: u8) -> Result<(), ProbeError> {
    let wanted = flag::SEQUENCED | based(way);
    // Of one that is ignored no call was looked at.
    let ignored = connection.verdict == verdict::IGNORED;
    if ignored || connection.flags & wanted != wanted || tcp::is_below(sk)? {
        return Ok(());
    }
    let half = half(connection, way);
    let end = counter(sk, way)?.wrapping_sub(half.sequence);
    let ahead = end.wrapping_sub(half.position as u32) as i32;
    // After a reset the peer's FIN, which counts as one, cannot be told from a byte.
    if ahead > 1 {
        counters::add(counter::UNSEEN_BYTES, ahead as u64);
        half.position = half.position.wrapping_add(ahead as u64);
    }
    Ok(())
}

/// The other direction's sum begins anew as well, where it was not equal to the counter and nobody is inside of a call: a
/// thread that always waits in a read is so only when its call ends.
#[inline(always)]
fn heal(connection: &mut Connection, call: &Call) -> Result<(), ProbeError> {
    let way = direction::SENT - call.direction;
    let based = based(way);
    let known = connection.flags & based != 0;
    let half = half(connection, way);
    // SAFETY: aligned words in a map value, which other processors change.
    let equal =
        unsafe { (&raw const half.entries).read_volatile() == (&raw const half.active).read_volatile() };
    if equal || !known {
        return Ok(());
    }
    // In this order: who is inside of a call later may have moved bytes that are counted here.
    let end = counter(call.sk, way)?.wrapping_sub(half.sequence);
    if company(call)? != Company::Others && !tcp::is_below(call.sk)? {
        account_from(half, end);
    }
    Ok(())
}

/// The socket's own counter of a direction, the peer's FIN left out.
#[inline(always)]
fn counter(sk: u64, way: u8) -> Result<u32, ProbeError> {
    let received = way == direction::RECEIVED;
    let next = tcp_counter(sk, received)?;
    Ok(if received && tcp::is_behind_fin(sk, next)? { next.wrapping_sub(1) } else { next })
}

#[inline(always)]
fn tcp_counter(sk: u64, received: bool) -> Result<u32, ProbeError> {
    if received { tcp::copied(sk) } else { tcp::written(sk) }
}

/// Nothing is known of the calls that moved the bytes so far, nor whether some are inside: the sum will not be equal to
/// the counter until it begins anew.
#[inline(always)]
fn forsake(half: &mut Half) {
    if half.position != 0 {
        let behind = (half.position as u32).wrapping_sub(NEVER);
        account_from(half, behind);
        // Not equal: see `heal`.
        add32(&raw mut half.active, u32::MAX);
    }
}

/// Far enough behind that the sum will not be equal to the counter until it begins anew.
const NEVER: u32 = 1 << 30;

/// Who besides the current call may be inside of one on its socket.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Company {
    /// Nobody can: no other thread, and no other process, has the socket.
    Nobody,
    /// Others have it, and none is inside.
    Outside,
    Others,
}

/// A call of a thread that shares its descriptors holds a reference to the file for as long as it lasts (`fdget`); one of
/// any other thread needs none besides that of the descriptor.
#[inline(always)]
fn company(call: &Call) -> Result<Company, ProbeError> {
    // What is done in nobody's call says nothing of the calls.
    if call.kind == call::NONE {
        return Ok(Company::Others);
    }
    let users = socket::users(call.sk)?;
    Ok(match users {
        socket::Users { more: 0, shared: false, threads: 1 } => Company::Nobody,
        // At the exit of the system call the reference is given back.
        socket::Users { more: 0, shared: false, .. } | socket::Users { more: 1, shared: true, .. }
            if call.flags & inflight::flag::TOLD != 0 =>
        {
            Company::Outside
        }
        _ => Company::Others,
    })
}

/// All bytes up to here are accounted for.
#[inline(always)]
pub(super) fn account_from(half: &mut Half, position: u32) {
    // SAFETY: aligned words in a map value, which other processors read.
    unsafe {
        (&raw mut half.entries).write_volatile(position);
        (&raw mut half.active).write_volatile(position);
    }
}

#[inline(always)]
fn place_counted(connection: &mut Connection, call: &Call, moved: u32) -> Place {
    let half = half(connection, call.direction);
    let mut ambiguous = call.flags & inflight::flag::OVERLAPPED != 0;
    if call.flags & inflight::flag::TOLD != 0 {
        // Before the entries were hooked: in the order of the calls' ends, which is theirs unless they overlap. One that
        // was entered meanwhile is to know.
        ambiguous |= half.active != 0;
        add32(&raw mut half.entries, 1);
    } else if call.flags & inflight::flag::MARKED != 0 {
        ambiguous |= half.entries != call.mark;
        add32(&raw mut half.active, u32::MAX);
    } else {
        // Blocked at attach, or the first call seen: certain only if no other came before.
        ambiguous |= half.entries != 0 || half.position != 0;
    }
    let position = half.position;
    // SAFETY: an aligned counter in a map value.
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) &raw mut half.position, in(reg) u64::from(moved))
    };
    Place { position, span: moved, ambiguous }
}
