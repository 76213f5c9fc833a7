//! Whether a stream was reset since the time of its call was over, or since it was cancelled.
//!
//! On the wire both are RST_STREAM with CANCEL. `grpc-timeout` says how long the client wants to wait, from a moment shortly
//! before it writes the request:
//!
//! | the stream was reset | the call ended with |
//! |---|---|
//! | at that time or later, or up to [`EARLY`] before it | DEADLINE_EXCEEDED: every implementation looks at its clock first |
//! | not long before | either, so that nobody knows |
//! | earlier | CANCELLED |
//!
//! Before that time it is over for
//! * a client whose clock and timers count milliseconds (grpc-js, gRPC's C core): it rounds its timeout up to one, and
//!   its timer may come by one too soon. Its call is over then by its own clock, and nobody cancels one in its last instant;
//! * a client that rounds its timeout up: gRPC's C core keeps three digits, so by up to a hundredth. Who writes micro- or
//!   nanoseconds does not (grpc-go, grpc-java, tonic);
//! * a client that wrote its request late (measured: by 17 ms where 20 calls start at once in Node.js on a busy machine);
//! * a server that was late to read it: by as long as it had no processor or something else to do (measured: by more than
//!   100 ms where ten calls at once meet a busy machine), or that reads it together with its end. Of its deadline it has
//!   seen less than its client, so that "not long" is longer for it.
//!
//! Who cancels does so long before, as a rule; a cancel shortly before that a server reads late is taken for the deadline.

use super::Code;
use crate::{event::Time, protocol::Side};

const MILLISECOND: Time = 1_000_000;
const SECOND: Time = 1_000 * MILLISECOND;
/// The most by which a client whose clock counts milliseconds ends a call too soon.
const EARLY: Time = 2 * MILLISECOND;
/// "Not long before" is this for a client, and what the timeout may have been rounded by.
const CLIENT_SLACK: Time = 100 * MILLISECOND;
/// The same for a server.
const SERVER_SLACK: Time = SECOND;

/// How long a client wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// For ever, as far as it says.
    None,
    After {
        timeout: Time,
        /// It was rounded up by so much, at most.
        rounded: Time,
    },
    /// It may have said so in a field that is unknown.
    Unknown,
}

impl Deadline {
    /// Of a value of `grpc-timeout`: up to 8 digits and a unit (gRPC over HTTP/2, Timeout).
    pub(super) fn parse(text: &[u8]) -> Self {
        let Some((timeout, unit)) = timeout(text) else { return Self::None };
        let fine = unit < MILLISECOND;
        let rounded = if fine { 0 } else { timeout.checked_div(100).unwrap_or_default() };
        Self::After { timeout, rounded }
    }

    /// The code of a call that was reset with CANCEL after this time, as this side saw it.
    pub(super) fn code(self, elapsed: Time, side: Side) -> Option<Code> {
        match self {
            Self::None => Some(Code::Cancelled),
            Self::Unknown => None,
            Self::After { timeout, .. } if elapsed.saturating_add(EARLY) >= timeout => {
                Some(Code::DeadlineExceeded)
            }
            Self::After { timeout, rounded } => {
                let slack = match side {
                    Side::Client => CLIENT_SLACK,
                    Side::Server => SERVER_SLACK,
                };
                let slack = slack.saturating_add(rounded);
                (elapsed.saturating_add(slack) < timeout).then_some(Code::Cancelled)
            }
        }
    }
}

/// The time that a value stands for, and its unit.
fn timeout(text: &[u8]) -> Option<(Time, Time)> {
    let (unit, digits) = text.split_last()?;
    let unit = match unit {
        b'H' => 3_600 * SECOND,
        b'M' => 60 * SECOND,
        b'S' => SECOND,
        b'm' => MILLISECOND,
        b'u' => 1_000,
        b'n' => 1,
        _ => return None,
    };
    if digits.len() > 8 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = core::str::from_utf8(digits).ok()?.parse::<Time>().ok()?;
    Some((number.checked_mul(unit)?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_unit() {
        for (text, timeout, rounded) in [
            ("100m", 100 * MILLISECOND, MILLISECOND),
            ("2S", 2 * SECOND, 20 * MILLISECOND),
            ("1999950u", 1_999_950_000, 0),
            ("99950000n", 99_950_000, 0),
            ("99999999M", 99_999_999 * 60 * SECOND, 999_999_990_000_000 * 60),
        ] {
            assert_eq!(Deadline::parse(text.as_bytes()), Deadline::After { timeout, rounded }, "{text}");
        }
        // For ever, as far as a clock of 64 bits goes.
        assert_eq!(Deadline::parse(b"99999999H"), Deadline::None);
        for wrong in ["", "m", "1", "123456789m", "-1m", "1x"] {
            assert_eq!(Deadline::parse(wrong.as_bytes()), Deadline::None, "{wrong}");
        }
    }

    #[test]
    fn a_reset_shortly_before_the_deadline_is_of_either_kind() {
        const CANCELLED: Option<Code> = Some(Code::Cancelled);
        const EXCEEDED: Option<Code> = Some(Code::DeadlineExceeded);
        for (timeout, elapsed, code) in [
            ("1S", 0, CANCELLED),
            ("1S", 889, CANCELLED),
            ("1S", 890, None),
            ("1S", 997, None),
            ("1S", 998, EXCEEDED),
            ("1000m", 999, EXCEEDED),
            ("1000m", 1_000, EXCEEDED),
            ("1000m", 5_000, EXCEEDED),
            ("1000000u", 899, CANCELLED),
            ("1000000u", 900, None),
            ("1000000u", 999, EXCEEDED),
            ("60S", 59_299, CANCELLED),
            ("60S", 59_300, None),
            ("100m", 0, None),
            ("0m", 0, EXCEEDED),
        ] {
            let found = Deadline::parse(timeout.as_bytes()).code(elapsed * MILLISECOND, Side::Client);
            assert_eq!(found, code, "{elapsed} ms of {timeout}");
        }
        for side in [Side::Client, Side::Server] {
            assert_eq!(Deadline::None.code(SECOND, side), Some(Code::Cancelled));
            assert_eq!(Deadline::Unknown.code(SECOND, side), None);
        }
    }

    #[test]
    fn a_server_may_have_read_its_request_late() {
        const CANCELLED: Option<Code> = Some(Code::Cancelled);
        const EXCEEDED: Option<Code> = Some(Code::DeadlineExceeded);
        for (timeout, elapsed, code) in [
            ("180000u", 0, None),
            ("180000u", 60, None),
            ("180000u", 178, EXCEEDED),
            ("10S", 0, CANCELLED),
            ("10S", 8_899, CANCELLED),
            ("10S", 8_900, None),
            ("10S", 9_998, EXCEEDED),
            ("10000000u", 8_999, CANCELLED),
            ("10000000u", 9_000, None),
        ] {
            let found = Deadline::parse(timeout.as_bytes()).code(elapsed * MILLISECOND, Side::Server);
            assert_eq!(found, code, "{elapsed} ms of {timeout}");
        }
    }
}
