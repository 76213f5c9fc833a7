//! What is told of a connection of which the beginning or a part was not seen, against what its server wrote.

pub mod wire;

use std::collections::BTreeMap;

use crate::span::{Kind, Span};

/// The request header field that has the number of the request, in the configuration and as an attribute.
pub const NUMBER: &str = "from";
const NUMBER_ATTRIBUTE: &str = "http.request.header.from";

/// A request as the server saw it, or what a span says of one: what it does not know is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub method: Option<String>,
    pub path: Option<String>,
    pub status: Option<i64>,
}

/// What a server wrote: `NUMBER METHOD PATH STATUS` of each request.
#[derive(Clone, Debug, Default)]
pub struct Log(pub BTreeMap<u64, Request>);

impl Log {
    pub fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let mut words = line.split(' ');
            let number = words.next()?.parse().ok()?;
            let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
            let status = words.next()?.parse().ok()?;
            Some((number, Request { method: Some(method), path: Some(path), status: Some(status) }))
        };
        Self(text.lines().filter_map(line).collect())
    }

    pub fn text(&self) -> String {
        let line = |(number, request): (&u64, &Request)| {
            let Request { method: Some(method), path: Some(path), status: Some(status) } = request else {
                panic!("{number} is not known whole")
            };
            format!("{number} {method} {path} {status}\n")
        };
        self.0.iter().map(line).collect()
    }
}

/// A span of such a connection.
#[derive(Clone, Debug)]
pub struct Seen {
    pub client: bool,
    pub number: Option<u64>,
    pub request: Request,
    /// It says that some of its fields are not known, or its end.
    pub marked: bool,
}

impl Seen {
    /// What an exported span says.
    pub fn of(span: &Span) -> Self {
        let number = span.attributes.get(NUMBER_ATTRIBUTE);
        let number = number.and_then(|values| values.get(0)?.as_str()?.parse().ok());
        let has = |key: &str| span.attributes.contains_key(key);
        let method = Some(span.method().to_owned()).filter(|method| !method.is_empty());
        Self {
            client: span.kind == Kind::Client,
            number,
            request: Request {
                method: method.filter(|method| method != "_OTHER"),
                path: (has("url.path") || has("url.full")).then(|| span.path()),
                status: span.code(),
            },
            marked: has("spandrel.fields_unknown") || has("spandrel.incomplete"),
        }
    }

    /// The same of a span of the engine.
    pub fn of_engine(span: &engine::span::Span) -> Self {
        let mut exported = Span {
            name: span.name.to_string(),
            kind: if span.kind == engine::span::Kind::Client { Kind::Client } else { Kind::Server },
            trace: String::new(),
            span: String::new(),
            parent: None,
            attributes: BTreeMap::new(),
            resource: BTreeMap::new(),
            status: 0,
            start: span.start,
            end: span.end,
            links: Vec::new(),
            events: Vec::new(),
        };
        for attribute in &span.attributes {
            use engine::span::Value;
            let value = match &attribute.value {
                Value::String(text) => text.as_ref().into(),
                Value::Integer(number) => (*number).into(),
                Value::Bool(truth) => (*truth).into(),
                Value::Strings(list) => list.clone().into(),
            };
            exported.attributes.insert(attribute.key.to_string(), value);
        }
        Self::of(&exported)
    }

    /// Says why it is wrong, if it is.
    pub fn fault(&self, log: &Log) -> Option<String> {
        let differs = |said: &Request| {
            let other = |one: &Option<String>, two: &Option<String>| one.is_some() && one != two;
            let Request { method, path, status } = &self.request;
            other(method, &said.method)
                || other(path, &said.path)
                || status.is_some_and(|status| Some(status) != said.status)
        };
        let whole = self.request.path.is_some() && self.request.method.is_some();
        match self.number {
            Some(number) => match log.0.get(&number) {
                None => Some(format!("nobody sent {self:?}")),
                Some(sent) if differs(sent) => Some(format!("{self:?} was {sent:?}")),
                Some(_) if !whole && !self.marked => Some(format!("not marked: {self:?}")),
                Some(_) => None,
            },
            None if !self.marked => Some(format!("not marked: {self:?}")),
            None if log.0.values().all(differs) => Some(format!("nobody sent {self:?}")),
            None => None,
        }
    }
}

/// What came of many spans.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    pub spans: usize,
    /// With a path.
    pub named: usize,
    /// With a method.
    pub methods: usize,
    /// With a status.
    pub answered: usize,
    /// Without a number: their request is not told.
    pub nameless: usize,
}

impl Score {
    /// Counts spans, none of which may be wrong.
    pub fn of<'a>(spans: impl IntoIterator<Item = &'a Seen>, log: &Log, context: &str) -> Self {
        let mut score = Self::default();
        for span in spans {
            if let Some(fault) = span.fault(log) {
                panic!("{context}: {fault}");
            }
            score.spans += 1;
            score.named += usize::from(span.request.path.is_some());
            score.methods += usize::from(span.request.method.is_some());
            score.answered += usize::from(span.request.status.is_some());
            score.nameless += usize::from(span.number.is_none());
        }
        score
    }
}
