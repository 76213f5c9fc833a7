//! Real backends on loopback, from their public packages: each is sent spans, then asked for them by its own API.
//!
//! What a backend shows is not word for word what it was sent: times are in microseconds, say. So [`Backend::spans`]
//! reads an answer back into spans by the backend's documented mapping, and [`Backend::shown`] says what is left of a
//! span by that mapping. All the rest has to be equal.

mod collector;
mod jaeger;
mod package;
mod zipkin;

use std::collections::BTreeMap;

use serde_json::Value;

pub use self::{collector::Collector, jaeger::Jaeger, zipkin::Zipkin};
use crate::{
    http::{Address, get},
    span::Span,
    wait::{LONG, poll},
};

/// A started backend with nothing in it yet.
pub trait Backend {
    /// What it is called in messages.
    fn name(&self) -> &'static str;

    /// Every span it has, in any order.
    fn spans(&self) -> Vec<Span>;

    /// What it shows of a span.
    fn shown(&self, span: &Span) -> Span;

    /// The backend's log, for messages.
    fn log(&self) -> String;

    /// Waits until it has as many spans as were sent, and compares all that it has with all that was sent.
    fn assert_shows(&self, sent: &[Span]) {
        poll(LONG, || (self.spans().len() >= sent.len()).then_some(()));
        let shown = self.spans();
        let counted =
            format!("{} spans were sent, {} has {}\n{}", sent.len(), self.name(), shown.len(), self.log());
        assert!(shown.len() == sent.len(), "{counted}");
        let expected = by_id(sent.iter().map(|span| self.shown(span)));
        let found = by_id(shown);
        assert!(found.len() == sent.len(), "two spans have one id: {counted}");
        for (id, expected) in &expected {
            assert!(
                found.get(id) == Some(expected),
                "{} differs\n--- sent:\n{expected:#?}\n--- found:\n{:#?}",
                self.name(),
                found.get(id)
            );
        }
    }
}

fn by_id(spans: impl IntoIterator<Item = Span>) -> BTreeMap<(String, String), Span> {
    spans.into_iter().map(|span| ((span.trace.clone(), span.span.clone()), span)).collect()
}

/// The JSON that an API answers; fails on any other answer.
fn ask(address: &Address, target: &str) -> Value {
    let answer = get(address, target).unwrap_or_else(|e| panic!("GET {target} from {address}: {e}"));
    let body = String::from_utf8_lossy(&answer.body);
    assert!(answer.status() == Some(200), "GET {target} from {address}: {}\n{body}", answer.start_line);
    serde_json::from_str(&body).unwrap_or_else(|e| panic!("GET {target} from {address}: {e}\n{body}"))
}

/// The elements of a list that may be null.
fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// In whole microseconds, as Jaeger and Zipkin keep times.
fn in_microseconds(span: &Span) -> Span {
    let start = span.start / 1000 * 1000;
    let end = start + (span.end - span.start) / 1000 * 1000;
    Span { start, end, ..span.clone() }
}

/// An attribute as text: lists are JSON.
fn as_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
