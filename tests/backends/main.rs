//! The same traces in real backends: a recording of a hundred traces of the demo is replayed into each, and what each
//! shows by its own API is compared with what was sent. Run as root, by `cargo xtask test`.
//!
//! The backends come from their public packages and are built once into the target directory. One that cannot be had
//! is a failure.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests: a panic is how they fail")]

mod otlp;
mod traffic;

use acceptance::{
    backend::{Backend, Collector, Jaeger, Zipkin},
    demo::{Services, TREE},
    span::from_json_lines,
    spandrel::{Agent, Options},
    tree::{render, without_margin},
    wait::{LONG, poll},
};

use crate::traffic::{SPANS_PER_TRACE, replayed_into};

/// Takes the machine for one test, or ends the test where nothing can be traced.
macro_rules! live {
    () => {
        match acceptance::live() {
            Some(machine) => machine,
            None => return,
        }
    };
}

#[test]
fn jaeger_shows_every_span_it_was_sent_over_http() {
    let _machine = live!();
    let jaeger = Jaeger::start();
    jaeger.assert_shows(&from_json_lines(&replayed_into(&over_http(jaeger.http))));
}

#[test]
fn jaeger_shows_every_span_it_was_sent_over_grpc() {
    let _machine = live!();
    let jaeger = Jaeger::start();
    jaeger.assert_shows(&from_json_lines(&replayed_into(&over_grpc(jaeger.grpc))));
}

#[test]
fn the_collector_writes_everything_it_was_sent_over_http() {
    let _machine = live!();
    let collector = Collector::start();
    let sent = replayed_into(&over_http(collector.http));
    collector.assert_shows(&from_json_lines(&sent));
    otlp::assert_equal(&sent, &collector.lines());
}

#[test]
fn the_collector_writes_everything_it_was_sent_over_grpc() {
    let _machine = live!();
    let collector = Collector::start();
    let sent = replayed_into(&over_grpc(collector.grpc));
    collector.assert_shows(&from_json_lines(&sent));
    otlp::assert_equal(&sent, &collector.lines());
}

#[test]
fn zipkin_shows_every_span_it_was_sent() {
    let _machine = live!();
    let zipkin = Zipkin::start();
    zipkin.assert_shows(&from_json_lines(&replayed_into(&to_zipkin(zipkin.http))));
}

#[test]
fn one_line_of_the_configuration_changes_the_backend() {
    let _machine = live!();
    let (jaeger, zipkin, collector) = (Jaeger::start(), Zipkin::start(), Collector::start());
    let services = Services::start();
    let backends: [(&dyn Backend, String); 3] = [
        (&jaeger, format!("otlp=http://127.0.0.1:{}", jaeger.http)),
        (&zipkin, to_zipkin(zipkin.http)),
        (&collector, format!("otlp=http://127.0.0.1:{}", collector.http)),
    ];
    let mut configurations = Vec::new();
    for (backend, export) in &backends {
        let options = Options { settings: vec![format!("export: [\"{export}\"]")], ..services.selection() };
        configurations.push(options.config());
        let agent = Agent::start_without_spans(&options);
        services.order();
        poll(LONG, || (backend.spans().len() >= SPANS_PER_TRACE).then_some(()));
        let log = agent.stop().log;
        // Zipkin has the names of services in lower case.
        let found = render(&backend.spans()).to_lowercase();
        let expected = without_margin(TREE).to_lowercase();
        assert!(found == expected, "{} shows\n{found}\n{log}\n{}", backend.name(), backend.log());
    }
    for configuration in &configurations {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (one, other) = (lines(&configurations[0]), lines(configuration));
        assert_eq!(one.len(), other.len());
        let different: Vec<_> = one.iter().zip(&other).filter(|(one, other)| one != other).collect();
        let is_export = |line: &str| line.starts_with("export: ");
        assert!(different.len() <= 1 && different.iter().all(|(line, _)| is_export(line)), "{different:?}");
    }
}

fn over_http(port: u16) -> String {
    format!("otlp-http=http://127.0.0.1:{port}")
}

fn over_grpc(port: u16) -> String {
    format!("otlp-grpc=http://127.0.0.1:{port}")
}

fn to_zipkin(port: u16) -> String {
    format!("zipkin=http://127.0.0.1:{port}/api/v2/spans")
}
