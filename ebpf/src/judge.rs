//! What cannot be HTTP is dropped early: the first bytes of a connection are judged.
//!
//! Only what is certain is decided here: a request line starts with a token and a space (RFC 9112, 3), a
//! response with `HTTP/`, an HTTP/2 connection with its preface (also a token and a space), a PROXY preamble
//! with `PROXY ` or the signature of version 2. User space judges the rest.

use abi::{
    Connection,
    conn::{flag, verdict},
    counter, limit,
};

use crate::{connections, counters};

/// What the first bytes of a direction say.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Looks {
    Message,
    Undecided,
    Other,
}

/// First bytes of PROXY protocol version 2 after the CR LF CR LF that it starts with.
const PROXY_V2: u8 = 0;

/// Judges a connection by a call's first bytes at `bytes` (of which `length` are valid) and stores the
/// verdict. Whether a record is to be made of the call.
///
/// # Safety
/// `bytes` must point to at least [`limit::JUDGED_MAX`] readable bytes.
#[inline(always)]
pub(crate) unsafe fn admits(connection: &mut Connection, direction: u8, bytes: *const u8, length: u32) -> bool {
    if connection.verdict == verdict::CANDIDATE {
        return true;
    }
    let opening = connection.flags & flag::FROM_OPENING != 0;
    let judged = if opening { connections::half(connection, direction).judged } else { 0 };
    // SAFETY: passed on from the caller.
    match unsafe { look(bytes, length, judged) } {
        Looks::Message => {
            connection.verdict = verdict::CANDIDATE;
            true
        }
        Looks::Undecided if opening => {
            connections::half(connection, direction).judged = judged.wrapping_add(length);
            true
        }
        Looks::Other if opening => {
            connection.verdict = verdict::IGNORED;
            counters::add(counter::NOT_HTTP, 1);
            false
        }
        // In the middle of an older connection: wait for a call that starts like a message.
        Looks::Undecided | Looks::Other => {
            connection.calls = connection.calls.saturating_add(1);
            if connection.calls > limit::UNJUDGED_CALLS_MAX {
                connection.verdict = verdict::IGNORED;
                counters::add(counter::NEVER_JUDGED, 1);
            }
            false
        }
    }
}

/// # Safety
/// See [`admits`].
#[inline(always)]
unsafe fn look(bytes: *const u8, length: u32, judged: u32) -> Looks {
    // Token bytes before this call's: the line may be split anywhere.
    let mut token = judged;
    let mut index = 0;
    while index < limit::JUDGED_MAX {
        if index as u32 >= length {
            return Looks::Undecided;
        }
        // SAFETY: below JUDGED_MAX, which the caller vouches for.
        let byte = unsafe { bytes.add(index).read() };
        match byte {
            b' ' if token > 0 => return Looks::Message,
            // `HTTP/`, the only place where a slash follows a token.
            b'/' if token == 4 => return Looks::Message,
            // Empty lines before a request line are to be ignored (RFC 9112, 2.2).
            b'\r' | b'\n' if token == 0 => {}
            PROXY_V2 if index == 4 => return Looks::Message,
            _ if is_token(byte) => token += 1,
            _ => return Looks::Other,
        }
        index += 1;
    }
    Looks::Other
}

/// `tchar` of RFC 9110, 5.6.2, as two bit sets: a table in memory would cost a look-up the verifier must
/// follow at each byte.
#[inline(always)]
fn is_token(byte: u8) -> bool {
    const LOW: u64 = bits(0);
    const HIGH: u64 = bits(64);
    if byte < 64 {
        (LOW >> byte) & 1 != 0
    } else if byte < 128 {
        (HIGH >> (byte - 64)) & 1 != 0
    } else {
        false
    }
}

const fn bits(from: u8) -> u64 {
    let mut set = 0;
    let mut offset = 0;
    while offset < 64 {
        let byte = from + offset;
        if byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            )
        {
            set |= 1 << offset;
        }
        offset += 1;
    }
    set
}
