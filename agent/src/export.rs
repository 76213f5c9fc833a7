//! Export: spans leave the program, to any number of destinations at once.
//!
//! In: batches of spans, each with the Resource of the process it belongs to. Out: OTLP over HTTP or gRPC, OTLP/JSON
//! lines, a tree on the terminal. Each destination has a queue of its own with a bound and a thread of its own, so one
//! that is slow or gone takes nothing from the others, and the thread that drains the ring never waits for any.
//!
//! What is counted: for each destination, `handed in = queued + accepted + dropped by reason` at every moment.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use engine::span::Span;

pub use self::{
    destination::{Destination, DestinationError, OtlpTarget},
    otlp::SettingsError,
    queue::{Counts, Reason},
};
use self::{
    otlp::{Otlp, Settings},
    queue::Queue,
};
use crate::clock::{Clock, Offset};
pub use crate::process::Resource;

mod console;
mod destination;
mod encode;
mod json;
mod otlp;
mod queue;

/// Spans that one destination may hold, queued and in flight: about 20 MB, or 0.8 s of 10,000 exchanges a second.
const QUEUE_SPANS: usize = 16_384;

/// Ending waits this long for the destinations at most: the agent is gone within 5 s of SIGTERM.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// A span and the process image that it belongs to.
#[derive(Debug)]
pub struct Exported {
    pub span: Span,
    /// Shared by all spans of the process image: spans are grouped by the identity of this pointer.
    pub resource: Arc<Resource>,
}

/// Spans that were handed over together, shared by all destinations.
#[derive(Debug)]
struct Batch {
    offset: Offset,
    spans: Vec<Exported>,
}

/// Why the export could not start.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Settings(#[from] SettingsError),
    #[error("cannot open {path} to write spans to it: {source}")]
    File { path: String, source: std::io::Error },
    #[error("cannot start the thread of the destination {name}: {source}")]
    Thread { name: String, source: std::io::Error },
}

/// The destinations at work.
#[derive(Debug)]
pub struct Exports {
    clock: Arc<Clock>,
    queues: Vec<Arc<Queue>>,
}

impl Exports {
    /// Starts a thread for each destination. Settings are read and files opened here: what is wrong with them is an
    /// error now. A collector that does not answer is none; it may come later.
    pub fn start(destinations: &[Destination], clock: Arc<Clock>) -> Result<Self, ExportError> {
        let mut queues = Vec::with_capacity(destinations.len());
        for destination in destinations {
            let queue = Arc::new(Queue::new(destination.to_string(), QUEUE_SPANS));
            let worker = Arc::clone(&queue);
            match destination {
                Destination::Otlp(target) => {
                    let sender = Otlp::new(Settings::new(target, |name| std::env::var(name).ok())?)?;
                    spawn(&queue, async move || sender.run(&worker).await)?;
                }
                Destination::Json(path) => {
                    let file = json::open(path)
                        .map_err(|source| ExportError::File { path: path.display().to_string(), source })?;
                    spawn(&queue, async move || json::run(file, &worker).await)?;
                }
                Destination::Console => spawn(&queue, async move || console::run(&worker).await)?,
            }
            queues.push(queue);
        }
        Ok(Self { clock, queues })
    }

    /// Hands spans to every destination. Never waits; what does not fit is counted as dropped.
    pub fn hand_over(&self, spans: Vec<Exported>) {
        if spans.is_empty() {
            return;
        }
        let batch = Arc::new(Batch { offset: self.clock.refresh(), spans });
        for queue in &self.queues {
            queue.push(&batch);
        }
    }

    /// Ends the export: waits until everything is delivered, at most until `deadline` and at most [`FLUSH_MAX`]. What
    /// is left then, and what is handed over later, is counted as dropped by [`Reason::Shutdown`]. Blocks.
    pub fn flush(&self, deadline: Instant) {
        let deadline = deadline.min(Instant::now() + FLUSH_MAX);
        for queue in &self.queues {
            queue.begin_shutdown();
        }
        for queue in &self.queues {
            queue.finish_shutdown(deadline.saturating_duration_since(Instant::now()));
        }
    }

    /// The counts of each destination, under its name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.queues.iter().map(|queue| (queue.name(), queue.counts()))
    }
}

/// Runs a destination on a thread of its own: a terminal or a disk that blocks holds up nothing else.
fn spawn<F: Future<Output = ()>>(
    queue: &Queue,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<(), ExportError> {
    let name = queue.name().to_owned();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new().name("export".to_owned()).spawn(move || runtime.block_on(work()))
    };
    start().map(drop).map_err(|source| ExportError::Thread { name, source })
}

#[cfg(test)]
mod tests;
