use super::*;
use crate::policy::{
    Ignore,
    ignore::{Rule, Status},
};

fn ignoring(rule: Rule) -> World {
    World::governed(Policy { ignore: Ignore::new(vec![rule]).unwrap(), ..Policy::default() })
}

fn path(path: &str) -> Rule {
    Rule { path: Some(path.parse().unwrap()), ..Rule::default() }
}

/// A request to this path, in which the server calls another one, and how that one and it answer. Four exchanges.
fn probe(world: &mut World, target: &str, status: u16) {
    let (hop, next) = (world.connect(), world.connect());
    let (a, b, c) = (task(10, 10), task(20, 20), task(30, 30));
    let sent = world.start(hop.client, Side::Client, a);
    world.head(sent, a, "GET", target, &[("user-agent", "kube-probe/1.31")]);
    let read = world.start(hop.server, Side::Server, b);
    world.head(read, b, "GET", target, &[("user-agent", "kube-probe/1.31")]);
    let call = world.send(next.client, b);
    let served = world.read(next.server, c);
    world.answer(served, c);
    world.answer(call, b);
    world.response(read, b, status);
    world.response(sent, a, status);
}

#[test]
fn an_ignored_request_makes_no_span_at_either_end_nor_do_the_calls_it_caused() {
    let agent = Rule { user_agent: Some("kube-probe".parse().unwrap()), ..Rule::default() };
    let method = Rule { method: Some("GET".into()), ..path("/healthz") };
    for rule in [path("/healthz"), path("/health*"), agent, method] {
        let mut world = ignoring(rule);
        probe(&mut world, "/healthz?verbose", 200);
        assert_eq!(world.all(), []);
        assert_eq!(world.correlator.accounting.ignored, 4);
        assert_eq!(world.counted(Counter::Ignored), 4);
    }
    let mut world = ignoring(path("/healthz"));
    probe(&mut world, "/health", 200);
    assert_eq!(world.all().len(), 4);
}

#[test]
fn a_rule_by_status_decides_at_the_end() {
    for (rule, status, ignored) in
        [("404", 404, true), ("4xx", 404, true), ("5xx", 404, false), ("404", 200, false)]
    {
        let status_rule = Some(rule.parse::<Status>().unwrap());
        let mut world = ignoring(Rule { status: status_rule, ..path("/missing") });
        probe(&mut world, "/missing", status);
        assert_eq!(world.all().len(), if ignored { 0 } else { 4 }, "{rule} {status}");
        assert_eq!(world.correlator.accounting.ignored, if ignored { 4 } else { 0 });
    }
}

#[test]
fn a_rule_by_port_is_about_the_server_and_takes_the_client_on_this_host_with_it() {
    let mut world = ignoring(Rule { port: Some(80), ..Rule::default() });
    probe(&mut world, "/", 200);
    assert_eq!(world.all(), []);
    // A client's port is no listening one, and its server elsewhere is not known.
    let elsewhere = world.elsewhere();
    let call = world.send(elsewhere, task(40, 40));
    world.answer(call, task(40, 40));
    assert_eq!(world.spans(), [], "its server may be on this host, and ignored");
    assert_eq!(world.all().len(), 1);
    let mut world = ignoring(Rule { port: Some(81), ..Rule::default() });
    probe(&mut world, "/", 200);
    assert_eq!(world.all().len(), 4);
}

#[test]
fn calls_of_an_ignored_request_make_no_span_though_they_carry_a_trace_header() {
    for (status, expected) in [(200, 0), (404, 5)] {
        let rule = Rule { status: Some("200".parse().unwrap()), ..path("/healthz") };
        let mut world = ignoring(rule);
        let (hop, next, away) = (world.connect(), world.connect(), world.elsewhere());
        let (a, b, c) = (task(10, 10), task(20, 20), task(30, 30));
        let header = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
        let sent = world.start(hop.client, Side::Client, a);
        world.head(sent, a, "GET", "/healthz", &[]);
        let read = world.start(hop.server, Side::Server, b);
        world.head(read, b, "GET", "/healthz", &[]);
        let call = world.start(next.client, Side::Client, b);
        world.head(call, b, "GET", "/made", &header);
        let served = world.start(next.server, Side::Server, c);
        world.head(served, c, "GET", "/made", &header);
        world.answer(served, c);
        world.answer(call, b);
        let further = world.start(away, Side::Client, b);
        world.head(further, b, "GET", "/made", &header);
        world.answer(further, b);
        assert_eq!(world.spans(), [], "what becomes of their owner is not known");
        world.response(read, b, status);
        world.response(sent, a, status);
        // What the same task calls later is none of that request's.
        let other = world.read(hop.server, b);
        let kept = world.start(away, Side::Client, b);
        world.head(kept, b, "GET", "/made", &header);
        world.answer(kept, b);
        world.answer(other, b);
        assert_eq!(world.all().len(), expected + 2, "{status}");
    }
}

#[test]
fn the_owner_of_an_ignored_call_keeps_its_span() {
    let mut world = ignoring(path("/healthz"));
    let (from, hop) = (world.elsewhere(), world.connect());
    let (a, b) = (task(10, 10), task(20, 20));
    let read = world.read(from, a);
    let call = world.start(hop.client, Side::Client, a);
    world.head(call, a, "GET", "/healthz", &[]);
    let served = world.start(hop.server, Side::Server, b);
    world.head(served, b, "GET", "/healthz", &[]);
    for (at, task) in [(served, b), (call, a), (read, a)] {
        world.answer(at, task);
    }
    let spans = world.all();
    assert_eq!(spans.len(), 1);
    is_root(the(&spans, Kind::Server, 10));
}

#[test]
fn a_path_that_was_not_captured_whole_is_not_ignored() {
    let mut world = ignoring(path("/**"));
    let from = world.elsewhere();
    let one = task(10, 10);
    for target in ["/cut", "/whole?query-that-was-cut"] {
        let at = world.start(from, Side::Server, one);
        let call = Call { enter: world.now, exit: world.now, tid: 10, task: one };
        let head = RequestHead {
            version: Version::Http11,
            method: Some(b"GET"),
            target: Some(target.as_bytes()),
            target_truncated: true,
            authority: None,
            scheme: None,
            fields: &[],
            fields_incomplete: true,
            call,
        };
        world.watch(from, |out| out.request_head(at.number, &head));
        world.answer(at, one);
    }
    assert_eq!(world.all().len(), 1);
    assert_eq!(world.correlator.accounting.ignored, 1);
}
