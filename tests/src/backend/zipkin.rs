//! Zipkin, in memory: its own JSON in and out.
//!
//! By <https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/zipkin/>, attributes and status are tags, and tags are
//! text. Attributes of the Resource are tags as well. Names of spans and services are in lower case: Zipkin makes them so.
//! There is no place for links.

use std::{collections::BTreeMap, process::Command, time::Duration};

use serde_json::Value;

use super::{Backend, as_text, ask, in_microseconds, list, package, text};
use crate::{
    free_ports,
    http::{Address, get},
    process::Process,
    span::{Attributes, Kind, Span},
    wait::wait_until,
};

/// A Java program with a framework: several seconds on an idle machine.
const START: Duration = Duration::from_secs(90);

/// Tags that are of the format, not of the span's attributes.
const OWN_TAGS: [&str; 6] = [
    "error",
    "otel.status_code",
    "otel.scope.name",
    "otel.scope.version",
    "otel.library.name",
    "otel.library.version",
];

/// A running Zipkin.
pub struct Zipkin {
    process: Process,
    /// Of its API, where spans go as well.
    pub http: u16,
    api: Address,
}

impl Zipkin {
    pub fn start() -> Self {
        let [http] = free_ports();
        let mut command = Command::new("java");
        command.args(["-Xmx256m", "-XX:+UseSerialGC", "-jar"]).arg(package::zipkin());
        command
            .args(["--armeria.ports[0].ip=127.0.0.1".to_owned(), format!("--armeria.ports[0].port={http}")]);
        let mut process = Process::start("Zipkin", &mut command);
        let api = Address::loopback(http);
        let healthy = || get(&api, "/health").is_ok_and(|answer| answer.status() == Some(200));
        wait_until("Zipkin is healthy", START, || process.try_wait().is_some() || healthy());
        assert!(process.try_wait().is_none(), "Zipkin did not start\n{}", process.log());
        Self { process, http, api }
    }
}

impl Backend for Zipkin {
    fn name(&self) -> &'static str {
        "Zipkin"
    }

    fn spans(&self) -> Vec<Span> {
        let mut traces = BTreeMap::new();
        for service in list(&ask(&self.api, "/api/v2/services")).iter().map(text) {
            // A trace is shown whole for each of its services.
            let found = ask(&self.api, &format!("/api/v2/traces?limit=10000&serviceName={service}"));
            for trace in list(&found) {
                let spans: Vec<_> = list(trace).iter().map(read).collect();
                traces.extend(spans.first().map(|span| span.trace.clone()).map(|id| (id, spans)));
            }
        }
        traces.into_values().flatten().collect()
    }

    fn shown(&self, span: &Span) -> Span {
        let span = in_microseconds(span);
        let mut attributes = span.resource.clone();
        attributes.extend(span.attributes.clone());
        attributes.remove("service.name");
        Span {
            name: span.name.to_lowercase(),
            attributes: attributes.iter().map(|(key, value)| (key.clone(), as_text(value).into())).collect(),
            resource: service(&span.service().to_lowercase()),
            // A duration of 0 would mean that it is not known.
            end: span.end.max(span.start + 1000),
            links: Vec::new(),
            events: Vec::new(),
            ..span
        }
    }

    fn log(&self) -> String {
        self.process.log()
    }
}

fn service(name: &str) -> Attributes {
    Attributes::from([("service.name".to_owned(), name.into())])
}

fn read(span: &Value) -> Span {
    let tags = span["tags"].as_object().cloned().unwrap_or_default();
    let is_error = tags.get("otel.status_code").map(text) == Some("ERROR");
    assert!(tags.contains_key("error") == is_error, "half an error: {span:#}");
    assert!(span["shared"] != true, "client and server share an id: {span:#}");
    let microseconds = |key: &str| span[key].as_u64().unwrap_or_default() * 1000;
    Span {
        name: text(&span["name"]).to_owned(),
        kind: match text(&span["kind"]) {
            "SERVER" => Kind::Server,
            "CLIENT" => Kind::Client,
            _ => Kind::Other,
        },
        trace: text(&span["traceId"]).to_owned(),
        span: text(&span["id"]).to_owned(),
        parent: span["parentId"].as_str().map(str::to_owned),
        attributes: tags.into_iter().filter(|(key, _)| !OWN_TAGS.contains(&key.as_str())).collect(),
        resource: service(text(&span["localEndpoint"]["serviceName"])),
        status: if is_error { 2 } else { 0 },
        start: microseconds("timestamp"),
        end: microseconds("timestamp") + microseconds("duration"),
        links: Vec::new(),
        events: Vec::new(),
    }
}
