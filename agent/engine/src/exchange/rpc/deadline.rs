//! Whether a stream was reset since the time of its call was over, or since it was cancelled.
//!
//! On the wire both are RST_STREAM with CANCEL. `grpc-timeout` says how long the client wants to wait, from a moment shortly
//! before it writes the request:
//!
//! | the stream was reset | the call ended with |
//! |---|---|
//! | at that time or later | DEADLINE_EXCEEDED: every implementation looks at its clock first |
//! | not long before | either, so that nobody knows |
//! | earlier | CANCELLED |
//!
//! Before that time it is over for a client whose timeout was rounded up (gRPC's C core: by up to a hundredth), or whose
//! request was written late (measured: by 17 ms where 20 calls start at once in Node.js on a busy machine), and for a
//! server that was late to read it. Who cancels does so long before, as a rule.

use super::Code;
use crate::event::Time;

const MILLISECOND: Time = 1_000_000;
const SECOND: Time = 1_000 * MILLISECOND;
/// "Not long before" is this, and a tenth of the timeout.
const SLACK: Time = 100 * MILLISECOND;

/// How long a client wants to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deadline {
    /// For ever, as far as it says.
    None,
    After(Time),
    /// It may have said so in a field that is unknown.
    Unknown,
}

impl Deadline {
    /// Of a value of `grpc-timeout`: up to 8 digits and a unit (gRPC over HTTP/2, Timeout).
    pub(super) fn parse(text: &[u8]) -> Self {
        timeout(text).map_or(Self::None, Self::After)
    }

    /// The code of a call that was reset with CANCEL after this time.
    pub(super) fn code(self, elapsed: Time) -> Option<Code> {
        match self {
            Self::None => Some(Code::Cancelled),
            Self::Unknown => None,
            Self::After(timeout) if elapsed >= timeout => Some(Code::DeadlineExceeded),
            Self::After(timeout) => {
                let slack = SLACK.saturating_add(timeout.checked_div(10).unwrap_or_default());
                (elapsed.saturating_add(slack) < timeout).then_some(Code::Cancelled)
            }
        }
    }
}

fn timeout(text: &[u8]) -> Option<Time> {
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
    core::str::from_utf8(digits).ok()?.parse::<Time>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_have_a_unit() {
        assert_eq!(Deadline::parse(b"100m"), Deadline::After(100 * MILLISECOND));
        assert_eq!(Deadline::parse(b"2S"), Deadline::After(2 * SECOND));
        assert_eq!(Deadline::parse(b"99999999M"), Deadline::After(99_999_999 * 60 * SECOND));
        // For ever, as far as a clock of 64 bits goes.
        assert_eq!(Deadline::parse(b"99999999H"), Deadline::None);
        for wrong in ["", "m", "1", "123456789m", "-1m", "1x"] {
            assert_eq!(Deadline::parse(wrong.as_bytes()), Deadline::None, "{wrong}");
        }
    }

    #[test]
    fn a_reset_shortly_before_the_deadline_is_of_either_kind() {
        for (timeout, elapsed, code) in [
            (1_000, 0, Some(Code::Cancelled)),
            (1_000, 799, Some(Code::Cancelled)),
            (1_000, 800, None),
            (1_000, 999, None),
            (1_000, 1_000, Some(Code::DeadlineExceeded)),
            (1_000, 5_000, Some(Code::DeadlineExceeded)),
            (100, 0, None),
            (0, 0, Some(Code::DeadlineExceeded)),
        ] {
            let found = Deadline::After(timeout * MILLISECOND).code(elapsed * MILLISECOND);
            assert_eq!(found, code, "{elapsed} of {timeout} ms");
        }
        assert_eq!(Deadline::None.code(SECOND), Some(Code::Cancelled));
        assert_eq!(Deadline::Unknown.code(SECOND), None);
    }
}
