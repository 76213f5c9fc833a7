//! The status line: one line at the bottom of a terminal that is written over and over. Log lines go above it.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal, Write},
    sync::{Mutex, MutexGuard, PoisonError},
};

use engine::event::Time;

/// Back to the start of the line, and erase it (ECMA-48: CR, EL).
const ERASE: &str = "\r\x1b[2K";

/// What stands on the terminal now; empty if nothing.
static SHOWN: Mutex<String> = Mutex::new(String::new());

/// What the line shows; totals since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub spans: u64,
    /// Records and spans lost, whatever the reason.
    pub drops: u64,
    /// Processes traced at this moment.
    pub traced: usize,
}

/// Shows figures while standard error is a terminal; otherwise does nothing. Erased when dropped.
#[derive(Debug)]
pub struct StatusLine {
    shown: bool,
    last: Option<(Time, u64)>,
}

impl Default for StatusLine {
    fn default() -> Self {
        Self::new()
    }
}

impl StatusLine {
    pub fn new() -> Self {
        Self { shown: io::stderr().is_terminal(), last: None }
    }

    /// Whether updates are of any use.
    pub fn is_shown(&self) -> bool {
        self.shown
    }

    /// Writes the line anew; once a second is often enough.
    pub fn update(&mut self, now: Time, figures: &Figures) {
        if !self.shown {
            return;
        }
        let line = self.line(now, figures);
        let mut shown = lock();
        let mut out = io::stderr().lock();
        // A terminal that cannot be written to is no reason to stop tracing.
        self.shown = write!(out, "{ERASE}{line}").and_then(|()| out.flush()).is_ok();
        *shown = line;
    }

    /// Spans per second since the last line. Short: a line that wraps cannot be erased.
    fn line(&mut self, now: Time, figures: &Figures) -> String {
        let Figures { spans, drops, traced } = *figures;
        let mut line = String::new();
        let rate = self.last.and_then(|(time, before)| {
            let elapsed = now.checked_sub(time).filter(|elapsed| *elapsed > 0)?;
            let per_second = u128::from(spans.saturating_sub(before)) * 1_000_000_000 / u128::from(elapsed);
            u64::try_from(per_second).ok()
        });
        self.last = Some((now, spans));
        let processes = if traced == 1 { "process" } else { "processes" };
        // Writing to a String does not fail.
        _ = write!(
            line,
            "{} spans/s, {spans} spans, {drops} drops, {traced} {processes} traced",
            rate.unwrap_or(0)
        );
        line
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        let mut shown = lock();
        if !shown.is_empty() {
            // Nothing can be done about a terminal that is gone.
            _ = write!(io::stderr(), "{ERASE}");
            shown.clear();
        }
    }
}

/// Writes something else to the terminal, such as spans on standard output, above the status line. `write` must
/// not log: the terminal is locked.
pub fn above_status_line<T>(write: impl FnOnce() -> T) -> T {
    let shown = lock();
    if shown.is_empty() {
        return write();
    }
    let redraw = |text: &str| {
        // A terminal that cannot be written to is no reason to stop tracing.
        _ = io::stderr().write_all(text.as_bytes());
    };
    redraw(ERASE);
    let result = write();
    redraw(&shown);
    result
}

/// Collects one log event and writes it above the status line.
#[derive(Default)]
pub(super) struct Lines {
    text: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let shown = lock();
        let mut out = io::stderr().lock();
        let erase = if shown.is_empty() { "" } else { ERASE };
        // A log that cannot be written has nowhere to be reported.
        _ = out
            .write_all(erase.as_bytes())
            .and_then(|()| out.write_all(&self.text))
            .and_then(|()| out.write_all(shown.as_bytes()));
    }
}

fn lock() -> MutexGuard<'static, String> {
    // The text is whole whatever panicked.
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_since_the_last_line() {
        let mut status = StatusLine { shown: false, last: None };
        let figures = |spans, traced| Figures { spans, drops: 2, traced };
        assert_eq!(
            status.line(1_000_000_000, &figures(5, 1)),
            "0 spans/s, 5 spans, 2 drops, 1 process traced"
        );
        let line = status.line(1_500_000_000, &figures(105, 3));
        assert_eq!(line, "200 spans/s, 105 spans, 2 drops, 3 processes traced");
        assert_eq!(status.line(1_500_000_000, &figures(105, 0)).split(',').next(), Some("0 spans/s"));
    }

    #[test]
    fn the_line_fits_a_narrow_terminal() {
        let mut status = StatusLine { shown: false, last: Some((0, 0)) };
        let figures = Figures { spans: 999_999_999, drops: 9_999_999, traced: 32_768 };
        assert!(status.line(100_000_000_000, &figures).len() < 80);
    }
}
