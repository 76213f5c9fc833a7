//! `spandrel run` is as good as not there: input, output, signals and the exit status pass through it.

use std::{os::unix::process::ExitStatusExt, process::Command};

use acceptance::{
    free_port,
    process::Process,
    spandrel::{Running, binary, run},
    token,
    wait::LONG,
    workload::{Family, Language, application, python},
};

#[test]
fn run_ends_with_the_status_of_the_command() {
    let _machine = live!();
    assert_eq!(run(&["sh", "-c", "exit 37"]).status.code(), Some(37));
    assert_eq!(run(&["true"]).status.code(), Some(0));
    let killed = run(&["sh", "-c", "kill -KILL $$"]).status;
    assert!(killed.code() == Some(137) || killed.signal() == Some(9), "{killed:?}");
}

#[test]
fn run_says_what_it_cannot_start_and_ends_with_127() {
    let _machine = live!();
    let run = run(&["/nonexistent/program"]);
    assert_eq!(run.status.code(), Some(127), "{}", run.stderr);
    assert!(run.stderr.contains("/nonexistent/program"), "{}", run.stderr);
}

#[test]
fn run_says_how_many_spans_a_collector_that_is_not_there_did_not_get() {
    let _machine = live!();
    let server = application(Language::Python, Family::Tcp, "server");
    let mut command = Command::new(binary());
    command.args(["run", "--export", &format!("otlp=http://127.0.0.1:{}", free_port())]);
    command.args(["--", "curl", "-sS", &format!("http://{}/", server.address)]);
    let mut process = Process::start("spandrel run", &mut command);
    let status = process.wait(LONG);
    let said = process.stderr();
    assert_eq!((status.code(), process.stdout().as_str()), (Some(0), "ok\n"), "{said}");
    assert!(said.contains("cannot export"), "{said}");
    assert!(said.contains("1 of 1 spans were not exported: shutdown 1"), "{said}");
}

#[test]
fn run_passes_input_and_both_outputs() {
    let _machine = live!();
    let mut running = Running::start(&["sh", "-c", "cat; echo to-stderr >&2"]);
    running.process.write(b"one\ntwo\n");
    let run = running.finish();
    assert_eq!(run.stdout, "one\ntwo\n");
    assert!(run.stderr.contains("to-stderr"), "{}", run.stderr);
}

#[test]
fn run_passes_signals_to_the_command() {
    let _machine = live!();
    let script = "trap 'echo got-term; exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let mut running = Running::start(&["sh", "-c", script]);
    running.process.wait_for("ready", LONG * 3);
    running.process.signal(libc::SIGTERM);
    let run = running.finish();
    assert!(
        run.stdout.contains("got-term") && run.status.code() == Some(5),
        "{:?} {}",
        run.status,
        run.stdout
    );
}

#[test]
fn a_client_that_lives_for_milliseconds_is_traced() {
    let _machine = live!();
    let server = application(Language::Go, Family::Tcp, "server");
    let acceptance::http::Address::Tcp(address) = &server.address else { panic!("not a TCP address") };
    let token = token();
    // A shell that speaks HTTP by itself: it connects a millisecond or two after it was started.
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{}; printf 'GET /{token} HTTP/1.1\\r\\nHost: t\\r\\nConnection: close\\r\\n\\r\\n' >&3; cat <&3",
        address.port()
    );
    let run = run(&["bash", "-c", &script]);
    assert!(run.stdout.contains("200 OK"), "{}\n{}", run.stdout, run.stderr);
    let spans: Vec<_> = run.spans.iter().filter(|span| span.target().contains(&token)).collect();
    assert_eq!(spans.len(), 1, "{spans:#?}\n{}", run.stderr);
    assert_eq!(spans[0].code(), Some(200));
}

#[test]
fn descendants_of_the_command_are_traced() {
    let _machine = live!();
    let server = application(Language::Go, Family::Tcp, "server");
    let token = token();
    let url = |n: u32| format!("http://{}/{token}/{n}", server.address);
    let code = format!(
        "import os, subprocess, urllib.request\nsubprocess.run(['sh', '-c', 'curl -sS {} & wait'])\n\
         if os.fork() == 0:\n    urllib.request.urlopen('{}').read(); os._exit(0)\nos.wait()",
        url(1),
        url(2)
    );
    let python = python();
    let run = run(&[&python.to_string_lossy(), "-c", &code]);
    let mut paths: Vec<_> = run.spans.iter().map(acceptance::span::Span::path).collect();
    paths.retain(|path| path.contains(&token));
    paths.sort();
    assert_eq!(paths, [format!("/{token}/1"), format!("/{token}/2")], "{}", run.stderr);
}
