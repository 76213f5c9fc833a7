//! Where the frames of HTTP/2 begin (RFC 9113, 4.1), so that the content of DATA stays out and everything else is
//! copied, however much content lies before it in a call.
//!
//! Lengths and types are read, nothing else. A direction is followed from its opening, or from where user space says
//! that a frame begins, for as long as every byte passes in order. When in doubt it is copied as it comes.

use abi::{
    Connection,
    conn::{
        Half, direction,
        frame::{HEADER, KEPT, LEFT_OUT_MIN, NOT_DATA, QUIET, UNKNOWN},
    },
    counter, limit,
    record::{NO_FRAME, data_flag},
};

use crate::{
    connections,
    copy::{self, Walk},
    counters, output, quiet,
    verifier::at_most,
};

/// Bytes that are read ahead in search of the next header.
pub(crate) const AHEAD: u32 = 1024;
/// Headers in so many bytes, at most: those read ahead, and those that were judged before.
const HEADERS: usize = (AHEAD as usize + limit::JUDGED_MAX) / HEADER as usize + 2;
/// A payload has at most 2^24 - 1 bytes.
pub(crate) const LENGTH_MAX: u64 = 0xff_ffff;
/// The bytes of a header that tell its length and its type.
const WORD: u32 = 4;
const DATA: u32 = 0;

/// What a client sends first (RFC 9113, 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Less of it tells nothing: no request of HTTP/1 has this method.
const METHOD: u32 = 4;

/// The frames of the call that is being copied. Offsets count from the first byte of the piece.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Frames {
    /// 1: they are followed.
    pub(crate) followed: u32,
    /// Where the next header begins or goes on. Beyond what is copied: payload comes first.
    pub(crate) next: u32,
    /// See [`Half::frame_word`], [`Half::frame_have`], [`Half::frame_kept`].
    word: u32,
    pub(crate) have: u32,
    pub(crate) kept: u32,
    /// Where the content of the last DATA frame begins.
    content: u32,
    /// What lies behind is content and left out, up to `next`; 0: nothing is.
    cut: u32,
    /// See [`abi::DataRecord::frame`].
    first: u32,
}

/// Begins with a call's bytes. How many bytes at their start are content that is left out without a word.
#[inline(always)]
pub(crate) fn begin(frames: &mut Frames, half: &mut Half, position: u64, moved: u32, in_order: bool) -> u32 {
    frames.followed = 0;
    frames.cut = 0;
    if half.frame_at == UNKNOWN {
        return 0;
    }
    let payload = half.frame_at.wrapping_sub(position);
    let fits = payload <= LENGTH_MAX + HEADER as u64 && (half.frame_have == 0 || payload == 0);
    if !in_order || half.position != position.wrapping_add(u64::from(moved)) || !fits {
        half.frame_at = UNKNOWN;
        quiet::forget(half);
        return 0;
    }
    let payload = payload as u32;
    *frames = Frames {
        followed: 1,
        next: payload,
        word: half.frame_word,
        have: u32::from(half.frame_have),
        kept: u32::from(half.frame_kept),
        content: 0,
        cut: 0,
        first: NO_FRAME,
    };
    if payload == 0 || half.frame_kept == NOT_DATA {
        return 0;
    }
    if frames.kept >= KEPT {
        return if payload < moved { payload } else { moved };
    }
    frames.leave_out();
    0
}

/// The first bytes of the connection in one direction are in the piece, `length` of them, but for the `before` ones that
/// left its verdict open: if they are what HTTP/2 begins with, frames are followed.
#[inline(always)]
pub(crate) fn recognise(connection: &mut Connection, way: u8, before: u32, length: u32, server: bool) {
    const PREFACE_LENGTH: u64 = PREFACE.len() as u64;
    let Ok(scratch) = output::scratch() else { return };
    let server = server && before == 0;
    let client = !server && before < METHOD && before + length >= METHOD && is_preface(before, length);
    // Bytes that could not be copied came first: these are not the opening.
    // SAFETY: this processor's own buffer.
    let first = unsafe { (*scratch).record.position } == u64::from(before);
    if !first || !client && !server {
        return;
    }
    let other = connections::half(connection, direction::SENT - way);
    let begins = if client { 0 } else { PREFACE_LENGTH };
    if other.position <= begins {
        other.frame_at = begins;
    }
    connections::half(connection, way).frame_at = if client { PREFACE_LENGTH } else { 0 };
}

/// Whether the piece goes on with the preface behind its first bytes, as far as it goes and up to `SM`.
#[inline(always)]
fn is_preface(before: u32, length: u32) -> bool {
    let Ok(scratch) = output::scratch() else { return false };
    let mut index = 0;
    while index < PREFACE.len() - METHOD as usize {
        if index as u32 >= length {
            break;
        }
        // SAFETY: both indices are inside the preface, and the payload is longer; volatile keeps it a table.
        let (one, other) = unsafe {
            (
                (&raw const (*scratch).payload).cast::<u8>().add(index).read(),
                (&raw const *PREFACE)
                    .cast::<u8>()
                    .add(at_most(before, METHOD) as usize + index)
                    .read_volatile(),
            )
        };
        if one != other {
            return false;
        }
        index += 1;
    }
    true
}

/// Frames of the connection were [recognised](recognise) in the first bytes of the call.
#[inline(always)]
pub(crate) fn follow(walk: &mut Walk, half: &Half) {
    let Ok(scratch) = output::scratch() else { return };
    // SAFETY: this processor's own buffer.
    let record = unsafe { &mut (*scratch).record };
    let next = half.frame_at.wrapping_sub(record.position);
    if half.frame_at == UNKNOWN || next > PREFACE.len() as u64 {
        return;
    }
    record.header.flags |= data_flag::FRAMED;
    let next = next as u32;
    let kept = u32::from(NOT_DATA);
    walk.frames = Frames { followed: 1, next, word: 0, have: 0, kept, content: 0, cut: 0, first: NO_FRAME };
    walk.allow(limit::FRAMED_COPY_LIMIT);
}

impl Frames {
    /// Whether a payload goes on behind `moved` bytes.
    #[inline(always)]
    pub(crate) fn go_on(&self, moved: u32) -> bool {
        self.followed != 0 && self.next > moved
    }

    /// Whether what goes on up to `next` is a frame that tells nothing, its end neither.
    #[inline(always)]
    pub(crate) fn is_quiet(&self) -> bool {
        self.followed != 0 && self.kept == u32::from(QUIET)
    }

    /// Content of a DATA frame goes on up to `next`: what lies behind the bytes of it that are kept is left out, if it is
    /// worth it.
    #[inline(always)]
    fn leave_out(&mut self) {
        if self.kept < KEPT && self.next > KEPT - self.kept + LEFT_OUT_MIN {
            self.cut = KEPT - self.kept;
        }
    }

    /// So many bytes of content at the start of the call are left out.
    #[inline(always)]
    pub(crate) fn leave(&mut self, length: u32) {
        self.next = self.next.wrapping_sub(length);
    }

    /// How many bytes are wanted behind the first `filled` ones of the piece.
    #[inline(always)]
    pub(crate) fn wanted(&self, filled: u32) -> u32 {
        if self.cut > filled {
            self.cut - filled
        } else if self.next > filled {
            self.next - filled + AHEAD
        } else {
            AHEAD
        }
    }

    /// Whether the piece, filled so far, ends with content that is left out.
    #[inline(always)]
    pub(crate) fn is_cut(&self, filled: u32) -> bool {
        self.followed != 0 && self.cut != 0 && filled >= self.cut
    }

    /// Of a piece that is filled so far and of `bytes` of the call behind it: how many are copied, and how many of
    /// those behind are left out with it.
    #[inline(always)]
    pub(crate) fn share(&self, filled: u32, bytes: u32) -> (u32, u32) {
        if !self.is_cut(filled) {
            return (filled, 0);
        }
        let content = self.next.wrapping_sub(filled);
        (self.cut, if content < bytes { content } else { bytes })
    }
}

/// Looks through the piece for frame headers, up to the first frame that is worth leaving its content out.
///
/// A global function with its state in map memory: see [`crate::copy`].
#[unsafe(no_mangle)]
#[inline(never)]
pub(crate) extern "C" fn look_through() -> u64 {
    let (Ok(walk), Ok(scratch)) = (copy::walk(), output::scratch()) else { return 0 };
    // SAFETY: this processor's own state and buffer; volatile keeps the state in memory.
    let (frames, filled) = unsafe { (&raw mut (*walk).frames, (*walk).filled) };
    let mut index = 0;
    while index < HEADERS {
        // SAFETY: as above.
        let Frames { next, mut word, have, first, .. } = unsafe { frames.read_volatile() };
        let missing = HEADER.wrapping_sub(have);
        if next.wrapping_add(missing) > filled {
            break;
        }
        if have < WORD {
            let at = at_most(next, limit::PIECE_MAX as u32);
            // SAFETY: `at` is inside the first half of the payload.
            let fresh = u32::from_be(unsafe {
                (&raw const (*scratch).payload).cast::<u8>().add(at as usize).cast::<u32>().read_unaligned()
            });
            word = if have == 0 { fresh } else { word << (8 * (WORD - have)) | fresh >> (8 * have) };
        }
        let content = next.wrapping_add(missing);
        let (kind, length) = (word & 0xff, word >> 8);
        let end = content.wrapping_add(length);
        let first = if first == NO_FRAME && have == 0 { next } else { first };
        let kept = if length < KEPT { length } else { KEPT };
        let left_out =
            kind == DATA && end > filled + LEFT_OUT_MIN && length.wrapping_sub(kept) > LEFT_OUT_MIN;
        let cut = if left_out { content.wrapping_add(kept) } else { 0 };
        let kept = if kind == DATA { 0 } else { u32::from(NOT_DATA) };
        // SAFETY: as above.
        unsafe {
            frames.write_volatile(Frames {
                followed: 1,
                next: end,
                word: 0,
                have: 0,
                kept,
                content,
                cut,
                first,
            })
        };
        if cut != 0 {
            break;
        }
        index += 1;
    }
    0
}

/// `copied` bytes of the piece become a record that stands for `beyond` more: offsets count from behind these. Where
/// the first header in the record is.
#[inline(always)]
pub(crate) fn settle(frames: &mut Frames, copied: u32, beyond: u32) -> u32 {
    let first = frames.first;
    // Only of what was left out the rest is: a short frame that is split over calls is copied whole.
    let most = if frames.cut != 0 || frames.kept == KEPT { KEPT } else { KEPT - 1 };
    frames.first = NO_FRAME;
    frames.cut = 0;
    if frames.next > copied {
        if frames.kept != u32::from(NOT_DATA) && copied > frames.content {
            let kept = frames.kept + (copied - frames.content);
            frames.kept = if kept < most { kept } else { most };
        }
        frames.next -= copied;
        // The piece was full before all that is kept was in it.
        frames.leave_out();
    } else {
        carry(frames, copied);
        frames.next = 0;
    }
    frames.content = 0;
    if beyond > 0 {
        let content = frames.kept != u32::from(NOT_DATA) && frames.next >= beyond;
        counters::add(
            if content { counter::SKIPPED_BYTES } else { counter::UNCOPIED_BYTES },
            u64::from(beyond),
        );
        if frames.next >= beyond {
            frames.next -= beyond;
        } else {
            // Headers passed unseen.
            frames.followed = 0;
        }
    }
    first
}

/// Takes what there is of the next header.
#[inline(always)]
fn carry(frames: &mut Frames, copied: u32) {
    let Ok(scratch) = output::scratch() else { return };
    let mut index = 0;
    while index < HEADER {
        let at = frames.next.wrapping_add(index);
        if at >= copied {
            break;
        }
        if frames.have < WORD {
            let at = at_most(at, limit::PIECE_MAX as u32);
            // SAFETY: `at` is inside the first half of the payload.
            let byte = unsafe { (&raw const (*scratch).payload).cast::<u8>().add(at as usize).read() };
            frames.word = frames.word << 8 | u32::from(byte);
        }
        frames.have += 1;
        index += 1;
    }
}

/// The call is over; its last byte lies before `end`.
#[inline(always)]
pub(crate) fn keep(frames: &Frames, half: &mut Half, end: u64) {
    if frames.followed == 0 {
        half.frame_at = UNKNOWN;
        return;
    }
    publish(half, end.wrapping_add(u64::from(frames.next)), frames);
}

/// A frame begins at a position, says user space.
#[inline(always)]
pub(crate) fn tell(half: &mut Half, position: u64) {
    let kept = u32::from(NOT_DATA);
    let none = Frames { followed: 1, next: 0, word: 0, have: 0, kept, content: 0, cut: 0, first: NO_FRAME };
    publish(half, position, &none);
}

/// Where the next header begins or goes on is written last: a call on another processor that takes it up sees the
/// bytes that passed of the same header, not of an earlier one.
#[inline(always)]
fn publish(half: &mut Half, position: u64, frames: &Frames) {
    put(half, position, frames.word, frames.have as u8, frames.kept as u8);
}

/// Quiet frames reach up to the next header.
#[inline(always)]
pub(crate) fn keep_quiet(half: &mut Half, next: u64) {
    put(half, next, 0, 0, QUIET);
}

#[inline(always)]
fn put(half: &mut Half, position: u64, word: u32, have: u8, kept: u8) {
    // SAFETY: aligned words in a map value; volatile keeps their order.
    unsafe {
        (&raw mut half.frame_at).write_volatile(UNKNOWN);
        (&raw mut half.frame_word).write_volatile(word);
        (&raw mut half.frame_have).write_volatile(have);
        (&raw mut half.frame_kept).write_volatile(kept);
        (&raw mut half.frame_at).write_volatile(position);
    }
}
