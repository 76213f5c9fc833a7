//! Live tests: real probes, real clients and servers, spans read back. Run as root, by `cargo xtask test`.
//!
//! `smoke_*` need python3 and curl only, and run in small guests too. A test is one sentence about what is seen of
//! unmodified programs; its spans are found by a token in their paths, which no other program on the machine uses.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests: a panic is how they fail")]

use std::{path::Path, process::Command};

use acceptance::{
    process::{Process, output},
    wait::wait_until,
    workload::Server,
};

/// Takes the machine for one test, or ends the test where nothing can be traced.
macro_rules! live {
    () => {
        match acceptance::live() {
            Some(machine) => machine,
            None => return,
        }
    };
}

mod between;
mod doctor;
mod endings;
mod exact;
mod export;
mod grpc;
mod harness;
mod http2;
mod http2_content;
mod http2_peers;
mod kill;
mod late;
mod links;
mod messages;
mod namespaces;
mod programs;
mod quiet;
mod replay;
mod run;
mod sampling;
mod secrets;
mod selectors;
mod smoke;
mod threads;
mod unseen;
mod web;

/// curl with a service name, its answer checked.
fn curl(arguments: &[&str]) {
    curl_by(Command::new("curl"), arguments);
}

fn curl_by(mut command: Command, arguments: &[&str]) {
    command.args(["-sS", "--fail", "--max-time", "20"]).args(arguments).env("OTEL_SERVICE_NAME", "curl");
    assert_eq!(output("curl", &mut command), "ok\n");
}

/// curl to a server, over whichever socket that listens on.
fn curl_to(server: &Server, path: &str) {
    match &server.address {
        acceptance::http::Address::Tcp(address) => curl(&[&format!("http://{address}{path}")]),
        acceptance::http::Address::Unix(socket) => {
            curl(&["--unix-socket", &socket.to_string_lossy(), &format!("http://localhost{path}")]);
        }
    }
}

/// Waits until so many threads of a process sleep, in a read: what they were doing is done.
fn wait_for_sleepers(process: &Process, threads: usize) {
    wait_until("the threads of the server sleep", acceptance::wait::LONG, || {
        let Ok(tasks) = Path::new(&format!("/proc/{}/task", process.pid())).read_dir() else { return false };
        let states: Vec<_> = tasks.flatten().filter_map(|task| state(&task.path())).collect();
        states.len() == threads && states.iter().all(|state| state == "S")
    });
}

fn state(task: &Path) -> Option<String> {
    let stat = std::fs::read_to_string(task.join("stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().next().map(str::to_owned)
}
