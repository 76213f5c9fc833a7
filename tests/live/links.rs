//! Parents at 50 requests at once, and through proxies: every one right, told by the ids in the paths.

use std::{collections::HashMap, process::Command};

use acceptance::{
    load::{self, Load, made_ids},
    process::Process,
    span::{Kind, Span},
    spandrel::{Agent, Options},
    target_directory, token,
    wait::LONG,
    workload::{Family, Language, Proxy, application, proxy},
};

const CONCURRENT: u64 = 50;
const REQUESTS: u64 = 1_000;

#[test]
fn fifty_requests_at_once_have_their_own_calls_in_python() {
    own_calls(Language::Python);
}

#[test]
fn fifty_requests_at_once_have_their_own_calls_in_java() {
    own_calls(Language::Java);
}

#[test]
fn fifty_requests_at_once_have_their_own_calls_in_ruby() {
    own_calls(Language::Ruby);
}

/// Each request makes the server call `/leaf/N` of a slow backend, N its own number.
fn own_calls(language: Language) {
    let _machine = live!();
    let back = application(Language::Go, Family::Tcp, "back");
    let front = application(language, Family::Tcp, "front");
    let agent = Agent::start(&Options { recorded: true, ..Options::only([&front.process, &back.process]) });
    let token = token();
    let call = back.call(&format!("/leaf/{token}/{{n}}"));
    let load = Load {
        requests: REQUESTS,
        connections: CONCURRENT,
        reconnect: language == Language::Ruby,
        ..Load::new(front.address.clone(), &format!("/work/{token}/{{n}}?sleep=20&call={call}"))
    };
    let outcome = load::run(&load);
    assert!(outcome.failed.is_empty(), "{:?}\n{}", outcome.failed, front.process.log());
    let finished = agent.finish(&token, 3 * REQUESTS as usize);
    let spans: HashMap<_, _> = finished.spans.iter().map(|span| (span.span.as_str(), span)).collect();
    let number = |span: &Span| span.path().rsplit('/').next().unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    for span in &finished.spans {
        let parent = span.parent.as_deref().and_then(|id| spans.get(id)).map(|parent| {
            (parent.kind, number(parent), parent.path().starts_with("/work/"), parent.trace == span.trace)
        });
        let expected = match (span.kind, span.path().starts_with("/work/")) {
            (Kind::Server, true) => None,
            (Kind::Client, _) => Some((Kind::Server, number(span), true, true)),
            (Kind::Server | Kind::Other, _) => Some((Kind::Client, number(span), false, true)),
        };
        if parent != expected {
            wrong.push(format!("{}: parent {parent:?}, expected {expected:?}", span.label()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong parents, among them:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(10)].join("\n")
    );
}

const THROUGH: u64 = 10_000;

#[test]
fn a_header_that_nginx_forwards_keeps_nginx_in_the_trace() {
    through(Proxy::Nginx, true);
}

#[test]
fn a_header_that_haproxy_forwards_keeps_haproxy_in_the_trace() {
    through(Proxy::HaProxy, true);
}

#[test]
fn behind_an_untraced_nginx_the_header_names_the_parent() {
    through(Proxy::Nginx, false);
}

#[test]
fn behind_an_untraced_haproxy_the_header_names_the_parent() {
    through(Proxy::HaProxy, false);
}

/// A is the load generator, whose `traceparent` is its own; C is a server in Go.
fn through(kind: Proxy, traced: bool) {
    let _machine = live!();
    let c = application(Language::Go, Family::Tcp, "C");
    let middle = proxy(kind, Family::Tcp, &c.address);
    let token = token();
    let mut command = Command::new(load_program());
    command.arg(middle.address.to_string()).arg(format!("/proxy/{token}/{{n}}"));
    command.arg(format!("requests={THROUGH}")).args(["connections=20", "traceparent=true"]);
    let mut a = Process::start("A", command.env("OTEL_SERVICE_NAME", "A"));
    a.wait_for("ready", LONG);
    let mut selected = vec![&a, &c.process];
    selected.extend(traced.then_some(&middle.process));
    let agent = Agent::start(&Options { recorded: true, ..Options::only(selected) });
    a.write(b"\n");
    let status = a.wait(LONG * 6);
    assert!(status.success(), "{}\n{}", a.log(), middle.process.log());
    let finished = agent.finish(&token, THROUGH as usize * if traced { 4 } else { 2 });
    let spans: HashMap<_, _> = finished.spans.iter().map(|span| (span.span.as_str(), span)).collect();
    let mut right = 0;
    for span in finished.spans.iter().filter(|span| span.kind == Kind::Server && span.service() == "C") {
        let number = span.path().rsplit('/').next().and_then(|n| n.parse().ok()).expect("a number");
        let (trace, header) = made_ids(number);
        let parent = span.parent.as_deref().expect("C's span has a parent");
        let expected = if traced {
            // The proxy's client span, its server span, A's client span, and what A's header says.
            let chain: Vec<_> =
                std::iter::successors(spans.get(parent), |span| spans.get(span.parent.as_deref()?))
                    .map(|span| (span.kind, span.path() == format!("/proxy/{token}/{number}")))
                    .collect();
            let top =
                std::iter::successors(Some(span), |span| spans.get(span.parent.as_deref()?).copied()).last();
            chain == [(Kind::Client, true), (Kind::Server, true), (Kind::Client, true)]
                && top.and_then(|span| span.parent.as_deref()) == Some(header.as_str())
        } else {
            parent == header
        };
        assert!(
            expected && span.trace == trace,
            "request {number}: {span:#?}\nits parent: {:#?}",
            spans.get(parent)
        );
        right += 1;
    }
    assert_eq!(right, THROUGH);
}

/// The load generator as a program of its own, beside this one.
fn load_program() -> std::path::PathBuf {
    let path = std::path::PathBuf::from(env!("CARGO_BIN_EXE_load"));
    assert!(path.exists(), "{} is missing below {}", path.display(), target_directory().display());
    path
}
