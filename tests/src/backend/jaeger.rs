//! Jaeger, all in one process and in memory: OTLP in, the JSON of its query API out.
//!
//! By <https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/>, kind and status are tags; the service name
//! stands beside the other attributes of the Resource; links are references that follow from.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

use super::{Backend, as_text, ask, in_microseconds, list, package, text};
use crate::{
    free_ports,
    http::{Address, get},
    process::Process,
    span::{Attributes, Kind, Span},
    wait::{LONG, wait_until},
};

/// Tags that are of the format, not of the span's attributes.
const OWN_TAGS: [&str; 7] = [
    "span.kind",
    "error",
    "otel.status_code",
    "otel.status_description",
    "otel.scope.name",
    "otel.scope.version",
    "w3c.tracestate",
];

/// A running Jaeger.
pub struct Jaeger {
    process: Process,
    /// Of its OTLP receiver.
    pub http: u16,
    pub grpc: u16,
    api: Address,
}

impl Jaeger {
    pub fn start() -> Self {
        let [http, grpc, api, admin, others @ ..] = free_ports::<7>();
        let mut command = Command::new(package::jaeger());
        let names = ["query.grpc-server", "collector.grpc-server", "collector.http-server"];
        let known = [
            ("collector.otlp.http", http),
            ("collector.otlp.grpc", grpc),
            ("query.http-server", api),
            ("admin.http", admin),
        ];
        for (name, port) in known.into_iter().chain(names.into_iter().zip(others)) {
            command.arg(format!("--{name}.host-port=127.0.0.1:{port}"));
        }
        command.arg("--memory.max-traces=10000").env("GOMEMLIMIT", "256MiB");
        let mut process = Process::start("Jaeger", &mut command);
        let healthy = || get(&Address::loopback(admin), "/").is_ok_and(|answer| answer.status() == Some(200));
        wait_until("Jaeger is healthy", LONG, || process.try_wait().is_some() || healthy());
        assert!(process.try_wait().is_none(), "Jaeger did not start\n{}", process.log());
        Self { process, http, grpc, api: Address::loopback(api) }
    }
}

impl Backend for Jaeger {
    fn name(&self) -> &'static str {
        "Jaeger"
    }

    fn spans(&self) -> Vec<Span> {
        let services = ask(&self.api, "/api/services");
        let mut traces = BTreeMap::new();
        for service in list(&services["data"]).iter().map(text) {
            // A trace is shown whole for each of its services.
            let found = ask(&self.api, &format!("/api/traces?limit=10000&service={service}"));
            traces.extend(
                list(&found["data"])
                    .iter()
                    .map(|trace| (text(&trace["traceID"]).to_owned(), spans_of(trace))),
            );
        }
        traces.into_values().flatten().collect()
    }

    fn shown(&self, span: &Span) -> Span {
        let mut span = in_microseconds(span);
        for value in span.attributes.values_mut().chain(span.resource.values_mut()) {
            if value.is_array() {
                *value = as_text(value).into();
            }
        }
        span
    }

    fn log(&self) -> String {
        self.process.log()
    }
}

fn spans_of(trace: &Value) -> Vec<Span> {
    list(&trace["spans"])
        .iter()
        .map(|span| read(span, &trace["processes"][text(&span["processID"])]))
        .collect()
}

fn read(span: &Value, process: &Value) -> Span {
    let tags = attributes(&span["tags"]);
    let kind = match tags.get("span.kind").map(text) {
        Some("server") => Kind::Server,
        Some("client") => Kind::Client,
        _ => Kind::Other,
    };
    let is_error = tags.get("otel.status_code").map(text) == Some("ERROR");
    assert!(tags.get("error").is_some_and(|value| value == true) == is_error, "half an error: {span:#}");
    let references = |kind: &str| {
        let such = list(&span["references"]).iter().filter(|reference| text(&reference["refType"]) == kind);
        such.map(|reference| (text(&reference["traceID"]).to_owned(), text(&reference["spanID"]).to_owned()))
            .collect::<Vec<_>>()
    };
    let trace = text(&span["traceID"]).to_owned();
    let parents: BTreeSet<_> = references("CHILD_OF").into_iter().collect();
    assert!(parents.len() <= 1 && parents.iter().all(|(of, _)| *of == trace), "not one parent: {span:#}");
    let microseconds = |key: &str| span[key].as_u64().unwrap_or_default() * 1000;
    let mut resource = attributes(&process["tags"]);
    resource.insert("service.name".to_owned(), process["serviceName"].clone());
    Span {
        name: text(&span["operationName"]).to_owned(),
        kind,
        trace,
        span: text(&span["spanID"]).to_owned(),
        parent: parents.into_iter().next().map(|(_, id)| id),
        attributes: tags.into_iter().filter(|(key, _)| !OWN_TAGS.contains(&key.as_str())).collect(),
        resource,
        status: if is_error { 2 } else { 0 },
        start: microseconds("startTime"),
        end: microseconds("startTime") + microseconds("duration"),
        links: references("FOLLOWS_FROM"),
        events: Vec::new(),
    }
}

fn attributes(tags: &Value) -> Attributes {
    list(tags).iter().map(|tag| (text(&tag["key"]).to_owned(), tag["value"].clone())).collect()
}
