use super::*;
use crate::span::{Attributes, Kind};

fn span(id: &str, parent: Option<&str>, path: &str, start: u64) -> Span {
    let attributes = [("http.request.method", "GET"), ("url.path", path)];
    Span {
        name: "GET".to_owned(),
        kind: Kind::Server,
        trace: "t".to_owned(),
        span: id.to_owned(),
        parent: parent.map(str::to_owned),
        attributes: attributes.map(|(key, value)| (key.to_owned(), value.into())).into(),
        resource: Attributes::from([("service.name".to_owned(), "s".into())]),
        status: 0,
        start,
        end: start,
        links: Vec::new(),
        events: Vec::new(),
    }
}

#[test]
fn a_tree_shows_parents_order_and_what_is_missing() {
    let spans = [
        span("1", None, "/root", 1),
        span("3", Some("1"), "/late", 3),
        span("2", Some("1"), "/early", 2),
        span("4", Some("9"), "/stray", 0),
    ];
    let tree = "
        ^s server GET /stray
        s server GET /root
          s server GET /early
          s server GET /late
    ";
    assert_tree(&spans, tree);
}

#[test]
#[should_panic(expected = "the trace differs")]
fn a_missing_span_is_a_difference() {
    assert_tree(&[span("1", None, "/root", 1)], "s server GET /root\n  s server GET /child");
}
