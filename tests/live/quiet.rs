//! Spandrel does not trace itself.

use std::time::{Duration, Instant};

use acceptance::{
    http::get,
    sink::Sink,
    spandrel::{Agent, Options},
    token,
    wait::{LONG, wait_until},
    workload::{Family, Language, application},
};

/// With the agent, the collector and an idle server selected, nothing is seen as long as nobody asks for anything;
/// and one request makes its two spans, whose export makes none.
#[test]
fn agent_and_collector_alone_make_no_spans() {
    let _machine = live!();
    let seconds =
        std::env::var("SPANDREL_QUIET_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(60);
    let quiet = Duration::from_secs(seconds);
    let server = application(Language::Python, Family::Tcp, "server");
    let sink = Sink::start();
    let mut options = Options::only([&server.process]);
    options.pids.push(std::process::id());
    options.select.push("{exe: spandrel}".to_owned());
    options.exports.push("otlp".to_owned());
    options.environment.push(("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), sink.endpoint()));
    let agent = Agent::start(&options);
    stays(&agent, &sink, 0, quiet);
    let token = token();
    get(&server.address, &format!("/{token}")).unwrap();
    wait_until("the request's two spans are at the collector", LONG, || sink.spans().len() >= 2);
    stays(&agent, &sink, 2, quiet / 6);
    let kernel = &agent.stop().counters["kernel"];
    assert_eq!(kernel["unseen_bytes"], 0, "the agent's own are none: {kernel:#}");
    let spans = sink.spans();
    assert!(spans.len() == 2 && spans.iter().all(|span| span.path() == format!("/{token}")), "{spans:#?}");
}

fn stays(agent: &Agent, sink: &Sink, spans: usize, time: Duration) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        let (exported, collected) = (agent.spans(), sink.spans());
        assert!(
            exported.len().max(collected.len()) <= spans,
            "spans that nobody caused: {exported:#?} {collected:#?}\n{}",
            agent.process.log()
        );
        std::thread::sleep(Duration::from_millis(100));
    }
}
