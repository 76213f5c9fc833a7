//! Console: a live tree of each trace, a line a span.
//!
//! It goes to standard error. Under `run`, standard output belongs to the traced command and may be piped on; the same
//! place under `agent` keeps one rule. A trace is printed as a whole when it seems complete, which no one can know for
//! sure: what comes later is printed as another tree with the same trace id.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use self::{
    paint::Painter,
    traces::{Trace, Traces},
};
use super::queue::{Batching, Queue, Reason};

mod line;
mod paint;
mod traces;

/// Spans are looked at as they come: the traces do the waiting.
const BATCHING: Batching = Batching { spans: 1, wait: Duration::ZERO };

/// Prints what is queued until the queue is closed.
pub(super) async fn run(queue: &Queue) {
    let mut traces = Traces::default();
    loop {
        let due = traces.next_due();
        let chunks = tokio::select! {
            chunks = queue.next(BATCHING) => chunks,
            () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => Some(Vec::new()),
        };
        let Some(chunks) = chunks else { break };
        let now = Instant::now();
        for exported in chunks.iter().flat_map(|chunk| chunk.spans()) {
            traces.add(exported, now);
        }
        print(&traces.take_due(now), queue);
    }
    print(&traces.take_all(), queue);
}

fn print(traces: &[Trace], queue: &Queue) {
    if traces.is_empty() {
        return;
    }
    let mut output = io::stderr().lock();
    let painter =
        Painter::new(coloured(), terminal_size::terminal_size_of(&output).map(|(width, _)| width.0.into()));
    let text: String = traces.iter().map(|trace| painter.tree(trace)).collect();
    let spans = traces.iter().map(|trace| trace.lines.len() as u64).sum();
    // At once, so that nothing else on the terminal gets between the lines of a tree.
    match output.write_all(text.as_bytes()) {
        Ok(()) => queue.accept(spans),
        Err(_) => queue.drop_taken(Reason::Write, spans),
    }
}

/// On a terminal, unless `NO_COLOR` (<https://no-color.org>) says otherwise or the terminal cannot.
fn coloured() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    io::stderr().is_terminal()
        && !set("NO_COLOR")
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

#[cfg(test)]
mod tests;
