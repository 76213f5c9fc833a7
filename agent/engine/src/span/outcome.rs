//! How an exchange ended, in the words of the conventions.
//!
//! | `error.type` | when |
//! |---|---|
//! | the status code | a client got 4xx or 5xx, a server answered 5xx |
//! | `connection_reset` | ECONNRESET, ECONNABORTED, EPIPE |
//! | `connection_refused` | ECONNREFUSED |
//! | `timeout` | ETIMEDOUT |
//! | `unreachable` | ENETUNREACH, EHOSTUNREACH |
//! | `connection_failed` | any other errno |
//! | `connection_closed` | closed in good order before the response was complete |
//! | `REFUSED_STREAM`, ... | HTTP/2: the name of the error code of RST_STREAM or GOAWAY (RFC 9113, 7); `_OTHER` if it has none |
//!
//! A client that cancels (RST_STREAM with CANCEL) did not fail: `spandrel.end` is `cancelled`. A stream above the last one
//! of a GOAWAY without error was refused; one that is open when its connection ends has the error code of a GOAWAY before.
//!
//! What is no failure of the request says why its end is unknown, in `spandrel.incomplete`: `gap`,
//! `malformed`, `agent_stopped`, `swept`, `evicted`.

use std::borrow::Cow;

use crate::protocol::{
    Ending, Side, Unseen,
    http2::{CANCEL, error_name},
};

const EPIPE: u32 = 32;
const ENETUNREACH: u32 = 101;
const ECONNABORTED: u32 = 103;
const ECONNRESET: u32 = 104;
const ETIMEDOUT: u32 = 110;
const ECONNREFUSED: u32 = 111;
const EHOSTUNREACH: u32 = 113;

/// The other end, or something between, gave the connection up.
pub(super) fn is_reset(errno: u32) -> bool {
    matches!(errno, ECONNRESET | ECONNABORTED | EPIPE)
}

/// The value of `error.type`, if the exchange failed.
pub(super) fn error(side: Side, status: Option<u16>, ending: Option<Ending>) -> Option<Cow<'static, str>> {
    let failure = match ending {
        Some(Ending::Failed(errno)) if is_reset(errno) => "connection_reset",
        Some(Ending::Failed(ECONNREFUSED)) => "connection_refused",
        Some(Ending::Failed(ETIMEDOUT)) => "timeout",
        Some(Ending::Failed(ENETUNREACH | EHOSTUNREACH)) => "unreachable",
        Some(Ending::Failed(_)) => "connection_failed",
        Some(Ending::Closed { .. }) => "connection_closed",
        Some(Ending::Reset { code, .. }) if !is_cancelled(ending) => error_name(code),
        Some(Ending::GoneAway { code, .. }) => error_name(code),
        Some(
            Ending::Reset { .. } | Ending::Upgraded | Ending::Gap | Ending::Malformed | Ending::Unseen(_),
        )
        | None => {
            let bad = match side {
                Side::Client => 400,
                Side::Server => 500,
            };
            return status.filter(|status| *status >= bad).map(|status| Cow::Owned(status.to_string()));
        }
    };
    Some(Cow::Borrowed(failure))
}

/// The client wanted no answer any more.
pub(super) fn is_cancelled(ending: Option<Ending>) -> bool {
    matches!(ending, Some(Ending::Reset { code: CANCEL, by: Side::Client }))
}

/// The value of `spandrel.incomplete`, if the end is not known.
pub(super) fn incomplete(ending: Option<Ending>) -> Option<&'static str> {
    match ending? {
        Ending::Failed(_)
        | Ending::Closed { .. }
        | Ending::Upgraded
        | Ending::Reset { .. }
        | Ending::GoneAway { .. } => None,
        Ending::Gap => Some("gap"),
        Ending::Malformed => Some("malformed"),
        Ending::Unseen(Unseen::AgentStopped) => Some("agent_stopped"),
        Ending::Unseen(Unseen::Swept) => Some("swept"),
        Ending::Unseen(Unseen::Evicted) => Some("evicted"),
    }
}
