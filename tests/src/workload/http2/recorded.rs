//! Programs of which a small conversation is recorded: each is both a server and a client of HTTP/2 without TLS.

use std::{fs, process::Command};

use crate::{
    free_port,
    process::{Process, output},
    program,
    wait::LONG,
    workload::{built, go_compiler},
    workload_file,
};

/// A program whose client asks its server for a few things of every kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// net/http.
    Go,
    Hyper,
    /// Node's http2.
    Node,
}

impl Peer {
    /// A server that listens, and a client that begins when it is sent a line.
    pub fn pair(self) -> (Process, Process) {
        let port = free_port().to_string();
        let mut server = Process::start("HTTP/2 server", self.command().args(["server", &port]));
        server.wait_for("listening", LONG);
        let mut client = Process::start("HTTP/2 client", self.command().args(["client", &port]));
        client.wait_for("ready", LONG);
        (server, client)
    }

    fn command(self) -> Command {
        match self {
            Self::Hyper => Command::new(program("http2-recorded")),
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(workload_file("http2/recorded.js"));
                command
            }
            Self::Go => {
                let source = workload_file("http2/recorded.go");
                let text = fs::read(&source).unwrap_or_else(|e| panic!("read {}: {e}", source.display()));
                let directory = built(&text, |directory| {
                    let mut go = Command::new(go_compiler());
                    go.args(["build", "-o"]).arg(directory.join("peer"));
                    output("go build", go.arg(&source).env("GO111MODULE", "off"));
                });
                Command::new(directory.join("peer"))
            }
        }
    }
}
