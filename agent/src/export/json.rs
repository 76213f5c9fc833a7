//! JSON: OTLP/JSON lines, one `ExportTraceServiceRequest` a line (the format of the Collector's file exporter).
//!
//! A request is encoded once, as for a collector, and printed by the generated types, which know the rules of
//! OTLP/JSON: ids in hexadecimal, 64-bit integers as strings, names in camel case.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    time::Duration,
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::{
    delivery::Request,
    encode::Encoder,
    queue::{Batching, Queue, Reason},
};

/// Lines are written this soon, for who reads them as they come.
const BATCHING: Batching = Batching { spans: 1024, wait: Duration::from_millis(200) };

/// Lines stay short enough for programs that read them one at a time.
const LINE_BYTES: usize = 1024 * 1024;

/// Opens the file to append to; `-` is standard output.
pub(super) fn open(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdout()));
    }
    Ok(Box::new(OpenOptions::new().create(true).append(true).open(path)?))
}

/// Writes what is queued until the queue is closed.
pub(super) async fn run(file: impl Write, queue: &Queue) {
    let mut lines = Lines { file, failing: false };
    let mut encoder = Encoder::new(LINE_BYTES);
    while let Some(chunks) = queue.next(BATCHING).await {
        let (requests, too_large) = encoder.requests(chunks);
        queue.drop_taken(Reason::TooLarge, too_large);
        for request in requests {
            lines.write(&request, queue);
        }
    }
}

struct Lines<W> {
    file: W,
    failing: bool,
}

impl<W: Write> Lines<W> {
    fn write(&mut self, Request { body, spans }: &Request, queue: &Queue) {
        let (spans, torn) = (*spans, self.failing);
        match line(body, torn).and_then(|line| self.file.write_all(&line)).and_then(|()| self.file.flush()) {
            Ok(()) => {
                queue.accept(spans);
                self.failing = false;
            }
            Err(error) => {
                queue.drop_taken(Reason::Write, spans);
                if !self.failing {
                    tracing::warn!(
                        destination = queue.name(),
                        "cannot write spans, they are dropped: {error}"
                    );
                }
                self.failing = true;
            }
        }
    }
}

/// A line; after one that was cut off by an error, it begins with the missing end of that.
fn line(body: &[u8], torn: bool) -> io::Result<Vec<u8>> {
    let request = ExportTraceServiceRequest::decode(body).map_err(io::Error::other)?;
    let mut line = if torn { b"\n".to_vec() } else { Vec::new() };
    serde_json::to_writer(&mut line, &request)?;
    line.push(b'\n');
    Ok(line)
}
