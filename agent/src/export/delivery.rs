//! Delivery: requests to a backend, over HTTP or gRPC, until each is settled.
//!
//! A request has all Resources of a batch. One that the backend cannot take now waits, which is what fills the queue;
//! nothing else holds spans. What the backend refuses for good is counted and never sent again.

use std::time::Duration;

pub(super) use self::settings::Settings;
pub use self::settings::SettingsError;
use self::{outcome::Outcome, retry::Backoff, settings::Protocol, transport::Transport};
use super::{
    encode,
    queue::{Batching, Chunk, Queue, Reason},
    zipkin,
};

mod compression;
mod outcome;
mod resolve;
mod retry;
mod settings;
mod tls;
mod transport;

/// Requests stay below what a collector takes by default (gRPC: 4 MiB), with room for the framing around them.
const REQUEST_BYTES: usize = 4 * 1024 * 1024 - 64 * 1024;

/// A request is sent when this many spans wait, or when the oldest has waited this long; it then takes all that wait.
const BATCHING: Batching = Batching { spans: 2048, wait: Duration::from_secs(1) };

/// A request, encoded.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) body: Vec<u8>,
    /// Spans in it.
    pub(super) spans: u64,
}

/// Sends to one backend.
pub(super) struct Delivery {
    transport: Transport,
    encoder: Encoder,
    log: Log,
}

/// Makes requests of spans, in the language of the backend.
enum Encoder {
    Otlp(encode::Encoder),
    Zipkin(zipkin::Encoder),
}

impl Encoder {
    fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::HttpProtobuf | Protocol::Grpc => Self::Otlp(encode::Encoder::new(REQUEST_BYTES)),
            Protocol::Zipkin => Self::Zipkin(zipkin::Encoder::new(REQUEST_BYTES)),
        }
    }

    /// As few requests as hold the chunks, and how many spans fit in none.
    fn requests(&mut self, chunks: Vec<Chunk>) -> (Vec<Request>, u64) {
        match self {
            Self::Otlp(encoder) => encoder.requests(chunks),
            Self::Zipkin(encoder) => encoder.requests(chunks),
        }
    }
}

impl Delivery {
    pub(super) fn new(settings: Settings) -> Result<Self, SettingsError> {
        let log = Log { endpoint: settings.address(), state: State::Fresh };
        let encoder = Encoder::new(settings.protocol);
        Ok(Self { transport: Transport::new(settings)?, encoder, log })
    }

    /// Delivers what is queued until the queue is closed.
    pub(super) async fn run(mut self, queue: &Queue) {
        while let Some(chunks) = queue.next(BATCHING).await {
            let (requests, too_large) = self.encoder.requests(chunks);
            queue.drop_taken(Reason::TooLarge, too_large);
            for request in requests {
                self.deliver(request, queue).await;
            }
        }
    }

    /// Sends one request until it is settled. No limit on the tries: the bound of the queue is the limit.
    async fn deliver(&mut self, Request { body, spans }: Request, queue: &Queue) {
        let body = self.transport.prepare(body);
        let mut backoff = Backoff::default();
        while !queue.is_closed() {
            match self.transport.send(body.clone()).await {
                Outcome::Accepted { rejected, message } => {
                    // A collector that claims to have rejected more than it was sent is not believed.
                    let rejected = rejected.min(spans);
                    self.log.delivered(rejected, &message, queue);
                    queue.accept(spans - rejected);
                    queue.drop_taken(Reason::Rejected, rejected);
                    return;
                }
                Outcome::Refused { error } => {
                    self.log.failed(&error, "these spans are dropped", queue);
                    queue.drop_taken(Reason::Refused, spans);
                    return;
                }
                Outcome::Retry { after, error } => {
                    self.log.failed(&error, "spans are kept until the queue is full", queue);
                    queue.back_off(backoff.next(after)).await;
                }
            }
        }
    }
}

/// One line when delivery begins to fail and one when it works again, however many requests that takes.
#[derive(Debug)]
struct Log {
    endpoint: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Fresh,
    Working,
    Rejecting,
    Failing,
}

impl Log {
    fn failed(&mut self, error: &str, consequence: &str, queue: &Queue) {
        if self.state != State::Failing {
            tracing::warn!(
                destination = queue.name(),
                endpoint = self.endpoint,
                "cannot export: {error}; {consequence}"
            );
            self.state = State::Failing;
        }
    }

    fn delivered(&mut self, rejected: u64, message: &str, queue: &Queue) {
        if self.state == State::Failing {
            let dropped = queue.counts().dropped_total();
            tracing::info!(destination = queue.name(), endpoint = self.endpoint, dropped, "exporting again");
        }
        if rejected == 0 {
            if !message.is_empty() && self.state != State::Working {
                tracing::warn!(
                    destination = queue.name(),
                    endpoint = self.endpoint,
                    "the collector says: {message}"
                );
            }
            self.state = State::Working;
        } else if self.state != State::Rejecting {
            let endpoint = &self.endpoint;
            tracing::warn!(
                destination = queue.name(),
                endpoint,
                rejected,
                "the collector rejected spans: {message}"
            );
            self.state = State::Rejecting;
        }
    }
}

#[cfg(test)]
mod tests;
