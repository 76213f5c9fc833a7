use std::time::Duration;

use engine::span::{Kind, LinkMethod, Parent, Span, SpanId, Status, TraceId, Value};
use tokio::time::Instant;

use super::{paint::Painter, traces::Traces};
use crate::export::{
    Exported,
    tests::{attribute, exported, resource, span, text},
};

const MILLISECOND: u64 = 1_000_000;

struct Call<'a> {
    service: &'a str,
    kind: Kind,
    id: u64,
    parent: u64,
    target: &'a str,
    /// Start and end in tenths of a millisecond.
    time: (u64, u64),
}

impl Call<'_> {
    fn exported(&self) -> Exported {
        let key = if self.kind == Kind::Client { "url.full" } else { "url.path" };
        let parent = Parent { span_id: SpanId(self.parent), method: LinkMethod::Reader, process: Some(1) };
        let span = Span {
            parent: (self.parent != 0).then_some(parent),
            kind: self.kind,
            start: 1_000_000_000 + self.time.0 * MILLISECOND / 10,
            end: 1_000_000_000 + self.time.1 * MILLISECOND / 10,
            attributes: vec![
                text("http.request.method", "GET"),
                text(key, self.target),
                attribute("http.response.status_code", Value::Integer(200)),
            ],
            ..span(self.id)
        };
        exported(span, &resource(self.service))
    }
}

fn call<'a>(service: &'a str, kind: Kind, ids: (u64, u64), target: &'a str, time: (u64, u64)) -> Call<'a> {
    Call { service, kind, id: ids.0, parent: ids.1, target, time }
}

/// The nine spans of a request that fans out, in an order in which they could arrive.
fn nine() -> Vec<Exported> {
    use Kind::{Client, Server};
    [
        call("shop-c", Server, (6, 5), "/c", (60, 140)),
        call("shop-b", Client, (5, 3), "http://127.0.0.1:8003/c", (50, 150)),
        call("shop-d", Server, (8, 7), "/d", (170, 280)),
        call("shop-b", Client, (7, 3), "http://127.0.0.1:8004/d", (160, 290)),
        call("shop-b", Server, (3, 2), "/b", (20, 298)),
        call("shop-a", Client, (2, 1), "http://127.0.0.1:8002/b", (10, 301)),
        call("shop-e", Server, (10, 9), "/e", (320, 395)),
        call("shop-a", Client, (9, 1), "http://127.0.0.1:8005/e", (310, 400)),
        call("shop-a", Server, (1, 0), "/checkout", (0, 412)),
    ]
    .iter()
    .map(Call::exported)
    .collect()
}

/// What is printed, spaces at the ends of lines apart.
fn printed(spans: &[Exported], painter: Painter) -> String {
    let mut traces = Traces::default();
    spans.iter().for_each(|exported| traces.add(exported, Instant::now()));
    let text: String = traces.take_all().iter().map(|trace| painter.tree(trace)).collect();
    text.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

fn plain(spans: &[Exported]) -> String {
    printed(spans, Painter::new(false, None))
}

#[test]
fn a_trace_is_a_tree_with_a_line_a_span() {
    let expected = "\
trace 4bf92f3577b34da6a3ce929d0e0e4736  9 spans  41.2 ms
└ shop-a ⇐ GET /checkout                      200    41.2 ms      +0 µs
  ├ shop-a ⇒ GET http://127.0.0.1:8002/b      200    29.1 ms    +1.0 ms
  │ └ shop-b ⇐ GET /b                         200    27.8 ms    +2.0 ms
  │   ├ shop-b ⇒ GET http://127.0.0.1:8003/c  200    10.0 ms    +5.0 ms
  │   │ └ shop-c ⇐ GET /c                     200     8.0 ms    +6.0 ms
  │   └ shop-b ⇒ GET http://127.0.0.1:8004/d  200    13.0 ms   +16.0 ms
  │     └ shop-d ⇐ GET /d                     200    11.0 ms   +17.0 ms
  └ shop-a ⇒ GET http://127.0.0.1:8005/e      200     9.0 ms   +31.0 ms
    └ shop-e ⇐ GET /e                         200     7.5 ms   +32.0 ms

";
    assert_eq!(plain(&nine()), expected);
}

#[test]
fn a_narrow_terminal_cuts_the_target_and_keeps_the_columns() {
    let text = printed(&nine(), Painter::new(false, Some(64)));
    assert!(text.contains("  │   └ shop-b ⇒ GET http://127.0.0.…  200"), "{text}");
    assert!(text.lines().skip(1).all(|line| line.chars().count() <= 64), "{text}");
}

#[test]
fn failures_doubts_and_missing_parents_are_told_apart() {
    let with = |id, attributes, status, parent| {
        let span = Span { attributes, status, parent, start: 1_000_000_000 + id, ..span(id) };
        exported(span, &resource("shop"))
    };
    let request = |path, rest| vec![text("http.request.method", "GET"), text("url.path", path), rest];
    let failed = Status::Error { description: None };
    let code = |code| attribute("http.response.status_code", Value::Integer(code));
    let parent = |process| Some(Parent { span_id: SpanId(0xbeef), method: LinkMethod::Header, process });
    let text = plain(&[
        with(1, request("/500", code(500)), failed.clone(), None),
        with(2, request("/reset", text("error.type", "connection_reset")), failed, parent(Some(1))),
        with(3, request("/cut", text("spandrel.incomplete", "agent_stopping")), Status::Unset, parent(None)),
        with(4, vec![], Status::Unset, None),
    ]);
    let lines: Vec<&str> = text.lines().skip(1).collect();
    assert_eq!(lines[0], "├ shop ⇐ GET /500      500                 41.2 ms      +0 µs");
    assert_eq!(
        lines[1],
        "├ … shop ⇐ GET /reset  connection_reset    41.2 ms      +0 µs  (parent 000000000000beef, not seen yet)"
    );
    assert!(lines[2].starts_with("├ … shop ⇐ GET /cut    agent_stopping"), "{}", lines[2]);
    assert!(lines[2].ends_with("(parent 000000000000beef, as its header says)"), "{}", lines[2]);
    assert_eq!(lines[3], "└ shop ⇐ GET           ?                   41.2 ms      +0 µs");
}

#[test]
fn colours_are_used_only_where_they_are_wanted() {
    assert!(!plain(&nine()).contains('\x1b'));
    assert!(printed(&nine(), Painter::new(true, None)).contains("\x1b[32m200\x1b[0m"));
}

#[test]
fn text_from_the_wire_cannot_steer_the_terminal() {
    let mut exported = call("a\x1b[2J", Kind::Server, (1, 0), "/x\x1b]0;y\x07\r\u{202e}", (0, 1)).exported();
    exported.span.attributes.push(text("error.type", "\x1b[31m"));
    let text = plain(&[exported]);
    assert!(!text.contains(['\x1b', '\x07', '\r', '\u{202e}']), "{text:?}");
}

#[test]
fn parents_that_lie_lose_no_span_and_end() {
    let lying = |id, parent| call("s", Kind::Server, (id, parent), "/x", (id, id + 1)).exported();
    let text = plain(&[lying(1, 1), lying(2, 3), lying(3, 2), lying(4, 3)]);
    assert_eq!(text.matches("GET /x").count(), 4, "{text}");
}

#[test]
fn a_chain_of_any_depth_is_printed() {
    let chain: Vec<_> =
        (1..=500).map(|id| call("s", Kind::Server, (id, id - 1), "/x", (id, 900)).exported()).collect();
    assert_eq!(plain(&chain).matches("GET /x").count(), 500);
}

#[test]
fn a_trace_is_due_when_it_has_been_quiet_since_its_root_came() {
    let mut traces = Traces::default();
    let begun = Instant::now();
    let at = |milliseconds| begun + Duration::from_millis(milliseconds);
    let nine = nine();
    nine.iter().take(8).for_each(|exported| traces.add(exported, begun));
    assert!(traces.take_due(at(1000)).is_empty(), "its root is still to come");
    nine.iter().skip(8).for_each(|exported| traces.add(exported, at(1000)));
    assert_eq!(traces.next_due(), Some(at(1300)));
    assert!(traces.take_due(at(1299)).is_empty());
    let due = traces.take_due(at(1300));
    assert_eq!((due.len(), due[0].lines.len(), traces.next_due()), (1, 9, None));
}

#[test]
fn traces_that_never_end_are_printed_at_a_bound() {
    let mut traces = Traces::default();
    let now = Instant::now();
    let resource = resource("s");
    for id in 1..=20_000 {
        let span = Span { trace_id: TraceId(u128::from(id)), ..span(id) };
        traces.add(&exported(span, &resource), now);
    }
    assert_eq!(traces.take_due(now).len(), 20_000 - 1024);
    assert_eq!(traces.take_all().len(), 1024);
    for id in 1..=20_000 {
        traces.add(&exported(span(id), &resource), now);
    }
    assert_eq!(traces.take_all().iter().map(|trace| trace.lines.len()).sum::<usize>(), 20_000);
}
