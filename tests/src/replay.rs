//! Records through the engine, without a kernel, and the spans as text that two runs can be compared by.

use std::{collections::HashMap, fmt::Write};

use abi::RecordHeader;
use engine::{
    Accounting, Config, Engine, Order,
    counter::Counters,
    policy::Policy,
    protocol::Unseen,
    span::{Kind, Span, Status, Value},
};
use zerocopy::FromBytes;

/// What a recording gave.
#[derive(Debug)]
pub struct Outcome {
    /// By start time.
    pub spans: Vec<Span>,
    pub accounting: Accounting,
    pub counters: Counters,
    /// In the order in which they were given.
    pub orders: Vec<Order>,
}

/// Replays records in their order; the clock is theirs.
pub fn replay(records: &[Vec<u8>]) -> Outcome {
    replay_by(Policy::default(), records)
}

/// The same, with a policy for every process.
pub fn replay_by(policy: Policy, records: &[Vec<u8>]) -> Outcome {
    let mut engine = Engine::new(Config { seed: 1, ..Config::default() });
    engine.set_default_policy(policy.into());
    let (mut spans, mut orders) = (Vec::new(), Vec::new());
    let mut now = 0;
    for record in records {
        let time = RecordHeader::read_from_prefix(record).map_or(0, |(header, _)| header.time);
        while let Some(due) = engine.poll_timeout().filter(|due| *due <= time && *due >= now) {
            // A deadline that is not moved by its time-out would come again for ever.
            now = due + 1;
            engine.handle_timeout(due);
        }
        now = now.max(time);
        engine.handle_record(record, now);
        orders.extend(std::iter::from_fn(|| engine.poll_order()));
        spans.extend(std::iter::from_fn(|| engine.poll_span()));
    }
    engine.finish(Unseen::AgentStopped, now);
    spans.extend(std::iter::from_fn(|| engine.poll_span()));
    spans.sort_by_key(|span| (span.start, span.kind == Kind::Server, span.end));
    Outcome { spans, accounting: engine.accounting(), counters: engine.counters().clone(), orders }
}

/// The spans in YAML: ids are numbers in the order of the spans, processes in the order of their appearance, and times are
/// left out but for the order they make.
pub fn yaml(spans: &[Span]) -> String {
    let numbers: HashMap<_, _> = spans.iter().zip(1..).map(|(span, number)| (span.span_id, number)).collect();
    let mut traces = Ordinals::default();
    let mut processes = Ordinals::default();
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("writing to a string");
    for (span, number) in spans.iter().zip(1..) {
        line(format!("- span: {number}"));
        line(format!("  trace: {}", traces.of(span.trace_id)));
        if let Some(parent) = &span.parent {
            match numbers.get(&parent.span_id) {
                Some(number) => line(format!("  parent: {number}")),
                None => line(format!("  remote_parent: {:016x}", parent.span_id.0)),
            }
            line(format!("  link: {}", parent.method.as_str()));
        }
        for link in &span.links {
            line(format!("  follows: {}", numbers.get(&link.span_id).copied().unwrap_or_default()));
        }
        line(format!("  kind: {}", if span.kind == Kind::Server { "server" } else { "client" }));
        line(format!("  name: {}", quoted(&span.name)));
        line(format!("  process: {}", processes.of(span.tgid)));
        if let Status::Error { description } = &span.status {
            line(format!("  error: {}", quoted(description.as_deref().unwrap_or_default())));
        }
        for event in &span.events {
            line(format!("  event: {}", quoted(event.name)));
        }
        line("  attributes:".to_owned());
        let mut attributes: Vec<_> = span.attributes.iter().collect();
        attributes.sort_by(|a, b| a.key.cmp(&b.key));
        for attribute in attributes {
            let value = match &attribute.value {
                Value::String(text) => quoted(text),
                Value::Integer(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Strings(list) => {
                    format!("[{}]", list.iter().map(|text| quoted(text)).collect::<Vec<_>>().join(", "))
                }
            };
            line(format!("    {}: {value}", attribute.key));
        }
    }
    text
}

/// What a span is of, whatever became of it, as far as it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    kind: String,
    /// Whose attributes it has.
    protocol: Option<&'static str>,
    method: Option<String>,
    server: Option<String>,
    /// Of a call, that of its method.
    path: Option<String>,
    query: Option<String>,
    /// The path or the query goes on.
    cut: bool,
}

impl Identity {
    pub fn of(span: &Span) -> Self {
        let text = |key: &str| {
            let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
            match &attribute.value {
                Value::String(text) => Some(text.to_string()),
                value @ (Value::Integer(_) | Value::Bool(_) | Value::Strings(_)) => {
                    Some(format!("{value:?}"))
                }
            }
        };
        let has = |prefix: &str| span.attributes.iter().any(|attribute| attribute.key.starts_with(prefix));
        let full = text("url.full");
        let target = full.as_deref().and_then(|full| full.split_once("://")?.1.split_once('/'));
        let target = target.map(|(_, target)| format!("/{target}"));
        let (path, query) = match target.as_deref().map(|target| target.split_once('?').ok_or(target)) {
            Some(Ok((path, query))) => (Some(path.to_owned()), Some(query.to_owned())),
            Some(Err(path)) => (Some(path.to_owned()), None),
            None => (text("url.path"), text("url.query")),
        };
        let call = text("rpc.method_original").or_else(|| text("rpc.method"));
        Self {
            kind: format!("{:?} of {}", span.kind, span.tgid),
            protocol: ["http.", "rpc."].into_iter().find(|prefix| has(prefix)),
            method: text("http.request.method_original").or_else(|| text("http.request.method")),
            server: text("server.address"),
            path: path.or_else(|| call.map(|method| format!("/{method}"))),
            query,
            cut: text("spandrel.target_truncated").is_some(),
        }
    }

    /// May it be of the same exchange as this one, of which all is known? What is not known here may be anything there.
    pub fn is_of(&self, whole: &Self) -> bool {
        let fits = |part: &Option<String>, of: &Option<String>| match (part, of) {
            (Some(part), Some(of)) => part == of || self.cut && of.starts_with(part.as_str()),
            (Some(_), None) => false,
            (None, _) => true,
        };
        self.kind == whole.kind
            && self.protocol.is_none_or(|protocol| whole.protocol == Some(protocol))
            && fits(&self.method, &whole.method)
            && fits(&self.server, &whole.server)
            && fits(&self.path, &whole.path)
            && fits(&self.query, &whole.query)
    }

    /// How many parts are known.
    pub fn known(&self) -> usize {
        let parts = [&self.method, &self.server, &self.path, &self.query];
        parts.into_iter().flatten().count() + usize::from(self.protocol.is_some())
    }
}

/// JSON's quoting is YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("a string is JSON")
}

/// Numbers for values, in the order of their appearance.
struct Ordinals<T>(Vec<T>);

impl<T> Default for Ordinals<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Ordinals<T> {
    fn of(&mut self, value: T) -> usize {
        if let Some(at) = self.0.iter().position(|known| *known == value) {
            return at + 1;
        }
        self.0.push(value);
        self.0.len()
    }
}
