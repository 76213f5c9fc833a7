//! Each selector's processes are treated as its settings say, and what a rule ignores is nowhere but in its counter.

use std::{process::Command, thread};

use acceptance::{
    http::{Address, Connection, get},
    sink::Inbox,
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    wait::{LONG, poll, wait_until},
    workload::{Family, Language, Server, application, nginx},
};

use crate::curl_by;

/// Without a trace, in one that is sampled, and in one that is not.
const CALLERS: [(&str, &str); 3] = [
    ("none", ""),
    ("sampled", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"),
    ("unsampled", "traceparent: 00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00\r\n"),
];

fn request_all(server: &Server, token: &str) {
    for (caller, header) in CALLERS {
        let mut connection = Connection::open(&server.address).unwrap();
        let request = format!(
            "GET /{caller}/{token} HTTP/1.1\r\nHost: shop\r\nX-First: one\r\nX-Second: two\r\n{header}\r\n"
        );
        connection.send(request).unwrap();
        let answer = connection.receive(false).unwrap().expect("an answer");
        assert_eq!(answer.status(), Some(200), "{}", server.process.log());
    }
}

/// Selects the processes of a server, with these settings.
fn select(server: &Server, settings: &str) -> Vec<String> {
    let pids = server.process.pids();
    pids.iter().map(|pid| format!("{{ pid: {pid}, settings: {{ {settings} }} }}")).collect()
}

type Shape = (String, String, [Option<String>; 4]);

/// Who served, who called, and what of the attributes the settings decide.
fn shape(span: &Span) -> Shape {
    let caller = span.path().split('/').nth(1).unwrap_or_default().to_owned();
    let names = ["team", "tier", "http.request.header.x-first", "http.request.header.x-second"];
    let values = names.map(|name| {
        let value = span.attributes.get(name)?;
        match value.as_array() {
            Some(values) => values.first()?.as_str().map(|value| format!("[{value}]")),
            None => value.as_str().map(str::to_owned),
        }
    });
    (span.service().to_owned(), caller, values)
}

#[test]
fn each_selector_has_its_own_exporter_headers_sampler_header_list_and_attributes() {
    let _machine = live!();
    let servers = ["first", "second", "third"].map(|name| application(Language::Python, Family::Tcp, name));
    let inboxes = [Inbox::start(), Inbox::start()];
    let [first, second] = [
        "sampler: always_on, headers: { request: [x-first] }, attributes: { team: shop }",
        "sampler: parentbased_always_off, headers: { request: [x-second] }, attributes: { tier: back }",
    ];
    let to = |inbox: &Inbox, tenant: &str| {
        let endpoint = inbox.endpoint();
        format!("export: ['otlp-http={endpoint}'], export_headers: {{ x-tenant: {tenant} }}")
    };
    let settings = [
        format!("{first}, {}", to(&inboxes[0], "one")),
        format!("{second}, {}", to(&inboxes[1], "two")),
        "export: []".to_owned(),
    ];
    let environment = [("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=nobody,x-general=all")];
    let agent = Agent::start(&Options {
        select: servers.iter().zip(&settings).flat_map(|(server, it)| select(server, it)).collect(),
        settings: vec!["attributes: { team: nobody }".to_owned()],
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        ..Options::default()
    });
    let token = token();
    for server in &servers {
        request_all(server, &token);
    }
    wait_until("each inbox has its spans", LONG, || {
        inboxes.iter().map(|inbox| inbox.spans().len()).eq([3, 1])
    });
    let finished = agent.stop();

    let shapes = |inbox: &Inbox| {
        let mut shapes: Vec<_> = inbox.spans().iter().map(shape).collect();
        shapes.sort_unstable();
        shapes
    };
    let row = |service: &str, caller: &str, values: [Option<&str>; 4]| -> Shape {
        (service.to_owned(), caller.to_owned(), values.map(|value| value.map(str::to_owned)))
    };
    let of_first = [Some("shop"), None, Some("[one]"), None];
    let expected = ["none", "sampled", "unsampled"].map(|caller| row("first", caller, of_first));
    assert_eq!(shapes(&inboxes[0]), expected, "every trace, whatever its caller decided");
    let of_second = [Some("nobody"), Some("back"), None, Some("[two]")];
    assert_eq!(shapes(&inboxes[1]), [row("second", "sampled", of_second)], "as its caller decided");
    for (inbox, tenant) in inboxes.iter().zip(["one", "two"]) {
        for request in inbox.requests() {
            let of = |name| request.header(name);
            assert_eq!((of("x-tenant"), of("x-general")), (Some(tenant), Some("all")), "{request:?}");
        }
    }

    // All others would go where the spans of the harness go.
    assert!(finished.all.is_empty(), "{:#?}", finished.all);
    let accounting = |term: &str| finished.counter(&format!("/accounting/{term}"));
    let terms = ["seen", "spans", "sampled_out", "nowhere"].map(accounting);
    // The third has the sampler of all others, which goes by what a caller decided.
    assert_eq!(terms, [9, 6, 3, 2], "{:#}", finished.counters);
    let destinations = finished.counters["destinations"].as_object().unwrap();
    let mut handed: Vec<_> =
        destinations.values().map(|it| (it["handed"].as_u64(), it["accepted"].as_u64())).collect();
    handed.sort_unstable();
    assert_eq!(handed, [0, 1, 3].map(|spans| (Some(spans), Some(spans))), "{:#}", finished.counters);
}

const REQUESTS: u64 = 5;

#[test]
fn what_a_rule_ignores_and_what_it_causes_makes_no_span_and_is_counted() {
    let _machine = live!();
    let front = application(Language::Python, Family::Tcp, "front");
    let back = application(Language::Python, Family::Tcp, "back");
    let agent = Agent::start(&Options {
        settings: vec!["ignore: [{ method: GET, path: '/healthz/**' }]".to_owned()],
        ..Options::only([&front.process, &back.process])
    });
    let token = token();
    for number in 0..REQUESTS {
        for path in ["healthz", "orders"] {
            let call = back.call(&format!("/back/{token}/{path}/{number}"));
            get(&front.address, &format!("/{path}/{token}/{number}?call={call}")).unwrap();
        }
    }
    poll(LONG, || {
        let counted = acceptance::spandrel::counter(&agent.counters(), "/accounting/ignored");
        (counted >= 3 * REQUESTS).then_some(())
    });
    let finished = agent.finish(&token, 3 * REQUESTS as usize);
    assert_accounted(&finished.counters);
    assert_eq!(finished.counter("/accounting/ignored"), 3 * REQUESTS, "{:#}", finished.counters);
    assert_eq!(finished.counter("/engine/exchanges_ignored"), 3 * REQUESTS, "{:#}", finished.counters);
    assert_eq!(finished.all.len(), finished.spans.len());
    assert!(finished.all.iter().all(|span| !span.target().contains("healthz")), "{:#?}", finished.all);
    for (service, kind) in [("front", Kind::Server), ("front", Kind::Client), ("back", Kind::Server)] {
        let found = finished.all.iter().filter(|span| span.service() == service && span.kind == kind);
        assert_eq!(found.count() as u64, REQUESTS, "{service} {kind:?}");
    }
}

/// Programs that are not selected start one another, ten times in a row, and the last one what is selected. The agent is
/// behind by some of them; what it still decides about those does not hold for what runs by now.
#[test]
fn a_program_behind_a_chain_of_others_is_traced_from_its_first_request() {
    const CHAINS: usize = 4;
    const REQUESTS: usize = 200;
    let _machine = live!();
    let server = nginx(Family::Tcp);
    let Address::Tcp(address) = &server.address else { panic!("not a TCP address") };
    let agent = Agent::start(&Options { select: vec!["{exe: curl}".to_owned()], ..Options::default() });
    let token = token();
    thread::scope(|scope| {
        for chain in 0..CHAINS {
            let token = &token;
            scope.spawn(move || {
                for index in 0..REQUESTS {
                    let mut command = Command::new("env");
                    command.args(["env"; 9]).arg("curl");
                    curl_by(command, &[&format!("http://{address}/{token}/{chain}/{index}")]);
                }
            });
        }
    });
    agent.finish(&token, CHAINS * REQUESTS);
}
