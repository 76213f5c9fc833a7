//! Proxies of HTTP/2 without TLS, on both of their sides.

use std::{fs, net::TcpStream, process::Command};

use crate::{
    TempDir, free_port,
    http::Address,
    process::Process,
    wait::{LONG, wait_until},
    workload::Server,
    workload_file,
};

/// A started proxy; what it was told lies in the directory.
pub struct Between {
    pub process: Process,
    pub port: u16,
    directory: TempDir,
}

impl From<Between> for Server {
    fn from(Between { process, port, directory }: Between) -> Self {
        Self { process, address: Address::loopback(port), directory }
    }
}

/// HAProxy in front of a port.
pub fn haproxy(backend: u16) -> Between {
    start("haproxy", &["-db", "-f"], "haproxy.cfg", backend, "")
}

/// nginx with `grpc_pass` to a port.
pub fn nginx(backend: u16) -> Between {
    nginx_that_answers(backend, "")
}

/// The same, with directives that answer some requests before.
pub fn nginx_that_answers(backend: u16, answers: &str) -> Between {
    start("nginx", &["-e", "stderr", "-c"], "nginx.conf", backend, answers)
}

fn start(program: &str, arguments: &[&str], template: &str, backend: u16, answers: &str) -> Between {
    let (directory, port) = (TempDir::new(), free_port());
    let source = workload_file("between").join(template);
    let text = fs::read_to_string(&source).unwrap_or_else(|e| panic!("read {}: {e}", source.display()));
    let text = text
        .replace("@directory@", &directory.path().to_string_lossy())
        .replace("@port@", &port.to_string())
        .replace("@backend@", &backend.to_string())
        .replace("@answers@", answers);
    let mut command = Command::new(program);
    command.args(arguments).arg(directory.write(template, &text)).env("OTEL_SERVICE_NAME", "between");
    let process = Process::start(program, &mut command);
    wait_until("the proxy listens", LONG, || TcpStream::connect(("127.0.0.1", port)).is_ok());
    if program == "nginx" {
        process.wait_for_worker();
    }
    Between { process, port, directory }
}
