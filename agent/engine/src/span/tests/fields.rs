use super::*;

const REQUEST: &str = "POST /a HTTP/1.1\r\nHost: shop\r\nX-Tenant: blue\r\nCookie: a=b\r\nx-tenant: red\r\nAuthorization: Basic eA==\r\nContent-Length: 3\r\nUser-Agent: curl/8\r\nReferer: http://u:p@x/?sig=1\r\n\r\nxyz";
const RESPONSE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Cache: HIT\r\nSet-Cookie: a=b\r\n\r\nhello";

#[test]
fn header_fields_on_the_lists_become_arrays_and_no_others() {
    let headers = |policy: &mut Policy| {
        policy.headers =
            Headers { request: names(&["X-TENANT", "referer", "absent"]), response: names(&["x-cache"]) };
    };
    serve(REQUEST).policy(headers).answer(RESPONSE).gives(
        "POST | Server | Unset
         http.request.method=POST
         http.request.header.x-tenant=[blue|red]
         http.request.header.referer=[http://REDACTED:REDACTED@x/?sig=REDACTED]
         http.response.header.x-cache=[HIT]
         url.path=/a
         url.scheme=http
         server.address=shop
         server.port:80
         user_agent.original=curl/8
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    call(REQUEST).policy(headers).answer(RESPONSE).gives(
        "POST | Client | Unset
         http.request.method=POST
         http.request.header.x-tenant=[blue|red]
         http.request.header.referer=[http://REDACTED:REDACTED@x/?sig=REDACTED]
         http.response.header.x-cache=[HIT]
         url.full=http://shop/a
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn credentials_cannot_be_put_on_a_list() {
    for name in ["Authorization", "cookie", "SET-COOKIE", "Proxy-Authorization"] {
        let message = HeaderNames::new([name]).unwrap_err().to_string();
        assert!(message.contains(&format!("`{name}`")) && message.contains("never exported"), "{message}");
    }
    for name in ["", "a b", ":path", "a:"] {
        assert!(HeaderNames::new([name]).unwrap_err().to_string().contains(&format!("`{name}`")));
    }
    let many = (0..65).map(|number| format!("x-{number}"));
    assert!(HeaderNames::new(many).unwrap_err().to_string().contains("65"));
}

#[test]
fn fields_beyond_the_bound_are_left_out_whole_and_counted() {
    let long = "v".repeat(limit::HEADERS_KEPT_MAX);
    let request = get("/", &format!("X-A: {long}\nX-B: short"));
    let (span, engine) =
        serve(request).policy(|policy| policy.headers.request = names(&["x-a", "x-b"])).ok().play();
    let shown: Vec<_> =
        span.attributes.iter().filter(|it| it.key.starts_with("http.request.header")).collect();
    assert_eq!(shown.into_iter().map(show).collect::<Vec<_>>(), ["http.request.header.x-b=[short]"]);
    assert_eq!(engine.counters().value(Counter::HeadersLeftOut), 1);
}

#[test]
fn opt_in_attributes_are_there_when_named() {
    let all = |policy: &mut Policy| policy.opt_in = OptIn::new(crate::policy::opt_in::NAMES).unwrap();
    serve(REQUEST).policy(all).answer(RESPONSE).gives(
        "POST | Server | Unset
         http.request.method=POST
         http.request.body.size:3
         http.response.body.size:5
         url.path=/a
         url.scheme=http
         server.address=shop
         server.port:80
         user_agent.original=curl/8
         network.protocol.version=1.1
         network.local.address=192.0.2.1
         network.local.port:8080
         network.transport=tcp
         network.type=ipv4
         http.response.status_code:200
         PEER
         event spandrel.first_byte",
    );
    call(REQUEST).policy(all).answer("HTTP/1.1 100 Continue\r\n\r\n").answer(RESPONSE).gives(
        "POST | Client | Unset
         http.request.method=POST
         http.request.body.size:3
         http.response.body.size:5
         url.full=http://shop/a
         url.scheme=http
         server.address=shop
         server.port:80
         user_agent.original=curl/8
         network.protocol.version=1.1
         network.local.address=192.0.2.1
         network.local.port:40000
         network.transport=tcp
         network.type=ipv4
         http.response.status_code:200
         PEER
         event spandrel.informational http.response.status_code:100
         event spandrel.first_byte",
    );
}

#[test]
fn opt_in_attributes_of_a_unix_socket() {
    let names = ["network.local.address", "network.local.port", "network.transport", "network.type"];
    serve(get("/", ""))
        .policy(|policy| policy.opt_in = OptIn::new(names).unwrap())
        .between(End::Unix(b"/run/shop"), End::Unix(b"/run/shop"))
        .ok()
        .gives(
            "GET | Server | Unset
             http.request.method=GET
             url.path=/
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             network.local.address=/run/shop
             network.transport=unix
             http.response.status_code:200
             network.peer.address=/run/shop",
        );
}

#[test]
fn a_body_whose_end_was_not_seen_has_no_size() {
    let sizes = ["http.request.body.size", "http.response.body.size"];
    serve("POST /a HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\n\r\nx")
        .policy(|policy| policy.opt_in = OptIn::new(sizes).unwrap())
        .answer("HTTP/1.1 400 X\r\nContent-Length: 5\r\n\r\nhe")
        .failed(104)
        .gives(
            "POST | Server | Error
             http.request.method=POST
             url.path=/a
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:400
             error.type=connection_reset
             event spandrel.reset
             PEER",
        );
}

#[test]
fn what_cannot_be_opted_in_to_is_refused_with_what_can() {
    let message = OptIn::new(["http.request.size"]).unwrap_err().to_string();
    assert!(
        message.contains("`http.request.size`") && message.contains("http.request.body.size"),
        "{message}"
    );
}

#[test]
fn static_attributes_are_on_every_span_of_the_process() {
    let attribute = |policy: &mut Policy| {
        let value = Value::String("production".into());
        policy.attributes = vec![Attribute { key: "deployment.environment.name".into(), value }];
    };
    for (case, kind, url) in [
        (serve(get("/", "")), "Server", "url.path=/\nurl.scheme=http"),
        (call(get("/", "")), "Client", "url.full=http://shop/"),
    ] {
        case.policy(attribute).ok().gives(&format!(
            "GET | {kind} | Unset
             http.request.method=GET
             {url}
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             deployment.environment.name=production
             PEER"
        ));
    }
}
