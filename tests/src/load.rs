//! Load: so many requests over so many connections, every response checked.

pub mod command;

use std::{
    io::{self, Read, Write},
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::http::{Address, Stream};

/// What to send. In `target`, `{status}` becomes the status expected and `{n}` the request's number.
#[derive(Clone, Debug)]
pub struct Load {
    pub address: Address,
    pub target: String,
    pub requests: u64,
    pub connections: u64,
    /// A new connection for each request.
    pub reconnect: bool,
    /// Methods, taken in turn.
    pub methods: Vec<String>,
    /// Requests written at once before their responses are read.
    pub pipeline: u64,
    /// Ends earlier, after this time.
    pub duration: Option<Duration>,
    /// Requests a second over all connections; none: as fast as they go.
    pub rate: Option<u64>,
    /// A `traceparent` made by hand on each request, its ids from the request's number.
    pub traceparent: bool,
    /// The statuses that responses must have, taken in turn.
    pub expect: Vec<u16>,
}

impl Load {
    pub fn new(address: Address, target: &str) -> Self {
        Self {
            address,
            target: target.to_owned(),
            requests: 1,
            connections: 1,
            reconnect: false,
            methods: vec!["GET".to_owned()],
            pipeline: 1,
            duration: None,
            rate: None,
            traceparent: false,
            expect: vec![200],
        }
    }
}

/// How it went: `failed` has the first reasons.
#[derive(Debug, Default)]
pub struct Outcome {
    pub succeeded: u64,
    pub failed: Vec<String>,
    pub elapsed: Duration,
}

impl Outcome {
    pub fn rate(&self) -> f64 {
        self.succeeded as f64 / self.elapsed.as_secs_f64()
    }
}

/// Trace and span id that request `number` carries.
pub fn made_ids(number: u64) -> (String, String) {
    (
        format!("{:016x}{:016x}", 0x5ba9_d2e1_0000_0000_u64 ^ number, number + 1),
        format!("{:016x}", number + 1),
    )
}

/// The method of request `number`.
pub fn method(load: &Load, number: u64) -> &str {
    &load.methods[(number % load.methods.len() as u64) as usize]
}

/// The status that the response to request `number` must have.
pub fn status(load: &Load, number: u64) -> u16 {
    load.expect[(number % load.expect.len() as u64) as usize]
}

/// The target of request `number`.
pub fn target(load: &Load, number: u64) -> String {
    load.target.replace("{status}", &status(load, number).to_string()).replace("{n}", &number.to_string())
}

/// Sends it all; returns when the last response is in.
pub fn run(load: &Load) -> Outcome {
    let next = AtomicU64::new(0);
    let start = Instant::now();
    let outcomes: Vec<Outcome> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..load.connections).map(|_| scope.spawn(|| worker(load, &next, start))).collect();
        workers.into_iter().map(|worker| worker.join().expect("a worker of the load panicked")).collect()
    });
    let mut total = Outcome { elapsed: start.elapsed(), ..Outcome::default() };
    for outcome in outcomes {
        total.succeeded += outcome.succeeded;
        total.failed.extend(outcome.failed);
    }
    total
}

fn worker(load: &Load, next: &AtomicU64, start: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    let mut wire = None;
    let mut request = Vec::new();
    loop {
        let first = next.fetch_add(load.pipeline, Ordering::Relaxed);
        if first >= load.requests || load.duration.is_some_and(|duration| start.elapsed() >= duration) {
            return outcome;
        }
        if let Some(rate) = load.rate {
            let due = start + Duration::from_nanos(first.saturating_mul(1_000_000_000) / rate);
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        let numbers = first..load.requests.min(first + load.pipeline);
        match exchange(load, &mut wire, &mut request, numbers.clone()) {
            Ok(()) => outcome.succeeded += numbers.end - numbers.start,
            Err(e) => {
                outcome.failed.push(format!("requests {numbers:?}: {e}"));
                wire = None;
            }
        }
        if load.reconnect {
            wire = None;
        }
    }
}

fn exchange(
    load: &Load,
    wire: &mut Option<Wire>,
    request: &mut Vec<u8>,
    numbers: std::ops::Range<u64>,
) -> io::Result<()> {
    let wire = match wire {
        Some(wire) => wire,
        None => wire.insert(Wire {
            stream: Stream::connect(&load.address)?,
            buffer: vec![0; 64 << 10],
            filled: 0,
        }),
    };
    request.clear();
    for number in numbers.clone() {
        compose(load, number, request);
    }
    wire.stream.write_all(request)?;
    numbers
        .into_iter()
        .try_for_each(|number| wire.response(status(load, number), method(load, number) == "HEAD"))
}

fn compose(load: &Load, number: u64, request: &mut Vec<u8>) {
    request.extend_from_slice(method(load, number).as_bytes());
    request.push(b' ');
    request.extend_from_slice(target(load, number).as_bytes());
    request.extend_from_slice(b" HTTP/1.1\r\nHost: test\r\n");
    if matches!(method(load, number), "POST" | "PUT" | "PATCH") {
        request.extend_from_slice(b"Content-Length: 4\r\n");
    }
    if load.reconnect {
        request.extend_from_slice(b"Connection: close\r\n");
    }
    if load.traceparent {
        let (trace, span) = made_ids(number);
        request.extend_from_slice(format!("traceparent: 00-{trace}-{span}-01\r\n").as_bytes());
    }
    request.extend_from_slice(b"\r\n");
    if matches!(method(load, number), "POST" | "PUT" | "PATCH") {
        request.extend_from_slice(b"body");
    }
}

/// A connection of the load: reads responses with a Content-Length, without an allocation each.
struct Wire {
    stream: Stream,
    buffer: Vec<u8>,
    filled: usize,
}

impl Wire {
    fn response(&mut self, expect: u16, bodiless: bool) -> io::Result<()> {
        let head = loop {
            if let Some(at) = self.buffer[..self.filled].windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            self.fill()?;
        };
        let text = std::str::from_utf8(&self.buffer[..head]).map_err(|e| fault(format!("head: {e}")))?;
        let status = text.get(9..12).and_then(|digits| digits.parse::<u16>().ok());
        if status != Some(expect) || !text.starts_with("HTTP/1.1 ") {
            return Err(fault(format!("response {:?}", text.lines().next())));
        }
        let length = text
            .lines()
            .find_map(|line| {
                line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            })
            .and_then(|(_, value)| value.trim().parse::<usize>().ok())
            .ok_or_else(|| fault("a response without a Content-Length".to_owned()))?;
        let end = head + if bodiless { 0 } else { length };
        while self.filled < end {
            self.fill()?;
        }
        self.buffer.copy_within(end..self.filled, 0);
        self.filled -= end;
        Ok(())
    }

    fn fill(&mut self) -> io::Result<()> {
        if self.filled == self.buffer.len() {
            return Err(fault("a response larger than the load's buffer".to_owned()));
        }
        match self.stream.read(&mut self.buffer[self.filled..])? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                self.filled += length;
                Ok(())
            }
        }
    }
}

fn fault(message: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
