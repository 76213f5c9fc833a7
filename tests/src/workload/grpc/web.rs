//! gRPC-Web by connect-go, over HTTP/1.1 and HTTP/2.

use std::process::Command;

use super::{Pair, go_program};
use crate::{free_port, process::Process, wait::LONG};

/// Both roles, with the methods of `service`, over the HTTP of this version.
pub fn start(service: &str, version: &str) -> Pair {
    pair(service, version, None)
}

/// The same with few calls: for captures.
pub fn few(service: &str, version: &str) -> Pair {
    pair(service, version, Some("10"))
}

fn pair(service: &str, version: &str, calls: Option<&str>) -> Pair {
    let (program, port) = (go_program("grpc/web", &["go.mod", "go.sum", "web.go"]), free_port().to_string());
    let role = |role: &str, ready: &str| {
        let mut command = Command::new(&program);
        command.args([role, &port, service, version]).env("OTEL_SERVICE_NAME", role);
        command.envs(calls.map(|calls| ("CALLS", calls)));
        let mut process = Process::start(role, &mut command);
        process.wait_for(ready, LONG);
        process
    };
    let server = role("server", "listening");
    Pair { server, client: role("client", "ready") }
}
