//! Copies the bytes that a call moved out of user memory, in pieces, into data records.
//!
//! Done at the exit of the call: its return value says how many bytes there are, and the kernel has just
//! touched the pages, so that they can be read without a fault.

use abi::{
    Connection, ConnectionId, RecordHeader, counter, limit,
    record::{data_flag, kind},
};
use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_user};

use crate::{
    connections::{self, Place},
    counters,
    error::ProbeError,
    filter::Thread,
    inflight::{self, Call},
    judge, memory,
    output::{self, Scratch},
    settings::setting,
};

const PIECE: u32 = limit::PIECE_MAX as u32;
/// Pieces of the largest copy limit.
const PIECES: usize = limit::COPY_LIMIT_MAX as usize / limit::PIECE_MAX + 1;
/// Vector elements walked, pieces submitted in between included. The rest of a call is a gap.
const STEPS: usize = 96;

/// What is left of a call. In the scratch record where the verifier must not follow it.
struct Rest {
    /// Bytes of the call not yet accounted for.
    bytes: u32,
    /// Bytes that may still be copied.
    allowance: u32,
}

/// What is the same in all records of a call, and whether there is anything to copy.
#[inline(always)]
fn begin(
    connection: &mut Connection,
    call: &Call,
    thread: Thread,
    place: Place,
    moved: u32,
    protocol: u16,
) -> Result<Option<(*mut Scratch, Rest)>, ProbeError> {
    let scratch = output::scratch()?;
    // SAFETY: this processor's own buffer (see `output::SCRATCH`).
    let record = unsafe { &mut (*scratch).record };
    // SAFETY: the helper only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut flags = 0;
    if place.ambiguous {
        flags |= data_flag::AMBIGUOUS;
    }
    if call.flags & inflight::flag::ENTRY_UNSEEN != 0 {
        flags |= data_flag::ENTRY_UNSEEN;
    }
    record.header = RecordHeader { kind: kind::DATA, flags, length: 0, time: now };
    record.conn = ConnectionId { sock: call.sk, inode: call.inode };
    record.enter = if call.flags & inflight::flag::ENTRY_UNSEEN != 0 { now } else { call.enter };
    record.task = u64::from(thread.tid);
    record.position = place.position;
    record.tgid = thread.tgid;
    record.tid = thread.tid;
    record.call_length = moved;
    record.call_offset = 0;
    record.covered = 0;
    record.direction = call.direction;
    record.padding = [0; 7];
    let mut rest = Rest { bytes: moved, allowance: setting!(copy_limit) };
    if place.ambiguous {
        rest.allowance = 0;
        return Ok(Some((scratch, rest)));
    }
    let skip_until = connections::half(connection, call.direction).skip_until;
    if skip_until > place.position {
        let skipped = skip_until - place.position;
        if skipped > u64::from(moved) {
            counters::add(counter::SKIPPED_BYTES, u64::from(moved));
            return Ok(None);
        }
        // The record of the last bytes is made all the same: it tells when they were moved.
        counters::add(counter::SKIPPED_BYTES, skipped);
        record.call_offset = skipped as u32;
        if record.call_offset == moved {
            record.call_offset = 0;
            rest.allowance = 0;
        } else {
            record.position = skip_until;
            rest.bytes = moved - skipped as u32;
        }
    }
    let _ = protocol;
    Ok(Some((scratch, rest)))
}

/// Submits `filled` bytes, standing for `covered`, and moves on.
#[inline(always)]
fn submit(scratch: *mut Scratch, filled: u32, covered: u32) {
    // SAFETY: this processor's own buffer.
    let record = unsafe { &mut (*scratch).record };
    record.covered = covered;
    if covered > filled {
        counters::add(counter::UNCOPIED_BYTES, u64::from(covered - filled));
    }
    output::data(scratch, filled);
    record.position = record.position.wrapping_add(u64::from(covered));
    record.call_offset = record.call_offset.wrapping_add(covered);
}

/// Where the bytes of a call are.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// Buffer, or array of `struct iovec`.
    pub(crate) pointer: u64,
    /// Elements of the array.
    pub(crate) count: u64,
}

/// Makes records of a call whose bytes are in one buffer.
#[inline(always)]
pub(crate) fn buffer(
    connection: &mut Connection,
    call: &Call,
    thread: Thread,
    place: Place,
    moved: u32,
) -> Result<(), ProbeError> {
    let Some((scratch, mut rest)) = begin(connection, call, thread, place, moved, call.protocol)? else {
        return Ok(());
    };
    // SAFETY: this processor's own buffer.
    let offset = unsafe { (*scratch).record.call_offset };
    let mut pointer = call.pointer.wrapping_add(u64::from(offset));
    let mut first = true;
    let mut piece = 0;
    while piece < PIECES {
        piece += 1;
        let mut length = if rest.bytes < rest.allowance { rest.bytes } else { rest.allowance };
        if length > PIECE {
            length = PIECE;
        }
        if length == 0 {
            break;
        }
        // SAFETY: at most PIECE bytes into a payload of twice that.
        let read = unsafe {
            bpf_probe_read_user((&raw mut (*scratch).payload).cast(), length, pointer as *const _)
        };
        if read != 0 {
            unreadable(scratch, rest.bytes);
            return Ok(());
        }
        if first && offset == 0 && !judged(connection, call, thread, scratch, length) {
            return Ok(());
        }
        first = false;
        rest.bytes -= length;
        rest.allowance -= length;
        pointer = pointer.wrapping_add(u64::from(length));
        let last = rest.allowance == 0 || rest.bytes == 0;
        submit(scratch, length, if last { length + rest.bytes } else { length });
        if last {
            return Ok(());
        }
    }
    if rest.bytes > 0 && (first || piece == PIECES) {
        output::announce(connection, call.sk, call.protocol, thread);
        submit(scratch, 0, rest.bytes);
    }
    Ok(())
}

/// Judges a call by its first bytes and announces its connection. `false`: no records.
#[inline(always)]
fn judged(
    connection: &mut Connection,
    call: &Call,
    thread: Thread,
    scratch: *mut Scratch,
    length: u32,
) -> bool {
    // SAFETY: the payload is longer than what is judged.
    let admitted = unsafe {
        judge::admits(connection, call.direction, (&raw const (*scratch).payload).cast(), length)
    };
    if admitted {
        output::announce(connection, call.sk, call.protocol, thread);
    }
    admitted
}

/// The rest of a call cannot be read: a gap of known size.
#[inline(always)]
fn unreadable(scratch: *mut Scratch, bytes: u32) {
    counters::add(counter::UNREADABLE, 1);
    // SAFETY: this processor's own buffer.
    unsafe { (*scratch).record.header.flags |= data_flag::UNREADABLE };
    submit(scratch, 0, bytes);
}

/// Makes the record of a call whose bytes cannot be copied (sendfile, splice, MSG_TRUNC).
#[inline(always)]
pub(crate) fn nothing(
    connection: &mut Connection,
    call: &Call,
    thread: Thread,
    place: Place,
    moved: u32,
) -> Result<(), ProbeError> {
    // Nothing can be judged by it; a connection that starts so is not HTTP so far.
    if connection.verdict != abi::conn::verdict::CANDIDATE {
        return Ok(());
    }
    let Some((scratch, rest)) = begin(connection, call, thread, place, moved, call.protocol)? else {
        return Ok(());
    };
    output::announce(connection, call.sk, call.protocol, thread);
    // SAFETY: this processor's own buffer.
    unsafe { (*scratch).record.header.flags |= data_flag::UNCOPYABLE };
    submit(scratch, 0, rest.bytes);
    Ok(())
}

/// State of the walk over a vector. It lives in map memory behind the piece being filled, not in
/// registers: the verifier then sees the same state at each step and needs to look at one of them only
/// (all kernels; 6.1 would pass one million instructions otherwise).
#[repr(C)]
struct Walk {
    /// Address of the next element.
    next: u64,
    /// Elements left.
    left: u64,
    /// The current element's bytes not yet taken.
    base: u64,
    length: u64,
    /// Bytes of the piece that are filled.
    filled: u32,
    /// Bytes of the call to pass over: body that was ordered skipped.
    skip: u32,
    bytes: u32,
    allowance: u32,
    judged: u32,
    padding: u32,
}

#[aya_ebpf::macros::map]
static WALK: aya_ebpf::maps::PerCpuArray<Walk> = aya_ebpf::maps::PerCpuArray::with_max_entries(1, 0);

/// Makes records of a call whose bytes are in a vector of buffers.
#[inline(always)]
pub(crate) fn vector(
    connection: &mut Connection,
    call: &Call,
    source: Source,
    thread: Thread,
    place: Place,
    moved: u32,
) -> Result<(), ProbeError> {
    let Some((scratch, rest)) = begin(connection, call, thread, place, moved, call.protocol)? else {
        return Ok(());
    };
    let walk = WALK.get_ptr_mut(0).ok_or(ProbeError::Scratch)?;
    // SAFETY: this processor's own state, as the scratch buffer.
    let walk = unsafe { &mut *walk };
    // SAFETY: this processor's own buffer.
    let offset = unsafe { (*scratch).record.call_offset };
    *walk = Walk {
        next: source.pointer,
        left: source.count,
        base: 0,
        length: 0,
        filled: 0,
        skip: offset,
        bytes: rest.bytes,
        allowance: rest.allowance,
        judged: u32::from(offset != 0),
        padding: 0,
    };
    let mut step = 0;
    while step < STEPS {
        step += 1;
        if walk.bytes == 0 || walk.allowance == 0 {
            break;
        }
        if walk.length == 0 {
            if walk.left == 0 {
                break;
            }
            // struct iovec: base, length.
            let Ok([base, length]) = memory::user::<[u64; 2]>(walk.next) else { break };
            walk.next = walk.next.wrapping_add(16);
            walk.left -= 1;
            let skipped = if length < u64::from(walk.skip) { length } else { u64::from(walk.skip) };
            walk.skip -= skipped as u32;
            walk.base = base.wrapping_add(skipped);
            walk.length = length - skipped;
            if walk.length == 0 {
                continue;
            }
        }
        let filled = walk.filled;
        if filled >= PIECE {
            if !flush(connection, call, thread, scratch, walk, 0) {
                return Ok(());
            }
            continue;
        }
        let mut length = walk.bytes;
        if walk.length < u64::from(length) {
            length = walk.length as u32;
        }
        if walk.allowance < length {
            length = walk.allowance;
        }
        let room = PIECE - filled;
        if length > room {
            length = room;
        }
        // The verifier follows neither relation; both bounds alone keep the copy inside the payload.
        let length = if length > PIECE { PIECE } else { length };
        // SAFETY: `filled` and `length` are each at most PIECE, the payload is twice that.
        let read = unsafe {
            let target = (&raw mut (*scratch).payload).cast::<u8>().add(filled as usize);
            bpf_probe_read_user(target.cast(), length, walk.base as *const _)
        };
        if read != 0 {
            counters::add(counter::UNREADABLE, 1);
            break;
        }
        walk.filled = filled + length;
        walk.base = walk.base.wrapping_add(u64::from(length));
        walk.length -= u64::from(length);
        walk.bytes -= length;
        walk.allowance -= length;
    }
    let bytes = walk.bytes;
    walk.bytes = 0;
    flush(connection, call, thread, scratch, walk, bytes);
    Ok(())
}

/// Submits the filled piece and `beyond` bytes that were not copied. `false`: no records of this call.
#[inline(always)]
fn flush(
    connection: &mut Connection,
    call: &Call,
    thread: Thread,
    scratch: *mut Scratch,
    walk: &mut Walk,
    beyond: u32,
) -> bool {
    let filled = if walk.filled > PIECE { PIECE } else { walk.filled };
    if walk.judged == 0 {
        walk.judged = 1;
        if !judged(connection, call, thread, scratch, filled) {
            return false;
        }
    }
    if filled.wrapping_add(beyond) > 0 {
        submit(scratch, filled, filled.wrapping_add(beyond));
    }
    walk.filled = 0;
    true
}
