//! What is traced arrives, in each of the protocols.

use acceptance::{
    http::get,
    sink::Sink,
    spandrel::{Agent, Options},
    token,
    wait::{LONG, wait_until},
    workload::{Family, Language, application},
};

/// Collectors over HTTP and over gRPC get the same spans, ids included, from one agent.
#[test]
fn every_destination_gets_every_span() {
    let _machine = live!();
    let server = application(Language::Python, Family::Tcp, "server");
    let sinks = [Sink::start(), Sink::start()];
    let mut options = Options::only([&server.process]);
    options.pids.push(std::process::id());
    for (name, sink) in ["otlp-http", "otlp-grpc"].iter().zip(&sinks) {
        options.exports.push(format!("{name}={}", sink.endpoint()));
    }
    let agent = Agent::start(&options);
    let token = token();
    for _ in 0..10 {
        get(&server.address, &format!("/{token}")).unwrap();
    }
    let of = |sink: &Sink| {
        let mut ids: Vec<_> = sink
            .spans()
            .into_iter()
            .filter(|span| span.path() == format!("/{token}"))
            .map(|span| (span.trace, span.span))
            .collect();
        ids.sort_unstable();
        ids
    };
    for sink in &sinks {
        wait_until("both spans of each request are at the collector", LONG, || of(sink).len() >= 20);
    }
    agent.stop();
    assert_eq!((of(&sinks[0]).len(), of(&sinks[0])), (20, of(&sinks[1])));
}
