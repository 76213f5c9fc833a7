//! One connection of HTTP/2 that is never idle, between programs of different libraries. Every request has its number
//! in `from`, a name that is in the static table, so that it is known whenever it was sent.

use std::process::Command;

use super::{built, go_compiler};
use crate::{
    free_port,
    late::Log,
    process::{Process, output},
    wait::LONG,
    workload_file,
};

/// An implementation of HTTP/2 with an encoder of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Library {
    /// Go's: every field goes through the header table.
    Go,
    /// Node's, which is nghttp2's: paths are literals, other fields go through the table.
    Node,
}

/// A client in the middle of its requests.
pub struct Busy {
    pub server: Process,
    pub client: Process,
}

impl Busy {
    pub fn start(client: Library, server: Library) -> Self {
        let port = free_port().to_string();
        let mut server = Process::start("busy server", server.command().args(["server", &port]));
        server.wait_for("listening", LONG);
        let mut client = Process::start("busy client", client.command().args(["client", &port]));
        client.wait_for("busy", LONG);
        Self { server, client }
    }

    /// Lets the client make so many more requests and end; what the server wrote, and the number of the last request.
    pub fn finish(&mut self, more: usize) -> (Log, u64) {
        self.client.write(format!("{more}\n").as_bytes());
        let status = self.client.wait(LONG * 3);
        let said = self.client.stdout();
        let last = said.lines().find_map(|line| line.strip_prefix("done ")?.parse().ok());
        assert!(status.success() && last.is_some(), "{}", self.client.log());
        (Log::parse(&self.server.stdout()), last.unwrap_or_default())
    }
}

impl Library {
    /// The program, without its arguments `server PORT` or `client PORT [REQUESTS]`.
    pub fn command(self) -> Command {
        match self {
            Self::Go => {
                let source = workload_file("busy/peer.go");
                let text =
                    std::fs::read(&source).unwrap_or_else(|e| panic!("read {}: {e}", source.display()));
                let directory = built(&text, |directory| {
                    let mut go = Command::new(go_compiler());
                    go.env("GO111MODULE", "off").args(["build", "-ldflags=-s -w", "-o"]);
                    output("go build", go.arg(directory.join("peer")).arg(&source));
                });
                Command::new(directory.join("peer"))
            }
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(workload_file("busy/peer.js"));
                command
            }
        }
    }
}
