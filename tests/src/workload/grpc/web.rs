//! gRPC-Web over HTTP/1.1, by connect-go.

use std::process::Command;

use super::{Pair, go_program};
use crate::{free_port, process::Process, wait::LONG};

/// Both roles, with the methods of `service`.
pub fn start(service: &str) -> Pair {
    let (program, port) = (go_program("grpc/web", &["go.mod", "go.sum", "web.go"]), free_port().to_string());
    let role = |role: &str, ready: &str| {
        let mut command = Command::new(&program);
        command.args([role, &port, service]).env("OTEL_SERVICE_NAME", role);
        let mut process = Process::start(role, &mut command);
        process.wait_for(ready, LONG);
        process
    };
    let server = role("server", "listening");
    Pair { server, client: role("client", "ready") }
}
