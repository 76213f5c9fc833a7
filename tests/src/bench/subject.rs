//! What is measured: a server, and the load that it is put under.

use std::{process::Command, time::Duration};

use super::{CONNECTIONS, Pace, Plan, RATE, STREAMS};
use crate::{
    TempDir,
    process::{Process, output},
    wait::LONG,
    workload::{Family, grpc::Peer, http2, nginx},
};

/// Bytes of the file, and of the gRPC message with its prefix.
pub(super) const FILE: usize = 100;
pub(super) const MESSAGE: usize = 32;
const PREFIX: [u8; 5] = [0, 0, 0, 0, MESSAGE as u8];

/// A protocol, with a server of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// nginx, one request at a time on each connection.
    Http1,
    /// nginx, several streams on each connection.
    Http2,
    /// grpc-go, several calls at a time on each connection.
    Grpc,
}

/// A server that listens.
pub(super) struct Target {
    pub(super) process: Process,
    address: String,
    /// What it serves, or is sent; gone with it.
    directory: TempDir,
}

/// How many requests were answered, and how many a second.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outcome {
    pub(super) requests: u64,
    pub(super) rate: f64,
}

/// A load that begins when it is called.
pub(super) type Load = Box<dyn FnOnce() -> Outcome>;

impl Subject {
    /// Those that are measured.
    pub const ALL: [Self; 3] = [Self::Http1, Self::Http2, Self::Grpc];

    /// What it is called in the tables.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
            Self::Grpc => "gRPC",
        }
    }

    /// Starts the server.
    pub(super) fn serve(self) -> Target {
        if self == Self::Http1 {
            let server = nginx(Family::Tcp);
            let address = server.address.to_string();
            return Target { process: server.process, address, directory: server.directory };
        }
        let directory = TempDir::new();
        let message = [&PREFIX[..], &[b'x'; MESSAGE]].concat();
        directory.write("file", &"x".repeat(FILE));
        directory.write("message", &String::from_utf8_lossy(&message));
        let (process, port) = match self {
            Self::Grpc => Peer::Go.serve("shop.Cart"),
            Self::Http1 | Self::Http2 => http2::nginx(&directory),
        };
        Target { process, address: format!("127.0.0.1:{port}"), directory }
    }

    /// How many requests keep the server busy for a time. h2load is told a number, not a time: what it leaves
    /// unanswered at the end of a time would be spans that no count of it names.
    pub(super) fn requests(self, seconds: u64) -> u64 {
        const TRIAL: u64 = 20_000;
        if self == Self::Http1 {
            return u64::MAX;
        }
        let target = self.serve();
        (h2load(self.command(&target, TRIAL, None), TRIAL, self.body()).rate * seconds as f64) as u64
    }

    /// Makes a load ready. `requests` is that of a saturated server.
    pub(super) fn load(self, plan: &Plan, target: &Target, pace: Pace, requests: u64) -> Load {
        let (requests, rate) = match pace {
            Pace::Saturated => (requests, None),
            Pace::Fixed => (RATE * plan.seconds, Some(RATE)),
        };
        if self == Self::Http1 {
            return keep_alive(plan, target, rate);
        }
        let command = self.command(target, requests, rate);
        Box::new(move || h2load(command, requests, self.body()))
    }

    fn command(self, target: &Target, requests: u64, rate: Option<u64>) -> Command {
        let mut command = Command::new("h2load");
        command.args(["-n", &requests.to_string()]);
        command.args(["-c", &CONNECTIONS.to_string(), "-m", &STREAMS.to_string()]);
        if let Some(rate) = rate {
            command.args(["--rps", &(rate / CONNECTIONS).to_string()]);
        }
        if self == Self::Grpc {
            command.args(["-H", "content-type: application/grpc", "-H", "te: trailers", "-d"]);
            command.arg(target.directory.path().join("message"));
        }
        let path = if self == Self::Grpc { "shop.Cart/Unary" } else { "file" };
        command.arg(format!("http://{}/{path}", target.address));
        command
    }

    /// Bytes of the answer's body.
    fn body(self) -> usize {
        if self == Self::Grpc { PREFIX.len() + MESSAGE } else { FILE }
    }
}

fn keep_alive(plan: &Plan, target: &Target, rate: Option<u64>) -> Load {
    let mut command = Command::new(&plan.program);
    command.args(["--load", &target.address, "/file", "requests=1000000000"]);
    command.args([format!("connections={CONNECTIONS}"), format!("seconds={}", plan.seconds)]);
    command.args(rate.map(|rate| format!("rate={rate}")));
    let mut load = Process::start("load", &mut command);
    load.wait_for("ready", LONG);
    let limit = Duration::from_secs(plan.seconds) + LONG;
    Box::new(move || {
        load.write(b"\n");
        let status = load.wait(limit);
        assert!(status.success(), "the load failed\n{}", load.log());
        let said = load.stdout();
        let number = |key: &str| -> u64 {
            let value = said.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {said:?}"))
        };
        let requests = number("succeeded");
        Outcome { requests, rate: requests as f64 / (number("elapsed_ns") as f64 / 1e9) }
    })
}

/// Every request has to be answered, and with a body of this length: an error of gRPC has none.
pub(super) fn h2load(mut command: Command, requests: u64, body: usize) -> Outcome {
    let said = output("h2load", &mut command);
    let bodies = format!("({}) data", requests * body as u64);
    assert!(said.contains(&format!(" {requests} succeeded,")) && said.contains(&bodies), "{said}");
    let rate = said.lines().find_map(|line| {
        line.strip_prefix("finished in ")?.split_once(", ")?.1.split_once(" req/s")?.0.parse().ok()
    });
    Outcome { requests, rate: rate.unwrap_or_else(|| panic!("no rate in {said}")) }
}
