//! Copies the bytes that a call moved out of user memory, in pieces, into data records.
//!
//! Done at the exit of the call: its return value says how many bytes there are, and the kernel has just
//! touched the pages, so that they can be read without a fault.
//!
//! Each step is a global function with its state in map memory: the verifier looks at each once, on its own, and
//! forgets the path through it. As one inlined program it passes one million instructions on every kernel.

use abi::{
    ConnectionId, DataRecord, RecordHeader,
    conn::{flag, verdict},
    counter, limit,
    record::{NO_FRAME, data_flag, kind},
    settings::call,
};
use aya_ebpf::{
    helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_user},
    macros::map,
    maps::PerCpuArray,
};

use crate::{
    connections, counters,
    error::ProbeError,
    filter::Thread,
    frames::{self, Frames},
    inflight::{self, Call},
    judge, memory, output,
    quiet::{self, Row},
    settings::setting,
    verifier::at_most,
};

const PIECE: u32 = limit::PIECE_MAX as u32;
/// Vector elements walked, pieces submitted in between included: as many as the kernel takes (UIO_MAXIOV, include/uapi/linux/uio.h).
/// The rest of a call is a gap.
const STEPS: usize = 1024;
/// Elements of a short vector, which is read at once.
const FEW: usize = 4;
/// Offset of the vector in `struct user_msghdr` (include/linux/socket.h).
pub(crate) const MSGHDR_IOV: u64 = 16;

/// A call being copied. One a processor: see `output::SCRATCH`.
#[repr(C)]
pub(crate) struct Walk {
    pub(crate) call: Call,
    /// Address of the next element of the vector, and how many are left.
    pub(crate) next: u64,
    pub(crate) left: u64,
    /// A short vector: addresses and lengths.
    vector: [[u64; 2]; FEW],
    /// The current element's bytes that are not yet taken.
    pub(crate) base: u64,
    pub(crate) length: u64,
    /// Bytes of the piece that are filled.
    pub(crate) filled: u32,
    /// Bytes of the call to pass over: body that was ordered skipped, content of frames.
    skip: u32,
    /// Bytes of the call not yet accounted for, and of these, how many may be copied.
    bytes: u32,
    allowance: u32,
    /// [`REFUSED`], [`ADMITTED`] or [`TO_BE_JUDGED`].
    status: u32,
    /// Bytes of the whole call that can be copied; 0: they were ordered skipped.
    copyable: u32,
    pub(crate) frames: Frames,
    pub(crate) row: Row,
    /// Stream position behind the call's last byte.
    end: u64,
    /// State of `judge::look`.
    pub(crate) judged: u64,
    /// [`Thread::key`].
    thread: u64,
    /// See [`number`].
    address: u64,
}

#[map]
static WALK: PerCpuArray<Walk> = PerCpuArray::with_max_entries(1, 0);

#[inline(always)]
pub(crate) fn walk() -> Result<*mut Walk, ProbeError> {
    WALK.get_ptr_mut(0).ok_or(ProbeError::Scratch)
}

/// An address as a number: the verifier lets no pointer that it knows be passed on as one, what was stored is forgotten.
#[inline(always)]
pub(crate) fn number(pointer: *const u8) -> Result<u64, ProbeError> {
    let walk = walk()?;
    // SAFETY: this processor's own state; volatile keeps the way through memory.
    unsafe {
        let place = &raw mut (*walk).address;
        place.write_volatile(pointer as u64);
        Ok(place.read_volatile())
    }
}

impl Walk {
    /// So many bytes may be copied behind those in the first piece, if any.
    #[inline(always)]
    pub(crate) fn allow(&mut self, limit: u32) {
        if self.allowance != 0 {
            let rest = self.copyable.wrapping_sub(self.filled);
            self.allowance = if rest < limit { rest } else { limit };
        }
    }
}

/// Values of [`Walk::status`].
const REFUSED: u32 = 0;
const ADMITTED: u32 = 1;
const TO_BE_JUDGED: u32 = 2;

/// Answers of [`begin`], [`whole`], [`short`] and [`step`].
const CONTINUE: u64 = 0;
const DONE: u64 = 1;
/// Everything lies in one buffer and fits one piece: what nearly every call is like.
const WHOLE: u64 = 2;
/// Everything lies in the buffers of a short vector and fits one piece: most of the others.
const SHORT: u64 = 3;
/// Nothing can be copied.
const NOTHING: u64 = 4;

/// Makes the records of the call in [`walk`], which moved `moved` bytes, of which the first `copyable` can be copied.
#[inline(always)]
pub(crate) fn records(thread: Thread, moved: u32, copyable: u32) {
    let answer = begin(thread.key(), u64::from(moved), u64::from(copyable));
    if answer == NOTHING {
        flush(1);
        return;
    }
    if answer == DONE || answer == WHOLE && whole() != DONE || answer == SHORT && short() != DONE {
        return;
    }
    let mut index = 0;
    while index < STEPS {
        if step() == DONE {
            break;
        }
        index += 1;
    }
    flush(1);
}

/// Places the call's bytes, fills in the record and the walk.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn begin(thread: u64, moved: u64, copyable: u64) -> u64 {
    match try_begin(thread, moved as u32, copyable as u32) {
        Ok(answer) => answer,
        Err(error) => {
            counters::add(error.counter(), 1);
            DONE
        }
    }
}

#[inline(always)]
fn try_begin(thread: u64, moved: u32, mut copyable: u32) -> Result<u64, ProbeError> {
    // SAFETY: this processor's own state and buffer.
    let (walk, scratch) = unsafe { (&mut *walk()?, &mut *output::scratch()?) };
    let Some((connection, place)) = connections::place(&walk.call, moved)? else { return Ok(DONE) };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    let mut offset = 0;
    let way = walk.call.direction;
    let uncopyable = walk.call.flags & inflight::flag::UNCOPYABLE != 0;
    let half = connections::half(connection, way);
    let mut content = frames::begin(&mut walk.frames, half, place.position, moved, !place.ambiguous);
    let followed = walk.frames.followed != 0;
    if followed && !uncopyable {
        let loud = content != 0 && !walk.frames.is_quiet();
        let passed = quiet::begin(walk, half, place.position, moved, content);
        if loud && passed != content {
            // The last bytes of a payload: a record without bytes tells when they were moved.
            describe(&mut scratch.record, &walk.call, thread, moved, place.position, data_flag::FRAMED);
            output::data(0, content);
        }
        content = passed;
    }
    let limit = if followed {
        limit::FRAMED_COPY_LIMIT
    } else if half.searched_calls != 0 {
        half.searched_calls -= 1;
        limit::SEARCHED_COPY_LIMIT
    } else {
        setting!(copy_limit)
    };
    let mut flags = if followed { data_flag::FRAMED } else { 0 };
    let mut allowance = if copyable < limit { copyable } else { limit };
    let mut span = moved;
    if place.ambiguous {
        flags |= data_flag::AMBIGUOUS;
        allowance = 0;
        span = place.span;
    }
    let file = walk.call.kind == call::SENDFILE || walk.call.kind == call::SPLICE;
    if file || uncopyable {
        flags |= data_flag::UNCOPYABLE;
        allowance = 0;
    }
    let skip_until = if followed { place.position + u64::from(content) } else { half.skip_until };
    if skip_until > place.position && !place.ambiguous {
        let skipped = skip_until - place.position;
        let goes_on = walk.frames.go_on(moved) || walk.frames.is_quiet();
        if skipped > u64::from(moved) || skipped == u64::from(moved) && goes_on {
            counters::add(counter::SKIPPED_BYTES, u64::from(moved));
            return Ok(DONE);
        }
        if skipped == u64::from(moved) {
            // The last bytes of a body, or of a payload: as above.
            (allowance, copyable) = (0, 0);
        } else {
            counters::add(counter::SKIPPED_BYTES, skipped);
            offset = skipped as u32;
            walk.frames.leave(offset);
        }
    }
    if half.quiet_length != 0 {
        quiet::report(walk.call.sk, u64::from(way), thread);
    }
    let record = &mut scratch.record;
    describe(record, &walk.call, thread, moved, place.position.wrapping_add(u64::from(offset)), flags);
    record.call_offset = offset;
    source(walk, moved);
    walk.filled = 0;
    walk.skip = offset;
    walk.bytes = span.wrapping_sub(offset);
    walk.copyable = copyable;
    walk.allowance = allowance;
    walk.thread = thread;
    walk.end = place.position.wrapping_add(u64::from(moved));
    walk.status = TO_BE_JUDGED;
    if connection.verdict != verdict::CANDIDATE {
        // What cannot be copied cannot be judged; a connection that starts so is not HTTP so far.
        return Ok(if allowance != 0 { CONTINUE } else { DONE });
    }
    walk.status = ADMITTED;
    output::announce(connection, walk.call.sk, walk.call.protocol, thread);
    if allowance == 0 {
        return Ok(NOTHING);
    }
    if followed || offset != 0 || moved > PIECE || moved > allowance {
        return Ok(CONTINUE);
    }
    if walk.length == u64::from(moved) {
        return Ok(WHOLE);
    }
    Ok(if walk.left <= FEW as u64 && walk.left > 0 { SHORT } else { CONTINUE })
}

/// The record of a call's bytes from this position on.
#[inline(always)]
fn describe(record: &mut DataRecord, call: &Call, thread: u64, moved: u32, position: u64, flags: u16) {
    // SAFETY: the helper only reads the clock.
    let now = unsafe { bpf_ktime_get_ns() };
    let unseen = call.flags & inflight::flag::ENTRY_UNSEEN != 0;
    let flags = if unseen { flags | data_flag::ENTRY_UNSEEN } else { flags };
    *record = DataRecord {
        header: RecordHeader { kind: kind::DATA, flags, length: 0, time: now },
        conn: ConnectionId { sock: call.sk, inode: call.inode },
        enter: if unseen { now } else { call.enter },
        task: thread & 0xffff_ffff,
        position,
        tgid: (thread >> 32) as u32,
        tid: thread as u32,
        call_length: moved,
        call_offset: 0,
        covered: 0,
        copied: 0,
        direction: call.direction,
        padding: [0; 3],
        frame: NO_FRAME,
    };
}

/// Copies and submits a call that is [`SHORT`]: with one read for the vector and no state between its elements. The
/// answer is [`DONE`] if its memory cannot be read or holds less: the slow path then starts anew and says so.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn short() -> u64 {
    let (Ok(walk), Ok(scratch)) = (walk(), output::scratch()) else { return CONTINUE };
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *walk };
    let elements = at_most(walk.left as u32, FEW as u32);
    // SAFETY: at most FEW elements.
    let read =
        unsafe { bpf_probe_read_user((&raw mut walk.vector).cast(), elements * 16, walk.next as *const _) };
    if read != 0 {
        return DONE;
    }
    let mut filled = 0;
    let mut rest = walk.bytes;
    let mut index = 0;
    while index < FEW {
        if rest == 0 || index as u32 >= elements {
            break;
        }
        let [base, length] = walk.vector[index];
        let length = if length < u64::from(rest) { length as u32 } else { rest };
        if length != 0 {
            let target = at_most(filled, PIECE);
            let bounded = at_most(length, PIECE);
            // SAFETY: `target` and `bounded` are each at most PIECE, the payload is twice that.
            let read = unsafe {
                let target = (&raw mut (*scratch).payload).cast::<u8>().add(target as usize);
                bpf_probe_read_user(target.cast(), bounded, base as *const _)
            };
            if read != 0 {
                return DONE;
            }
            filled += length;
            rest -= length;
        }
        index += 1;
    }
    if rest != 0 {
        return DONE;
    }
    output::data(filled, filled);
    CONTINUE
}

/// Copies and submits a call that is [`WHOLE`]. The answer is [`DONE`] if its memory cannot be read: the slow path
/// then says so.
#[inline(always)]
fn whole() -> u64 {
    let (Ok(walk), Ok(scratch)) = (walk(), output::scratch()) else { return CONTINUE };
    // SAFETY: this processor's own state.
    let (bytes, base) = unsafe { ((*walk).bytes, (*walk).base) };
    // `begin` checked it.
    let bytes = at_most(bytes, PIECE);
    // SAFETY: at most PIECE bytes into a payload of twice that.
    let read = unsafe { bpf_probe_read_user((&raw mut (*scratch).payload).cast(), bytes, base as *const _) };
    if read != 0 {
        return DONE;
    }
    output::data(bytes, bytes);
    CONTINUE
}

/// By itself: of two in a row the compiler makes a call to a memset that writes byte by byte.
#[inline(always)]
fn zero(word: &mut u64) {
    // SAFETY: a word.
    unsafe { core::ptr::from_mut(word).write_volatile(0) };
}

/// Where the bytes are, by the kind of the call.
#[inline(always)]
pub(crate) fn source(walk: &mut Walk, moved: u32) {
    zero(&mut walk.base);
    zero(&mut walk.length);
    match walk.call.kind {
        call::READV | call::WRITEV => {
            walk.next = walk.call.pointer;
            walk.left = u64::from(walk.call.count);
        }
        call::RECVMSG | call::SENDMSG | call::RECVMMSG | call::SENDMMSG => {
            // Bytes were moved even if the header cannot be read any more: a gap.
            let [next, left] =
                memory::user::<[u64; 2]>(walk.call.pointer.wrapping_add(MSGHDR_IOV)).unwrap_or([0, 0]);
            walk.next = next;
            walk.left = left;
        }
        _ => {
            zero(&mut walk.next);
            zero(&mut walk.left);
            walk.base = walk.call.pointer;
            walk.length = u64::from(moved);
        }
    }
}

/// Takes the next element, or copies from the current one into the piece.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn step() -> u64 {
    let (Ok(walk), Ok(scratch)) = (walk(), output::scratch()) else { return DONE };
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *walk };
    if walk.bytes == 0 || walk.allowance == 0 || walk.status == REFUSED {
        return DONE;
    }
    if walk.filled >= PIECE || walk.frames.is_cut(walk.filled) {
        flush(0);
        return CONTINUE;
    }
    if walk.length == 0 {
        if walk.left == 0 {
            return DONE;
        }
        // struct iovec: base, length.
        let Ok([base, length]) = memory::user::<[u64; 2]>(walk.next) else { return DONE };
        walk.next = walk.next.wrapping_add(16);
        walk.left -= 1;
        walk.base = base;
        walk.length = length;
    }
    if walk.skip > 0 {
        let skipped = if walk.length < u64::from(walk.skip) { walk.length } else { u64::from(walk.skip) };
        walk.skip -= skipped as u32;
        walk.base = walk.base.wrapping_add(skipped);
        walk.length -= skipped;
    }
    if walk.length == 0 {
        return CONTINUE;
    }
    let filled = at_most(walk.filled, PIECE);
    let mut length = walk.bytes;
    if walk.length < u64::from(length) {
        length = walk.length as u32;
    }
    if walk.allowance < length {
        length = walk.allowance;
    }
    if length > PIECE - filled {
        length = PIECE - filled;
    }
    let wanted = if walk.frames.followed != 0 {
        walk.frames.wanted(filled)
    } else if walk.status == TO_BE_JUDGED {
        frames::AHEAD
    } else {
        PIECE
    };
    if wanted < length {
        length = wanted;
    }
    // No verifier follows a relation between two numbers; both bounds alone keep the copy inside the payload.
    let length = at_most(length, PIECE);
    // SAFETY: `filled` and `length` are each at most PIECE, the payload is twice that.
    let read = unsafe {
        let target = (&raw mut (*scratch).payload).cast::<u8>().add(filled as usize);
        bpf_probe_read_user(target.cast(), length, walk.base as *const _)
    };
    if read != 0 {
        counters::add(counter::UNREADABLE, 1);
        // SAFETY: this processor's own buffer.
        unsafe { (*scratch).record.header.flags |= data_flag::UNREADABLE };
        return DONE;
    }
    walk.filled = filled + length;
    walk.base = walk.base.wrapping_add(u64::from(length));
    walk.length -= u64::from(length);
    walk.bytes -= length;
    walk.allowance -= length;
    if walk.status == TO_BE_JUDGED && (walk.filled >= limit::JUDGED_MAX as u32 || walk.bytes == 0) {
        judge();
    }
    if walk.frames.followed != 0 {
        frames::look_through();
    }
    CONTINUE
}

/// Submits the filled piece; the `last` one stands for the rest of the call as well.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn flush(last: u64) -> u64 {
    let (Ok(walk), Ok(scratch)) = (walk(), output::scratch()) else { return 0 };
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *walk };
    if walk.status == TO_BE_JUDGED {
        judge();
    }
    if walk.status == REFUSED {
        return 0;
    }
    let filled = walk.filled;
    walk.filled = 0;
    if walk.frames.followed == 0 {
        let beyond = if last != 0 { walk.bytes } else { 0 };
        let skipped = walk.copyable == 0;
        counters::add(
            if skipped { counter::SKIPPED_BYTES } else { counter::UNCOPIED_BYTES },
            u64::from(beyond),
        );
        return if filled + beyond > 0 { output::data(filled, filled.wrapping_add(beyond)) } else { 0 };
    }
    let (copied, content) = walk.frames.share(filled, walk.bytes);
    walk.skip = content;
    walk.bytes -= content;
    let beyond = filled - copied + content + if last != 0 { walk.bytes } else { 0 };
    // SAFETY: this processor's own buffer.
    unsafe { (*scratch).record.frame = frames::settle(&mut walk.frames, copied, beyond) };
    if last != 0
        && let Some(connection) = connections::find(walk.call.sk, walk.call.inode)
    {
        // SAFETY: see `connections::find`.
        let half = connections::half(unsafe { &mut *connection }, walk.call.direction);
        frames::keep(&walk.frames, half, walk.end);
    }
    if copied + beyond > 0 { output::data(copied, copied.wrapping_add(beyond)) } else { 0 }
}

/// Judges the connection by the call's first bytes, which are in the piece, and announces it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn judge() -> u64 {
    let Ok(walk) = walk() else { return 0 };
    // SAFETY: this processor's own state.
    let walk = unsafe { &mut *walk };
    walk.status = REFUSED;
    let Some(connection) = connections::find(walk.call.sk, walk.call.inode) else { return 0 };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    if !judge::admits(connection, walk.call.direction, walk.filled) {
        return 0;
    }
    walk.status = ADMITTED;
    output::announce(connection, walk.call.sk, walk.call.protocol, walk.thread);
    if connection.flags & flag::FROM_OPENING != 0 {
        frames::follow(walk, connections::half(connection, walk.call.direction));
    }
    0
}
