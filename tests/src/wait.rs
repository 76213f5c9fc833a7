//! Waiting for conditions, never for time.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for something that takes milliseconds on an idle machine, and many seconds on a busy one that
/// emulates another.
pub const LONG: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_millis(10);

/// Asks until there is an answer; `None` when the time is over.
pub fn poll<T>(limit: Duration, mut question: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = question() {
            return Some(answer);
        }
        if Instant::now() >= end {
            return None;
        }
        thread::sleep(STEP);
    }
}

/// Waits until the condition holds, and fails naming it.
pub fn wait_until(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    assert!(poll(limit, || condition().then_some(())).is_some(), "waited {limit:?} in vain until {what}");
}
