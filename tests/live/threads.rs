//! Threads that share a connection: their calls overlap, and what cannot be ordered for certain is never a wrong span.

use std::{
    collections::{HashMap, HashSet},
    process::Command,
};

use acceptance::{
    process::Process,
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    wait::LONG,
    workload::{Family, nginx, python},
    workload_file,
};

const THREADS: usize = 4;
const EACH: usize = 1_000;

#[test]
fn no_request_of_threads_that_share_a_connection_is_wrong() {
    share("auto", "late");
}

#[test]
fn no_request_of_threads_that_share_an_older_connection_is_wrong() {
    share("auto", "early");
}

#[test]
fn no_request_of_threads_that_share_a_connection_is_wrong_by_system_calls() {
    share("syscall", "late");
}

#[test]
fn no_request_of_threads_that_share_an_older_connection_is_wrong_by_system_calls() {
    share("syscall", "early");
}

/// The server reads the requests in one thread, in whichever order they were sent: all are known, and their order is
/// the truth. The client's bytes are known only where no two calls overlapped.
fn share(flavour: &str, connection: &str) {
    let _machine = live!();
    let server = nginx(Family::Tcp);
    let token = token();
    let mut command = Command::new(python());
    command.arg(workload_file("threads.py")).args([&server.address.to_string(), &token]);
    command
        .args([THREADS, EACH].map(|number| number.to_string()))
        .arg(connection)
        .env("OTEL_SERVICE_NAME", "client");
    let mut client = Process::start("client", &mut command);
    client.wait_for("ready", LONG);
    let agent = Agent::start(&Options {
        settings: vec![format!("capture: {{flavour: {flavour}}}")],
        ..Options::only([&server.process, &client])
    });
    client.write(b"\n");
    assert!(client.wait(LONG).success(), "{}", client.log());

    let requests = THREADS * EACH;
    let finished = agent.finish_where(requests, |span: &Span| span.kind == Kind::Server);
    assert_accounted(&finished.counters);
    let paths = |kind| finished.all.iter().filter(move |span| span.kind == kind).map(Span::path);
    let served: HashSet<String> = paths(Kind::Server).collect();
    let expected: HashSet<String> = (0..requests).map(|number| format!("/{token}/{number}")).collect();
    assert_eq!(paths(Kind::Server).count(), requests);
    assert!(served == expected, "{:?}", served.symmetric_difference(&expected).take(5).collect::<Vec<_>>());

    let sent: Vec<String> = paths(Kind::Client).collect();
    let distinct: HashSet<&String> = sent.iter().collect();
    assert!(
        distinct.len() == sent.len() && distinct.iter().all(|path| expected.contains(*path)),
        "client spans of requests that nobody made: {} of {}",
        sent.iter().filter(|path| !expected.contains(*path)).count(),
        sent.len()
    );
    let spans: HashMap<_, _> = finished.all.iter().map(|span| (span.span.as_str(), span)).collect();
    for span in finished.all.iter().filter(|span| span.kind == Kind::Server) {
        if let Some(parent) = span.parent.as_deref().and_then(|id| spans.get(id)) {
            assert_eq!((parent.kind, parent.path()), (Kind::Client, span.path()));
        }
    }
}
