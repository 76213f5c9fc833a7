//! Events: what the wire shows to have happened during an exchange.
//!
//! | event | when |
//! |---|---|
//! | `spandrel.informational` | an informational response (1xx but 101), with its status code |
//! | `spandrel.first_byte` | the first byte of the response; only if asked for |
//! | `spandrel.reset` | the connection was reset, or the stream of HTTP/2 with the error code that the event names |
//! | `spandrel.gap` | from here on bytes of the exchange were not captured |

use std::borrow::Cow;

use super::{Attribute, SpanEvent, Value, names, outcome};
use crate::{
    event::Time,
    exchange::Exchange,
    protocol::{Ending, http2::error_name},
};

/// The events of an exchange, none of them outside of its span.
pub(super) fn events(exchange: &Exchange, start: Time, end: Time) -> Vec<SpanEvent> {
    let mut events = Vec::new();
    let mut add = |time: Time, name, attributes| {
        events.push(SpanEvent { time: time.min(end).max(start), name, attributes });
    };
    if let Some(details) = exchange.details.as_deref() {
        for &(time, status) in &details.informational {
            let key = Cow::Borrowed(names::HTTP_RESPONSE_STATUS_CODE);
            let status = Attribute { key, value: Value::Integer(i64::from(status)) };
            add(time, names::EVENT_INFORMATIONAL, vec![status]);
        }
        if let Some(time) = details.first_byte {
            add(time, names::EVENT_FIRST_BYTE, Vec::new());
        }
    }
    match exchange.ending {
        Some(Ending::Gap) => add(end, names::EVENT_GAP, Vec::new()),
        Some(Ending::Failed(errno)) if outcome::is_reset(errno) => add(end, names::EVENT_RESET, Vec::new()),
        Some(Ending::Reset { code, .. }) => {
            let key = Cow::Borrowed(names::RESET_CODE);
            let name = Attribute { key, value: Value::String(Cow::Borrowed(error_name(code))) };
            add(end, names::EVENT_RESET, vec![name]);
        }
        _ => {}
    }
    events
}
