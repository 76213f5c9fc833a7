//! Which exchanges become spans: whole traces at a ratio, and a program that makes its spans itself.

use std::{
    collections::{BTreeMap, HashMap},
    thread,
};

use acceptance::{
    demo::{self, Services},
    http::get,
    load::{self, Load},
    sink::Sink,
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted, counter},
    token,
    wait::{LONG, poll, wait_until},
    workload::{Family, Language, application, instrumented},
};

const TRACES: u64 = 10_000;
const SENDERS: u64 = 8;

/// What is the same in two traces: kinds, services, and who called whom.
fn shape(spans: &[&Span]) -> Vec<String> {
    let by_id: HashMap<_, _> = spans.iter().map(|span| (span.span.as_str(), *span)).collect();
    let name = |span: &Span| format!("{} {:?} {}", span.service(), span.kind, span.path());
    let mut lines: Vec<_> = spans
        .iter()
        .map(|span| {
            let parent = span.parent.as_deref().map(|id| by_id.get(id).map_or("?".to_owned(), |it| name(it)));
            format!("{} of {parent:?}", name(span))
        })
        .collect();
    lines.sort();
    lines
}

#[test]
fn at_a_tenth_of_ten_thousand_traces_none_is_partial() {
    let _machine = live!();
    let services = Services::start();
    let whole = demo::TREE.lines().filter(|line| !line.trim().is_empty()).count();
    let environment =
        [("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.1")];
    let environment = environment.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
    let agent = Agent::start(&Options { environment, ..services.selection() });
    thread::scope(|scope| {
        for _ in 0..SENDERS {
            scope.spawn(|| (0..TRACES / SENDERS).for_each(|_| drop(services.order())));
        }
    });
    let total = TRACES * whole as u64;
    // What waits for its parent is given out within seconds.
    poll(LONG, || {
        let accounting = |term: &str| counter(&agent.counters(), &format!("/accounting/{term}"));
        (accounting("spans") + accounting("sampled_out") >= total).then_some(())
    });
    let finished = agent.stop();
    assert_accounted(&finished.counters);
    let spans = finished.counter("/accounting/spans");
    assert_eq!(finished.counter("/accounting/seen"), total, "{:#}", finished.counters);
    assert_eq!(spans + finished.counter("/accounting/sampled_out"), total, "{:#}", finished.counters);
    let mut traces: HashMap<&str, Vec<&Span>> = HashMap::new();
    for span in &finished.all {
        traces.entry(&span.trace).or_default().push(span);
    }
    let mut shapes: BTreeMap<Vec<String>, u64> = BTreeMap::new();
    for spans in traces.values() {
        *shapes.entry(shape(spans)).or_default() += 1;
    }
    assert!(shapes.len() == 1 && shapes.keys().all(|shape| shape.len() == whole), "{shapes:#?}");
    // A tenth, by four standard deviations.
    assert!((880..=1120).contains(&traces.len()), "{} traces are kept", traces.len());
    assert_eq!(finished.all.len() as u64, spans);
}

const REQUESTS: u64 = 200;

#[test]
fn a_program_with_an_sdk_between_two_plain_ones_is_in_one_trace_with_them() {
    let _machine = live!();
    let sink = Sink::start();
    let front = application(Language::Python, Family::Tcp, "A");
    let middle = instrumented("B", &sink.endpoint());
    let back = application(Language::Go, Family::Tcp, "C");
    let mut agent = Agent::start(&Options {
        exports: vec![format!("otlp-http={}", sink.endpoint())],
        recorded: true,
        ..Options::only([&front.process, &middle.process, &back.process])
    });
    // Until it has sent traces nobody knows.
    get(&middle.address, "/first").expect("a request to B");
    agent.process.wait_for("sends traces itself", LONG);
    let token = token();
    let last = back.call(&format!("/c/{token}/{{n}}"));
    let call = middle.call(&format!("/b/{token}/{{n}}%3Fcall={last}"));
    let outcome = load::run(&Load {
        requests: REQUESTS,
        connections: 5,
        ..Load::new(front.address.clone(), &format!("/a/{token}/{{n}}?call={call}"))
    });
    assert!(outcome.failed.is_empty(), "{:?}\n{}", outcome.failed, middle.process.log());
    let finished = agent.finish(&token, 3 * REQUESTS as usize);
    assert_accounted(&finished.counters);
    // The first request's span may have been given out before its trace was sent, or not.
    let instrumented = finished.counter("/accounting/instrumented");
    assert!((2 * REQUESTS..=2 * REQUESTS + 1).contains(&instrumented), "{instrumented}");
    let of_test =
        || sink.spans().into_iter().filter(|span| span.target().contains(&token)).collect::<Vec<_>>();
    wait_until("all spans are at the collector", LONG, || of_test().len() >= 5 * REQUESTS as usize);
    let spans = of_test();
    let mut requests: BTreeMap<String, Vec<&Span>> = BTreeMap::new();
    for span in &spans {
        requests.entry(span.path().rsplit('/').next().unwrap_or_default().to_owned()).or_default().push(span);
    }
    assert_eq!(requests.len() as u64, REQUESTS);
    for (number, spans) in requests {
        let the = |service: &str, kind: Kind| {
            let found: Vec<_> =
                spans.iter().filter(|it| it.service() == service && it.kind == kind).collect();
            assert_eq!(found.len(), 1, "{kind:?} of {service} for request {number}: {spans:#?}");
            *found[0]
        };
        let served = [the("A", Kind::Server), the("B", Kind::Server), the("C", Kind::Server)];
        let called = [the("A", Kind::Client), the("B", Kind::Client)];
        assert_eq!(spans.len(), 5, "{spans:#?}");
        assert!(spans.iter().all(|span| span.trace == spans[0].trace), "{spans:#?}");
        let parents = |spans: &[&Span]| spans.iter().map(|span| span.parent.clone()).collect::<Vec<_>>();
        // B got no header: its span is a root beside A's.
        assert_eq!(parents(&served), [None, None, Some(called[1].span.clone())]);
        assert_eq!(parents(&called), [Some(served[0].span.clone()), Some(served[1].span.clone())]);
    }
}

#[test]
fn a_header_that_is_not_sampled_makes_no_spans() {
    let _machine = live!();
    let server = application(Language::Go, Family::Tcp, "server");
    let agent = Agent::start(&Options::only([&server.process]));
    let token = token();
    for (flags, path) in [("00", "unsampled"), ("01", "sampled")] {
        let header = format!("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        super::curl(&["-H", &header, &format!("http://{}", server.call(&format!("/{token}/{path}")))]);
    }
    wait_until("one is sampled out", LONG, || counter(&agent.counters(), "/accounting/sampled_out") == 1);
    let finished = agent.finish(&token, 1);
    assert!(finished.spans[0].target().ends_with("/sampled"));
    assert_accounted(&finished.counters);
}
