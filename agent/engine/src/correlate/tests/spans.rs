use super::*;
use crate::{
    protocol::Unseen,
    span::{Status, Value},
};

/// One exchange; what its span says, in order.
fn span(
    side: Side,
    method: &str,
    target: &str,
    fields: &[(&str, &str)],
    end: impl FnOnce(&mut World, At),
) -> Span {
    let mut world = World::new();
    let socket = world.elsewhere();
    let at = world.start(socket, side, task(10, 10));
    world.head(at, task(10, 10), method, target, fields);
    end(&mut world, at);
    world.all().pop().unwrap()
}

fn ok(world: &mut World, at: At) {
    world.answer(at, task(10, 10));
}

fn text(span: &Span) -> Vec<String> {
    let value = |value: &Value| match value {
        Value::String(text) => text.to_string(),
        Value::Integer(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Strings(texts) => texts.join(","),
    };
    span.attributes.iter().map(|attribute| format!("{}={}", attribute.key, value(&attribute.value))).collect()
}

fn attribute(span: &Span, name: &str) -> Option<String> {
    text(span).into_iter().find_map(|text| Some(text.strip_prefix(name)?.strip_prefix('=')?.to_owned()))
}

#[test]
fn a_server_span_has_the_attributes_of_the_conventions_and_no_others() {
    let fields = &[("Host", "shop.example:8080"), ("User-Agent", "curl/8"), ("Cookie", "secret")];
    let span = span(Side::Server, "GET", "/a/b?c=d&e", fields, ok);
    assert_eq!(span.name, "GET");
    assert_eq!(span.status, Status::Unset);
    assert_eq!(
        text(&span),
        [
            "http.request.method=GET",
            "url.path=/a/b",
            "url.query=c=d&e",
            "url.scheme=http",
            "server.address=shop.example",
            "server.port=8080",
            "user_agent.original=curl/8",
            "network.protocol.version=1.1",
            "http.response.status_code=200",
            "client.address=192.0.2.1",
            "network.peer.address=192.0.2.1",
            "network.peer.port=1025",
        ]
    );
}

#[test]
fn a_client_span_has_the_attributes_of_the_conventions_and_no_others() {
    let fields = &[("Host", "shop.example"), ("User-Agent", "curl/8")];
    let span = span(Side::Client, "POST", "/a?b", fields, ok);
    assert_eq!(
        text(&span),
        [
            "http.request.method=POST",
            "server.address=shop.example",
            "server.port=80",
            "url.full=http://shop.example/a?b",
            "network.protocol.version=1.1",
            "http.response.status_code=200",
            "network.peer.address=192.0.2.1",
            "network.peer.port=1025",
        ]
    );
}

#[test]
fn every_target_form_gives_its_url() {
    let host = &[("host", "h:81")][..];
    for (method, target, fields, full, address) in [
        ("GET", "/", host, Some("http://h:81/"), "h"),
        ("GET", "/", &[][..], Some("http://192.0.2.1:1025/"), "192.0.2.1"),
        ("GET", "https://x.example?q", host, Some("https://x.example?q"), "x.example"),
        ("GET", "http://[2001:db8::1]:9/p", host, Some("http://[2001:db8::1]:9/p"), "2001:db8::1"),
        ("GET", "http://user:word@x/p", host, Some("http://REDACTED:REDACTED@x/p"), "x"),
        ("GET", "/", &[("host", "user:word@x")][..], Some("http://REDACTED:REDACTED@x/"), "x"),
        ("OPTIONS", "*", host, Some("http://h:81"), "h"),
        ("CONNECT", "t.example:443", host, None, "t.example"),
        ("GET", "/", &[("host", "a"), ("host", "b")][..], Some("http://192.0.2.1:1025/"), "192.0.2.1"),
    ] {
        let span = span(Side::Client, method, target, fields, ok);
        assert_eq!(attribute(&span, "url.full").as_deref(), full, "{method} {target}");
        assert_eq!(attribute(&span, "server.address").as_deref(), Some(address), "{method} {target}");
    }
}

#[test]
fn an_absolute_target_of_a_server_loses_its_credentials_and_overrides_host() {
    let span = span(Side::Server, "GET", "http://user:word@x/p?q", &[("host", "h")], ok);
    assert_eq!(attribute(&span, "url.path").as_deref(), Some("/p"));
    assert_eq!(attribute(&span, "server.address").as_deref(), Some("x"));
    assert!(!text(&span).iter().any(|text| text.contains("word")));
}

#[test]
fn methods_keep_their_name_if_they_are_known() {
    for method in ["GET", "QUERY", "PATCH", "CONNECT", "TRACE"] {
        let span = span(Side::Server, method, "/", &[], ok);
        assert_eq!((&*span.name, attribute(&span, "http.request.method").as_deref()), (method, Some(method)));
        assert_eq!(attribute(&span, "http.request.method_original"), None);
    }
    for method in ["PROPFIND", "get"] {
        let span = span(Side::Server, method, "/", &[], ok);
        assert_eq!(span.name, "HTTP");
        assert_eq!(attribute(&span, "http.request.method").as_deref(), Some("_OTHER"));
        assert_eq!(attribute(&span, "http.request.method_original").as_deref(), Some(method));
    }
}

#[test]
fn client_errors_are_the_clients_and_server_errors_are_both_sides() {
    for (side, status, error) in [
        (Side::Server, 200, false),
        (Side::Server, 404, false),
        (Side::Server, 500, true),
        (Side::Client, 399, false),
        (Side::Client, 404, true),
        (Side::Client, 503, true),
    ] {
        let span = span(side, "GET", "/", &[], |world, at| world.response(at, task(10, 10), status));
        assert_eq!(span.status != Status::Unset, error, "{side:?} {status}");
        assert_eq!(attribute(&span, "error.type"), error.then(|| status.to_string()));
    }
}

#[test]
fn failures_have_a_type_and_what_is_no_failure_says_why_it_is_incomplete() {
    for (ending, error, incomplete) in [
        (Ending::Failed(104), Some("connection_reset"), None),
        (Ending::Failed(32), Some("connection_reset"), None),
        (Ending::Failed(110), Some("timeout"), None),
        (Ending::Failed(111), Some("connection_refused"), None),
        (Ending::Failed(113), Some("unreachable"), None),
        (Ending::Failed(5), Some("connection_failed"), None),
        (Ending::Closed { by_peer: false }, Some("connection_closed"), None),
        (Ending::Upgraded, None, None),
        (Ending::Gap, None, Some("gap")),
        (Ending::Malformed, None, Some("malformed")),
        (Ending::Unseen(Unseen::AgentStopped), None, Some("agent_stopped")),
        (Ending::Unseen(Unseen::Swept), None, Some("swept")),
        (Ending::Unseen(Unseen::Evicted), None, Some("evicted")),
    ] {
        for side in [Side::Client, Side::Server] {
            let span = span(side, "GET", "/", &[], |world, at| world.end(at, ending));
            assert_eq!(attribute(&span, "error.type").as_deref(), error, "{ending:?}");
            assert_eq!(attribute(&span, "spandrel.incomplete").as_deref(), incomplete, "{ending:?}");
            assert_eq!(span.status != Status::Unset, error.is_some(), "{ending:?}");
            assert_eq!(attribute(&span, "http.response.status_code"), None);
        }
    }
}

#[test]
fn a_request_without_a_head_is_a_span_that_knows_only_its_peer() {
    let mut world = World::new();
    let socket = world.elsewhere();
    let at = world.start(socket, Side::Server, task(10, 10));
    world.end(at, Ending::Closed { by_peer: false });
    let span = world.all().pop().unwrap();
    assert_eq!(span.name, "HTTP");
    assert_eq!(
        text(&span),
        [
            "client.address=192.0.2.1",
            "network.peer.address=192.0.2.1",
            "network.peer.port=1025",
            "error.type=connection_closed",
        ]
    );
}

#[test]
fn a_target_beyond_the_bound_is_cut_and_marked() {
    for (length, cut) in [(limit::TARGET_MAX, false), (limit::TARGET_MAX + 1, true)] {
        let target = format!("/{}", "a".repeat(length - 1));
        let span = span(Side::Server, "GET", &target, &[], ok);
        assert_eq!(attribute(&span, "url.path").unwrap().len(), limit::TARGET_MAX);
        assert_eq!(attribute(&span, "spandrel.target_truncated").is_some(), cut);
    }
}

#[test]
fn the_link_method_stands_on_the_span() {
    let span = span(Side::Server, "GET", "/", &[("traceparent", TRACEPARENT)], ok);
    assert_eq!(attribute(&span, "spandrel.link.method").as_deref(), Some("header"));
    assert_eq!(span.parent.map(|parent| parent.span_id.0), Some(SPAN));
    assert_eq!(span.trace_id.0, TRACE);
}

#[test]
fn times_are_those_of_the_first_and_the_last_byte() {
    for (side, start) in [(Side::Client, TICK), (Side::Server, 2 * TICK)] {
        let mut world = World::new();
        let socket = world.elsewhere();
        let begin = world.now;
        let at = world.request(socket, side, task(10, 10), &[]);
        world.answer(at, task(10, 10));
        let end = world.now;
        let span = world.all().pop().unwrap();
        assert_eq!((span.start - begin, span.end), (start, end), "{side:?}");
    }
}

#[test]
fn a_unix_peer_is_its_path_and_no_client_address() {
    for (path, shown) in [(b"/run/app".as_slice(), Some("/run/app")), (b"\0app", Some("@app")), (b"", None)] {
        let mut world = World::new();
        let end = || Endpoint::Unix(path.into());
        let open = world.open_record(0, 0);
        let socket = world.open(&Open { local: end(), remote: end(), ..open });
        let at = world.read(socket, task(10, 10));
        world.answer(at, task(10, 10));
        let span = world.all().pop().unwrap();
        assert_eq!(attribute(&span, "network.peer.address").as_deref(), shown);
        assert_eq!(attribute(&span, "client.address"), None);
        assert_eq!(attribute(&span, "network.peer.port"), None);
    }
}
