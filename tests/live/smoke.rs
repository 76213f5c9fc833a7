//! The part that runs in every guest: python3 and curl.

use acceptance::{
    http::Connection,
    spandrel::{Agent, Options, run},
    token,
    tree::assert_tree,
    workload::{Family, Language, application},
};

use crate::{curl_to, wait_for_sleepers};

const CURL: &str = "{exe: curl}";
/// How often a kernel that left out runs of programs is asked again.
const TRIES: usize = 5;

#[test]
fn smoke_both_ends_of_a_request_over_tcp_are_one_trace() {
    both_ends_are_one_trace(Family::Tcp);
}

#[test]
fn smoke_both_ends_of_a_request_over_a_unix_socket_are_one_trace() {
    both_ends_are_one_trace(Family::Unix);
}

fn both_ends_are_one_trace(family: Family) {
    let _machine = live!();
    let server = application(Language::Python, family, "server");
    // A kernel that runs programs preemptibly may leave out a run. Then an answer is unknown, which is counted, and a
    // wrong one never.
    for _ in 0..TRIES {
        let options = Options { select: vec![CURL.to_owned()], ..Options::only([&server.process]) };
        let agent = Agent::start(&options);
        let token = token();
        curl_to(&server, &format!("/{token}/a"));
        let finished = agent.finish(&token, 2);
        let spans = finished.spans;
        assert!(spans.iter().all(|span| span.status == 0), "{spans:#?}");
        if finished.counters["kernel"]["missed_runs"].as_u64() != Some(0) {
            continue;
        }
        assert_tree(&spans, &format!("curl client GET /{token}/a\n  server server GET /{token}/a"));
        let found = (
            spans.iter().filter(|span| span.code() == Some(200)).count(),
            spans.iter().filter(|span| span.link_method() == Some("connection")).count(),
        );
        assert_eq!(found, (2, 1), "{spans:#?}\n{:#}", finished.counters);
        return;
    }
    panic!("the kernel left out runs in each of {TRIES} tries");
}

#[test]
fn smoke_run_traces_a_client_from_its_first_instruction() {
    let _machine = live!();
    let server = application(Language::Python, Family::Tcp, "server");
    let token = token();
    let run = run(&["curl", "-sS", &format!("http://{}/{token}", server.address)]);
    assert!(
        run.status.success() && run.stdout == "ok\n",
        "{:?} {:?}\n{}",
        run.status,
        run.stdout,
        run.stderr
    );
    let spans: Vec<_> = run.spans.iter().filter(|span| span.target().contains(&token)).cloned().collect();
    assert_eq!(spans.len(), 1, "{spans:#?}\n{}", run.stderr);
    assert!(spans[0].label().contains("client GET"), "{spans:#?}");
}

#[test]
fn smoke_a_thread_that_was_blocked_reading_when_the_agent_came_is_traced() {
    let _machine = live!();
    let server = application(Language::Python, Family::Tcp, "server");
    let token = token();
    let mut connection = Connection::open(&server.address).unwrap();
    let mut ask = |path: &str| {
        connection.send(format!("GET /{token}/{path} HTTP/1.1\r\nHost: test\r\n\r\n")).unwrap();
        assert_eq!(connection.receive(false).unwrap().unwrap().status(), Some(200));
    };
    ask("before");
    wait_for_sleepers(&server.process, 2);
    let agent = Agent::start(&Options::only([&server.process]));
    for path in ["first", "second", "third"] {
        ask(path);
    }
    let spans = agent.finish(&token, 3).spans;
    let paths: Vec<_> = spans.iter().map(|span| span.path().rsplit('/').next().unwrap().to_owned()).collect();
    assert_eq!(paths, ["first", "second", "third"]);
}

#[test]
fn smoke_pipelined_requests_are_a_span_each() {
    let _machine = live!();
    let server = application(Language::Python, Family::Tcp, "server");
    let agent = Agent::start(&Options::only([&server.process]));
    let token = token();
    let mut connection = Connection::open(&server.address).unwrap();
    let requests: String =
        (0..5).map(|n| format!("GET /{token}/{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
    connection.send(requests).unwrap();
    for _ in 0..5 {
        assert_eq!(connection.receive(false).unwrap().unwrap().status(), Some(200));
    }
    let spans = agent.finish(&token, 5).spans;
    let mut paths: Vec<_> = spans.iter().map(|span| span.path()).collect();
    paths.sort();
    assert_eq!(paths, (0..5).map(|n| format!("/{token}/{n}")).collect::<Vec<_>>());
}
