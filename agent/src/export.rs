//! Export: spans leave the program, to any number of destinations at once.
//!
//! In: batches of spans, each with the Resource of the process it belongs to. Out: OTLP over HTTP or gRPC, Zipkin's JSON,
//! OTLP/JSON lines, a tree on the terminal. Each destination has a queue of its own with a bound and a thread of its own, so one
//! that is slow or gone takes nothing from the others, and the thread that drains the ring never waits for any.
//!
//! What is counted: for each destination, `handed in = queued + accepted + dropped by reason` at every moment; and the
//! spans that are for no destination.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use engine::span::{Attribute, Span, Status, Value};

pub use self::{
    delivery::SettingsError,
    destination::{Destination, DestinationError, OtlpTarget},
    headers::{HeaderError, Headers},
    queue::{Counts, Reason},
    routes::{ExportSet, Routes, TooManySets},
};
use self::{
    delivery::{Delivery, Settings},
    queue::{Bound, Queue},
    routes::Exporter,
};
use crate::clock::{Clock, Offset};
pub use crate::process::Resource;

mod console;
mod delivery;
mod destination;
mod encode;
mod headers;
mod json;
mod queue;
mod routes;
mod zipkin;

/// What one destination may hold, queued and in flight: what 10,000 exchanges a second bring while a batch waits for its
/// second, and as many as a burst of 10,000 brings at once. That is about 25 MB; spans with long texts reach the bound of
/// bytes first.
const QUEUE: Bound = Bound { spans: 24_576, bytes: 48 * 1024 * 1024 };

/// What all destinations together may hold, however many tenants there are: more than so many share the memory of these.
const FULL_QUEUES: usize = 4;

/// Ending waits this long for the destinations at most: the agent is gone within 5 s of SIGTERM.
pub const FLUSH_MAX: Duration = Duration::from_secs(3);

/// A span and the process image that it belongs to.
#[derive(Debug)]
pub struct Exported {
    pub span: Span,
    /// Shared by all spans of the process image: spans are grouped by the identity of this pointer.
    pub resource: Arc<Resource>,
    /// The destinations that take it.
    pub to: ExportSet,
}

/// Spans that were handed over together, shared by all destinations.
#[derive(Debug)]
struct Batch {
    offset: Offset,
    spans: Vec<Exported>,
}

impl Batch {
    /// How many spans from the beginning fit into this room, and what they take.
    fn fitting(&self, spans: u64, bytes: usize) -> (u64, usize) {
        let (mut fitting, mut size) = (0, 0_usize);
        for exported in &self.spans {
            let more = size.saturating_add(weight(&exported.span));
            if fitting >= spans || more > bytes {
                break;
            }
            (fitting, size) = (fitting + 1, more);
        }
        (fitting, size)
    }
}

/// The memory of a span, about: what allocators add is left out.
fn weight(span: &Span) -> usize {
    let value = |value: &Value| match value {
        Value::String(Cow::Owned(text)) => text.capacity(),
        Value::Strings(texts) => texts.iter().map(|text| text.capacity() + size_of::<String>()).sum(),
        Value::String(Cow::Borrowed(_)) | Value::Integer(_) | Value::Bool(_) => 0,
    };
    let text = |text: &Cow<'static, str>| if let Cow::Owned(text) = text { text.capacity() } else { 0 };
    let attributes = |attributes: &Vec<Attribute>| -> usize {
        let texts: usize = attributes.iter().map(|it| text(&it.key) + value(&it.value)).sum();
        attributes.capacity() * size_of::<Attribute>() + texts
    };
    let events: usize =
        span.events.iter().map(|event| size_of_val(event) + attributes(&event.attributes)).sum();
    let description = match &span.status {
        Status::Error { description: Some(text) } => text.capacity(),
        Status::Error { description: None } | Status::Unset => 0,
    };
    size_of::<Exported>()
        + text(&span.name)
        + attributes(&span.attributes)
        + events
        + size_of_val(&*span.links)
        + span.trace_state.as_ref().map_or(0, |state| state.len())
        + description
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
    /// The queues of each [`ExportSet`].
    sets: Vec<Vec<Arc<Queue>>>,
    /// Spans whose set is empty.
    nowhere: AtomicU64,
}

impl Exports {
    /// Starts a thread for each destination. Settings are read and files opened here: what is wrong with them is an
    /// error now. A collector that does not answer is none; it may come later.
    pub fn start(routes: &Routes, clock: Arc<Clock>) -> Result<Self, ExportError> {
        let share = |all: usize| all.min(all * FULL_QUEUES / routes.exporters.len().max(1));
        let bound = Bound { spans: share(QUEUE.spans), bytes: share(QUEUE.bytes) };
        let mut queues: Vec<Arc<Queue>> = Vec::with_capacity(routes.exporters.len());
        for Exporter { destination, headers } in &routes.exporters {
            let queue = Arc::new(Queue::new(unused_name(destination, &queues), bound));
            let worker = Arc::clone(&queue);
            let variable = |name: &str| std::env::var(name).ok();
            match destination {
                Destination::Otlp(target) => {
                    deliver(Settings::otlp(target, headers, variable)?, &queue)?;
                }
                Destination::Zipkin(url) => {
                    deliver(Settings::zipkin(url.as_deref(), headers, variable)?, &queue)?;
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
        let set =
            |indices: &Vec<usize>| indices.iter().filter_map(|index| queues.get(*index).cloned()).collect();
        let sets = routes.sets().iter().map(set).collect();
        Ok(Self { clock, queues, sets, nowhere: AtomicU64::new(0) })
    }

    /// Hands each span to the destinations of its set. Never waits; what does not fit is counted as dropped.
    pub fn hand_over(&self, mut spans: Vec<Exported>) {
        let offset = self.clock.refresh();
        // All of one set are one batch: nearly always that is all there is.
        while let Some(to) = spans.first().map(|first| first.to) {
            let others = if spans.iter().all(|span| span.to == to) {
                Vec::new()
            } else {
                spans.extract_if(.., |span| span.to != to).collect()
            };
            let queues = self.sets.get(to.index()).map_or(&[][..], Vec::as_slice);
            if queues.is_empty() {
                self.nowhere.fetch_add(spans.len() as u64, Ordering::Relaxed);
            } else {
                let batch = Arc::new(Batch { offset, spans });
                queues.iter().for_each(|queue| queue.push(&batch));
            }
            spans = others;
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
            let counts = queue.counts();
            if counts.dropped_total() > 0 {
                let (dropped, of) = (counts.dropped_total(), counts.handed_in);
                let why = counts.why_dropped();
                tracing::warn!(
                    destination = queue.name(),
                    "{dropped} of {of} spans were not exported: {why}"
                );
            }
        }
    }

    /// Spans that were handed over and are for no destination (`export: []`).
    pub fn nowhere(&self) -> u64 {
        self.nowhere.load(Ordering::Relaxed)
    }

    /// The counts of each destination, under its name.
    pub fn counts(&self) -> impl Iterator<Item = (&str, Counts)> {
        self.queues.iter().map(|queue| (queue.name(), queue.counts()))
    }
}

/// The name of a destination in logs and counts. Tenants of one backend are numbered: their headers may be secrets, as
/// may the query of an address.
fn unused_name(destination: &Destination, others: &[Arc<Queue>]) -> String {
    let mut name = destination.to_string();
    if destination.has_headers() {
        name.truncate(name.find('?').unwrap_or(name.len()));
    }
    let numbered = (2..).map(|number| format!("{name} #{number}"));
    let is_used = |name: &String| others.iter().any(|queue| queue.name() == name);
    std::iter::once(name.clone()).chain(numbered).find(|name| !is_used(name)).unwrap_or(name.clone())
}

/// Starts the delivery to a backend.
fn deliver(settings: Settings, queue: &Arc<Queue>) -> Result<(), ExportError> {
    let delivery = Delivery::new(settings)?;
    let worker = Arc::clone(queue);
    spawn(queue, async move || delivery.run(&worker).await)
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
