//! HTTP/2 of three languages' own libraries: each program is a server and a client of the same requests.

use std::{net::TcpStream, process::Command};

use super::super::go;
use crate::{
    free_port,
    process::Process,
    program,
    wait::{LONG, wait_until},
    workload_file,
};

/// An implementation of HTTP/2, in both roles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// net/http.
    Go,
    Hyper,
    /// node:http2.
    Node,
}

impl Peer {
    pub const ALL: [Self; 3] = [Self::Go, Self::Hyper, Self::Node];

    /// What is second in the paths of requests to it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Hyper => "hyper",
            Self::Node => "node",
        }
    }

    fn command(self) -> Command {
        match self {
            Self::Go => Command::new(go(&workload_file("http2/peer.go"))),
            Self::Hyper => Command::new(program("http2-peer")),
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(workload_file("http2/peer.js"));
                command
            }
        }
    }

    /// A server that listens, and its port.
    pub fn serve(self) -> (Process, u16) {
        let port = free_port();
        let mut command = self.command();
        let mut server = Process::start(
            self.name(),
            command.args(["server", &port.to_string()]).env(SERVICE, self.name()),
        );
        server.wait_for("listening", LONG);
        wait_until("the server listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
        (server, port)
    }

    /// A client that has not sent anything to these servers yet, nor connected.
    pub fn client(self, token: &str, servers: &[(Self, u16)]) -> Process {
        let mut command = self.command();
        command.args(["client", token]).env(SERVICE, "client");
        command.args(servers.iter().map(|(server, port)| format!("{}={port}", server.name())));
        let mut client = Process::start("client", &mut command);
        client.wait_for("ready", LONG);
        client
    }
}

const SERVICE: &str = "OTEL_SERVICE_NAME";

/// Lets a client send its requests. It checks the answers itself.
pub fn call(client: &mut Process) {
    client.write(b"call\n");
    let status = client.wait(LONG);
    assert!(status.success() && client.stdout().contains("done"), "{}", client.log());
}
