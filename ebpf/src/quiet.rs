//! Frames of HTTP/2 that tell user space nothing pass without a record of their own: WINDOW_UPDATE, PING and PRIORITY, and
//! DATA of a stream that user space named, unless it ends the stream or is padded. One record says how much of them passed
//! in a row, once something else follows.

use abi::{
    Connection, QuietRecord,
    conn::{
        Half, direction,
        frame::{HEADER, KEPT, NOT_DATA, QUIET, UNKNOWN},
        verdict,
    },
    counter,
    record::kind,
    settings::call,
};
use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_user};

use crate::{
    connections,
    copy::{self, Walk},
    counters,
    error::ProbeError,
    filter::Thread,
    frames,
    hook::MSG_OOB,
    memory, output, registers,
    settings::call_kind,
};

/// Headers and elements of a vector that are looked at in one call; of what lies behind them records are made.
const STEPS: u32 = 128;
/// Headers that are looked at where a call is nothing but quiet frames.
const FEW: u32 = 4;
/// Bytes of a row at most, so that what one call adds to them fits.
const ROW_MAX: u32 = 1 << 30;

/// Types and flags of frames (RFC 9113, 6).
const DATA: u64 = 0;
const PRIORITY: u64 = 2;
const PING: u64 = 6;
const WINDOW_UPDATE: u64 = 8;
const END_STREAM: u64 = 0x1;
const PADDED: u64 = 0x8;

/// What [`pass`] looks at, and what it found.
#[repr(C)]
pub(crate) struct Row {
    /// The last header that was read.
    header: [u8; 16],
    /// The last element of a vector that was read: address and length.
    element: [u64; 2],
    /// Offset in the call of the first byte of the current element.
    start: u32,
    moved: u32,
    /// Offset in the call of the next header.
    next: u32,
    /// The stream whose DATA is quiet; 0: no stream's.
    stream: u32,
    /// Bytes of the quiet frames that began, and of their content.
    length: u32,
    content: u32,
}

/// The call's bytes begin with `content` bytes that are left out. Passes the quiet frames behind them; how many bytes at the
/// start of the call are left out then. More than it moved, or as many: all of them.
#[inline(always)]
pub(crate) fn begin(walk: &mut Walk, half: &mut Half, position: u64, moved: u32, content: u32) -> u32 {
    let frames = &walk.frames;
    // The header begins right there, and the bytes lie in memory.
    let begins = frames.next == content && frames.have == 0 && content < moved;
    let one = !matches!(walk.call.kind, call::SENDFILE | call::SPLICE | call::SENDMMSG | call::RECVMMSG);
    if !begins || !one || half.quiet_length >= ROW_MAX {
        return content;
    }
    copy::source(walk, moved);
    walk.row.start = 0;
    walk.row.moved = moved;
    walk.row.next = content;
    walk.row.stream = named(half);
    walk.row.length = 0;
    walk.row.content = 0;
    pass();
    if walk.row.length == 0 {
        return content;
    }
    extend(half, walk.row.length, walk.row.content);
    walk.frames.next = walk.row.next;
    walk.frames.kept = u32::from(QUIET);
    frames::keep_quiet(half, position.wrapping_add(u64::from(walk.row.next)));
    walk.row.next
}

/// So many more bytes of quiet frames passed, and of content.
#[inline(always)]
fn extend(half: &mut Half, length: u32, content: u32) {
    half.quiet_length = half.quiet_length.wrapping_add(length);
    if content != 0 {
        half.quiet_content = half.quiet_content.wrapping_add(content);
        half.quiet_content_of = half.quiet_stream;
    }
}

/// The stream whose DATA is quiet now. A row tells of one stream only.
#[inline(always)]
fn named(half: &Half) -> u32 {
    let other = half.quiet_content_of != 0 && half.quiet_content_of != half.quiet_stream;
    if other { 0 } else { half.quiet_stream }
}

/// A frame header.
struct Header {
    length: u32,
    kind: u64,
    flags: u64,
    stream: u32,
}

impl Header {
    /// Of its first eight bytes as a number, and the last one.
    #[inline(always)]
    fn new(most: u64, last: u8) -> Self {
        Self {
            length: (most >> 40) as u32,
            kind: most >> 32 & 0xff,
            flags: most >> 24 & 0xff,
            stream: (most as u32) << 8 | u32::from(last),
        }
    }

    #[inline(always)]
    fn is_quiet(&self, named: u32) -> bool {
        match self.kind {
            DATA => self.stream != 0 && self.stream == named && self.flags & (END_STREAM | PADDED) == 0,
            PRIORITY => self.length == 5,
            PING => self.length == 8,
            WINDOW_UPDATE => self.length == 4,
            _ => false,
        }
    }

    #[inline(always)]
    fn content(&self) -> u32 {
        if self.kind == DATA { self.length } else { 0 }
    }
}

/// A call moved bytes of a payload that is left out, and a few frames that are quiet: nearly all calls that long content
/// takes. `true`: that is all there is to it. Before anything is known of the call, at the least
/// possible cost; where there is any doubt, all is done that is done of other calls.
#[inline(always)]
pub(crate) fn passes(
    connection: &mut Connection,
    sk: u64,
    way: u8,
    moved: u32,
    discarded: bool,
) -> Result<bool, ProbeError> {
    if connection.verdict != verdict::CANDIDATE {
        return Ok(false);
    }
    let half = connections::half(connection, way);
    let (position, kept) = (half.position, u32::from(half.frame_kept));
    let payload = half.frame_at.wrapping_sub(position);
    // Where it is not known where a frame begins, or this has passed, the payload is longer than any.
    if payload > frames::LENGTH_MAX || half.frame_have != 0 {
        return Ok(false);
    }
    let left_out = kept >= KEPT && kept != u32::from(NOT_DATA);
    let quiet = payload == 0 || kept == u32::from(QUIET);
    let payload = payload as u32;
    if payload > 0 && !left_out || payload <= moved && !quiet || half.quiet_length >= ROW_MAX {
        return Ok(false);
    }
    if !connections::is_settled(connection, way) {
        return Ok(false);
    }
    let half = connections::half(connection, way);
    // If others moved bytes besides, that is seen at the next header.
    if payload < moved {
        if discarded || !connections::is_alone(half, sk, way, moved)? {
            return Ok(false);
        }
        let Some((address, length)) = memory_behind(way, payload) else { return Ok(false) };
        let named = named(half);
        let (mut passed, mut content) = (0, 0);
        let mut index = 0;
        while index < FEW {
            // One that is not whole is for the other way.
            if length < u64::from(passed + HEADER) || moved - payload < passed + HEADER {
                return Ok(false);
            }
            let Ok(bytes) = memory::user::<[u8; HEADER as usize]>(address.wrapping_add(u64::from(passed)))
            else {
                return Ok(false);
            };
            let [a, b, c, d, e, f, g, h, last] = bytes;
            let header = Header::new(u64::from_be_bytes([a, b, c, d, e, f, g, h]), last);
            if !header.is_quiet(named) {
                return Ok(false);
            }
            passed += HEADER + header.length;
            content += header.content();
            if passed >= moved - payload {
                break;
            }
            index += 1;
        }
        if passed < moved - payload {
            return Ok(false);
        }
        extend(half, passed, content);
        frames::keep_quiet(half, position.wrapping_add(u64::from(payload) + u64::from(passed)));
    }
    connections::settle(half, moved);
    counters::add(counter::SKIPPED_BYTES, u64::from(moved));
    Ok(true)
}

/// Where the bytes of the current call lie in memory from this offset on, and how many of them in one piece: the first
/// element of a vector.
#[inline(always)]
fn memory_behind(way: u8, offset: u32) -> Option<(u64, u64)> {
    let (number, [_, pointer, third, fourth]) = registers::current()?;
    let kind = call_kind(number);
    if call::receives(kind) != (way == direction::RECEIVED) {
        return None;
    }
    let vector = match kind {
        call::SENDTO if fourth & MSG_OOB != 0 => return None,
        call::SENDMSG if third & MSG_OOB != 0 => return None,
        // As long as the call says that it is.
        call::READ | call::WRITE | call::RECVFROM | call::SENDTO => {
            return Some((pointer.wrapping_add(u64::from(offset)), u64::MAX));
        }
        call::READV | call::WRITEV => pointer,
        call::RECVMSG | call::SENDMSG => memory::user(pointer.wrapping_add(copy::MSGHDR_IOV)).ok()?,
        _ => return None,
    };
    let [base, length] = memory::user::<[u64; 2]>(vector).ok()?;
    let offset = u64::from(offset);
    (length > offset).then(|| (base.wrapping_add(offset), length - offset))
}

/// Reads headers up to the first frame that is not quiet, or is not whole in the call.
///
/// A global function with its state in map memory: see [`crate::copy`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn pass() -> u64 {
    let mut index = 0;
    while index < STEPS {
        if step() == 0 {
            break;
        }
        index += 1;
    }
    0
}

/// Takes the next element of the vector, or reads a header. Whether to go on.
#[inline(always)]
fn step() -> u64 {
    let Ok(walk) = copy::walk() else { return 0 };
    // SAFETY: this processor's own state; volatile keeps it in memory.
    let (walk, row) = unsafe { (&raw mut *walk, &raw mut (*walk).row) };
    // SAFETY: as above.
    let (next, start, moved) = unsafe {
        (
            (&raw const (*row).next).read_volatile(),
            (&raw const (*row).start).read_volatile(),
            (&raw const (*row).moved).read_volatile(),
        )
    };
    // SAFETY: as above.
    let (base, length) =
        unsafe { ((&raw const (*walk).base).read_volatile(), (&raw const (*walk).length).read_volatile()) };
    // A payload may reach far beyond the call.
    if next >= moved || moved - next < HEADER {
        return 0;
    }
    let inside = u64::from(next - start);
    if inside >= length {
        // SAFETY: as above; what is read is whole words.
        unsafe {
            let (place, left) = ((*walk).next, (*walk).left);
            if left == 0 || bpf_probe_read_user((&raw mut (*row).element).cast(), 16, place as *const _) != 0
            {
                return 0;
            }
            (*walk).next = place.wrapping_add(16);
            (*walk).left = left - 1;
            (&raw mut (*row).start).write_volatile(start.wrapping_add(length as u32));
            let [base, length] = (&raw const (*row).element).read_volatile();
            (&raw mut (*walk).base).write_volatile(base);
            (&raw mut (*walk).length).write_volatile(length);
        }
        return 1;
    }
    // One that is split over elements is gathered on the slow path.
    if length - inside < u64::from(HEADER) {
        return 0;
    }
    // SAFETY: the buffer is longer than a header.
    let read = unsafe {
        bpf_probe_read_user((&raw mut (*row).header).cast(), HEADER, base.wrapping_add(inside) as *const _)
    };
    if read != 0 {
        return 0;
    }
    // SAFETY: as above: whole aligned words of the buffer.
    let (most, last) = unsafe {
        let header = (&raw const (*row).header).cast::<u8>();
        (u64::from_be(header.cast::<u64>().read_volatile()), header.add(8).read_volatile())
    };
    let header = Header::new(most, last);
    // SAFETY: as above.
    if !header.is_quiet(unsafe { (&raw const (*row).stream).read_volatile() }) {
        return 0;
    }
    let whole = HEADER + header.length;
    // SAFETY: as above.
    unsafe {
        (*row).length = (*row).length.wrapping_add(whole);
        (*row).content = (*row).content.wrapping_add(header.content());
        (&raw mut (*row).next).write_volatile(next.wrapping_add(whole));
    }
    1
}

/// Makes the record of the row that ends in this direction, if there is one. A global function: rare, and called from
/// several places.
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn report(sk: u64, way: u64, thread: u64) -> u64 {
    let Some(connection) = connections::find_sock(sk) else { return 0 };
    // SAFETY: see `connections::find`.
    let connection = unsafe { &mut *connection };
    let inode = connection.inode;
    let half = connections::half(connection, way as u8);
    let (length, content, stream) = (half.quiet_length, half.quiet_content, half.quiet_content_of);
    forget(half);
    if length == 0 || half.frame_at == UNKNOWN {
        return 0;
    }
    // The last frame may be cut off.
    let beyond = half.frame_at.saturating_sub(half.position);
    let beyond = if beyond < u64::from(length) { beyond as u32 } else { return 0 };
    let position = half.frame_at.wrapping_sub(u64::from(length));
    let thread = Thread::of_key(thread);
    output::quiet(length - beyond, |record| {
        record.header.kind = kind::QUIET;
        record.header.flags = 0;
        record.header.length = size_of::<QuietRecord>() as u32;
        // SAFETY: the helper only reads the clock.
        record.header.time = unsafe { bpf_ktime_get_ns() };
        record.conn.sock = sk;
        record.conn.inode = inode;
        record.position = position;
        record.tgid = thread.tgid;
        record.tid = thread.tid;
        record.length = length - beyond;
        record.content = content.saturating_sub(beyond);
        record.stream = stream;
        record.direction = way as u8;
        record.padding = [0; 3];
    });
    0
}

/// Of what passed no record will be made: it is a gap.
#[inline(always)]
pub(crate) fn forget(half: &mut Half) {
    half.quiet_length = 0;
    half.quiet_content = 0;
    half.quiet_content_of = 0;
}
