//! Tens of thousands of requests: as many spans, each right, and every exchange accounted for at any time.

use std::collections::BTreeMap;

use acceptance::{
    load::{self, Load},
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    workload::{Family, nginx},
};

const REQUESTS: u64 = 20_000;

#[test]
fn twenty_thousand_requests_over_four_connections_are_as_many_spans() {
    exact(false);
}

#[test]
fn twenty_thousand_requests_over_as_many_connections_are_as_many_spans() {
    exact(true);
}

fn exact(reconnect: bool) {
    let _machine = live!();
    let server = nginx(Family::Tcp);
    let agent = Agent::start(&Options { recorded: true, ..Options::only([&server.process]) });
    let token = token();
    let load = Load {
        requests: REQUESTS,
        connections: 4,
        reconnect,
        methods: ["GET", "POST", "HEAD", "PUT", "DELETE"].map(str::to_owned).to_vec(),
        expect: vec![200, 404, 503],
        ..Load::new(server.address.clone(), &format!("/status/{{status}}/{token}/{{n}}"))
    };
    let outcome = std::thread::scope(|scope| {
        let sender = scope.spawn(|| load::run(&load));
        while !sender.is_finished() {
            let counters = agent.counters();
            if !counters.is_null() {
                assert_accounted(&counters);
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        sender.join().expect("the load panicked")
    });
    assert!(
        outcome.failed.is_empty(),
        "requests failed: {:?}",
        &outcome.failed[..outcome.failed.len().min(5)]
    );
    let finished = agent.finish(&token, REQUESTS as usize);
    assert_accounted(&finished.counters);
    let by_path: BTreeMap<String, &Span> = finished.spans.iter().map(|span| (span.path(), span)).collect();
    assert_eq!(by_path.len(), REQUESTS as usize, "a request has two spans");
    for number in 0..REQUESTS {
        let path = load::target(&load, number);
        let span = by_path.get(&path).unwrap_or_else(|| panic!("no span of {path}"));
        let found = (span.kind, span.method(), span.code());
        let expected = (Kind::Server, load::method(&load, number), Some(load::status(&load, number).into()));
        assert_eq!(found, expected, "{span:#?}");
    }
    assert_eq!(finished.all.len(), REQUESTS as usize, "spans of requests that nobody made");
}

/// What the collector cannot be given is counted as dropped, by reason; the other destination has all of it, and the
/// agent's memory has a bound.
#[test]
fn a_collector_that_is_away_is_accounted_for() {
    let _machine = live!();
    let server = nginx(Family::Tcp);
    let nobody = format!("http://127.0.0.1:{}", acceptance::free_port());
    let agent = Agent::start(&Options {
        exports: vec!["otlp".to_owned()],
        environment: vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), nobody)],
        ..Options::only([&server.process])
    });
    let token = token();
    let load = Load {
        requests: 2 * REQUESTS,
        connections: 4,
        rate: Some(10_000),
        ..Load::new(server.address.clone(), &format!("/{token}/{{n}}"))
    };
    let outcome = load::run(&load);
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed.first());
    let status = std::fs::read_to_string(format!("/proc/{}/status", agent.process.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("RssAnon");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 60 << 10, "{kilobytes} kB of anonymous memory with the collector away");
    let finished = agent.finish(&token, 2 * REQUESTS as usize);
    assert_accounted(&finished.counters);
}
