//! What cannot be HTTP is dropped early: the first bytes of a connection are judged.
//!
//! Only what is certain is decided here: a request line starts with a token and a space (RFC 9112, 3), a
//! response with `HTTP/`, an HTTP/2 connection with its preface (also a token and a space) or SETTINGS, a PROXY preamble
//! with `PROXY ` or the signature of version 2. User space judges the rest.

use abi::{
    Connection,
    conn::{flag, frame::HEADER, verdict},
    counter, limit,
};

use crate::{connections, copy, counters, frames, output};

/// Judges a connection by a call's first bytes, which are the first `length` of this processor's scratch
/// payload, and stores the verdict. Whether a record is to be made of the call.
#[inline(always)]
pub(crate) fn admits(connection: &mut Connection, direction: u8, length: u32) -> bool {
    if connection.verdict == verdict::CANDIDATE {
        return true;
    }
    // Ordered while the call was inside.
    if connection.verdict == verdict::IGNORED {
        return false;
    }
    let opening = connection.flags & flag::FROM_OPENING != 0;
    let before = connections::half(connection, direction).judged;
    let frame = if opening { before == 0 && starts_settings(length) } else { starts_frame(length) };
    if opening {
        frames::recognise(connection, direction, before, length, frame && length >= HEADER);
    }
    let answer =
        if frame { MESSAGE } else { look(u64::from(length), u64::from(if opening { before } else { 0 })) };
    let after = (answer >> ANSWER_BITS) as u32;
    match answer & ANSWER {
        // An older connection is judged call by call: the rest of a line that was split is no start of one.
        MESSAGE if opening || before == 0 => {
            connection.verdict = verdict::CANDIDATE;
            true
        }
        UNDECIDED if opening => {
            connections::half(connection, direction).judged = after;
            true
        }
        OTHER if opening => {
            connection.verdict = verdict::IGNORED;
            counters::add(counter::NOT_HTTP, 1);
            false
        }
        // In the middle of an older connection: wait for a call that starts like a message.
        answer => {
            connections::half(connection, direction).judged = u32::from(answer == UNDECIDED);
            connection.calls = connection.calls.saturating_add(1);
            if connection.calls > limit::UNJUDGED_CALLS_MAX {
                connection.verdict = verdict::IGNORED;
                counters::add(counter::NEVER_JUDGED, 1);
            }
            false
        }
    }
}

/// What a server begins with, and need not wait with until the client spoke (RFC 9113, 3.4): SETTINGS. Of a header that is
/// read in pieces the first one tells it, as far as it goes; the rest is for user space to judge.
#[inline(always)]
fn starts_settings(length: u32) -> bool {
    const SETTINGS: u8 = 4;
    let Ok(scratch) = output::scratch() else { return false };
    // SAFETY: the payload is longer than a frame header.
    let byte = |index: usize| unsafe { (&raw const (*scratch).payload).cast::<u8>().add(index).read() };
    let mut index = 0;
    while index < HEADER {
        if index >= length {
            break;
        }
        let other = match index {
            // Any length below 256, which is that of 42 settings.
            2 => false,
            3 => byte(3) != SETTINGS,
            _ => byte(index as usize) != 0,
        };
        if other {
            return false;
        }
        index += 1;
    }
    length > 0
}

/// Does a call on an older connection begin with a frame header of HTTP/2 (RFC 9113, 4.1)?
#[inline(always)]
fn starts_frame(length: u32) -> bool {
    const CONTINUATION: u8 = 9;
    let Ok(scratch) = output::scratch() else { return false };
    if length < HEADER {
        return false;
    }
    // SAFETY: as above.
    let byte = |index: usize| unsafe { (&raw const (*scratch).payload).cast::<u8>().add(index).read() };
    // No more than 16,384 bytes, and the reserved bit unset.
    byte(0) == 0 && byte(1) <= 0x40 && byte(3) <= CONTINUATION && byte(5) & 0x80 == 0
}

/// Where [`look`] stands between calls: token bytes in the low half word, line ends before them in the high one.
const EMPTY_SHIFT: u32 = 16;
const TOKEN_MASK: u64 = 0xffff;
/// A token longer than this is none that any program sends.
const TOKEN_LIMIT: u64 = 1024;

/// What the first `length` bytes of this processor's scratch payload look like, continuing from `state`. The answer,
/// and the state after it above [`ANSWER_BITS`].
///
/// A global function: the verifier checks it once, on its own, and forgets the path through it. Inlined, each
/// of its ways out would be followed through the rest of every caller (one million instructions on 6.18). Its state is
/// in map memory: in registers the verifier would follow each value of it.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn look(length: u64, state: u64) -> u64 {
    let (Ok(scratch), Ok(walk)) = (output::scratch(), copy::walk()) else { return OTHER };
    // SAFETY: this processor's own state; volatile, here and below, keeps it where it is.
    let kept = unsafe { &raw mut (*walk).judged };
    // SAFETY: as above.
    unsafe { kept.write_volatile(state) };
    let mut index = 0;
    while index < limit::JUDGED_MAX {
        if index as u64 >= length {
            break;
        }
        // SAFETY: the payload is longer than what is judged.
        let byte = unsafe { (&raw const (*scratch).payload).cast::<u8>().add(index).read() };
        // SAFETY: a byte indexes a table of 256; volatile keeps it a table.
        let class = unsafe { (&raw const CLASSES).cast::<u8>().add(byte as usize).read_volatile() };
        // SAFETY: as above.
        let state = unsafe { kept.read_volatile() };
        let (token, empty) = (state & TOKEN_MASK, state >> EMPTY_SHIFT);
        let next = match class {
            TOKEN if token < TOKEN_LIMIT => state.wrapping_add(1),
            // Empty lines before a request line are to be ignored (RFC 9112, 2.2).
            LINE_END if token == 0 && empty < TOKEN_LIMIT => state.wrapping_add(1 << EMPTY_SHIFT),
            // PROXY protocol version 2 starts with CR LF CR LF NUL.
            NUL if empty == 4 && token == 0 => return MESSAGE,
            SPACE if token > 0 => return MESSAGE,
            // `HTTP/`, the only place where a slash follows a token.
            SLASH if token == 4 => return MESSAGE,
            _ => return OTHER,
        };
        // SAFETY: as above.
        unsafe { kept.write_volatile(next) };
        index += 1;
    }
    // SAFETY: as above.
    UNDECIDED | (unsafe { kept.read_volatile() } << ANSWER_BITS)
}

/// Answers of [`look`].
const MESSAGE: u64 = 0;
const UNDECIDED: u64 = 1;
const OTHER: u64 = 2;
const ANSWER: u64 = 3;
const ANSWER_BITS: u32 = 2;

/// Classes of bytes.
const TOKEN: u8 = 1;
const SPACE: u8 = 2;
const SLASH: u8 = 3;
const LINE_END: u8 = 4;
const NUL: u8 = 5;

/// The class of each byte; `tchar` is RFC 9110, 5.6.2.
static CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        classes[byte] = match value {
            b' ' => SPACE,
            b'/' => SLASH,
            b'\r' | b'\n' => LINE_END,
            0 => NUL,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`'
            | b'|' | b'~' => TOKEN,
            _ if value.is_ascii_alphanumeric() => TOKEN,
            _ => 0,
        };
        byte += 1;
    }
    classes
};
