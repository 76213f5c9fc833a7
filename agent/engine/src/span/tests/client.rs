use super::*;
use crate::protocol::http2::tests::writer::{self, Encoder};

#[track_caller]
fn url(request: &str, full: &str, server: &str) {
    let full = if full.is_empty() { String::new() } else { format!("url.full={full}") };
    let method = request.split(' ').next().unwrap();
    call(request).ok().gives(&format!(
        "{method} | Client | Unset
         http.request.method={method}
         {full}
         {server}
         network.protocol.version=1.1
         http.response.status_code:200
         PEER"
    ));
}

#[test]
fn a_whole_request_does_not_say_who_asks() {
    call("POST /a?b HTTP/1.1\r\nHost: shop.example\r\nUser-Agent: curl/8\r\nX-Forwarded-For: 192.0.2.99\r\nContent-Length: 2\r\n\r\nxy")
        .ok()
        .gives(
            "POST | Client | Unset
             http.request.method=POST
             url.full=http://shop.example/a?b
             server.address=shop.example
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER",
        );
}

#[test]
fn an_absolute_target_is_the_url() {
    let server = "server.address=x.example\nserver.port";
    url(&get("https://x.example/p?q", ""), "https://x.example/p?q", &format!("{server}:443"));
    url(&get("http://x.example:81", ""), "http://x.example:81", &format!("{server}:81"));
    url(&get("http://x.example?q", ""), "http://x.example?q", &format!("{server}:80"));
    // Nobody knows the port of this one.
    url(&get("gopher://x.example/", ""), "gopher://x.example/", "server.address=x.example");
}

#[test]
fn ipv6_hosts() {
    let server = "server.address=2001:db8::1\nserver.port";
    url(&get("http://[2001:db8::1]:9/p", ""), "http://[2001:db8::1]:9/p", &format!("{server}:9"));
    url("GET /p HTTP/1.1\r\nHost: [2001:db8::1]\r\n\r\n", "http://[2001:db8::1]/p", &format!("{server}:80"));
}

#[test]
fn without_a_host_the_peer_is_the_server() {
    let server = "server.address=192.0.2.9\nserver.port:80";
    url("GET /p HTTP/1.1\r\n\r\n", "http://192.0.2.9:80/p", server);
    // Two hosts are none.
    url("GET /p HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "http://192.0.2.9:80/p", server);
    // One that is none has no port, and is not the peer.
    url("GET /p HTTP/1.1\r\nHost: a:b\r\n\r\n", "http://a:b/p", "");
}

#[test]
fn a_unix_socket_is_the_server_only_if_there_is_no_host() {
    let ends = || (End::Unix(b""), End::Unix(b"/run/shop"));
    call(get("/p", "")).between(ends().0, ends().1).ok().gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://shop/p
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         network.peer.address=/run/shop",
    );
    call("GET /p HTTP/1.0\r\n\r\n").between(ends().0, ends().1).ok().gives(
        "GET | Client | Unset
         http.request.method=GET
         server.address=/run/shop
         network.protocol.version=1.0
         http.response.status_code:200
         network.peer.address=/run/shop",
    );
}

#[test]
fn an_ipv6_peer() {
    let ends = (End::Ip("[2001:db8::1]:40000"), End::Ip("[2001:db8::9]:8080"));
    call("GET /p HTTP/1.0\r\n\r\n").between(ends.0, ends.1).ok().gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://[2001:db8::9]:8080/p
         server.address=2001:db8::9
         server.port:8080
         network.protocol.version=1.0
         http.response.status_code:200
         network.peer.address=2001:db8::9
         network.peer.port:8080",
    );
}

#[test]
fn a_client_span_has_no_route() {
    call(get("/users/7", ""))
        .policy(|policy| policy.routes = Routes::new(["/users/{id}"]).unwrap())
        .ok()
        .gives(
            "GET | Client | Unset
         http.request.method=GET
         url.full=http://shop/users/7
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
        );
}

/// A request of HTTP/2 without TLS, whose client means this scheme.
fn meant(scheme: &str, authority: &str, path: &str) -> Vec<u8> {
    let head = [(":method", "GET"), (":scheme", scheme), (":path", path), (":authority", authority)];
    let head = Encoder::default().headers(1, &head, true);
    [writer::PREFACE, &writer::settings(&[]), &head].concat()
}

fn two_hundred() -> Vec<u8> {
    [writer::settings(&[]), Encoder::default().headers(1, &[(":status", "200")], true)].concat()
}

#[test]
fn the_scheme_of_http2_is_that_of_the_url() {
    for (scheme, authority, path, full, server) in [
        ("http", "shop", "/p", "http://shop/p", "server.address=shop\nserver.port:80"),
        ("https", "shop", "/p?q", "https://shop/p?q", "server.address=shop\nserver.port:443"),
        ("https", "shop:8443", "/p", "https://shop:8443/p", "server.address=shop\nserver.port:8443"),
        // Nobody knows the port of this one.
        ("coap", "shop", "/p", "coap://shop/p", "server.address=shop"),
        // No scheme at all (RFC 3986, 3.1).
        ("http://x/", "shop", "/p", "http://shop/p", "server.address=shop\nserver.port:80"),
        ("", "shop", "/p", "http://shop/p", "server.address=shop\nserver.port:80"),
        // What the target says goes first.
        ("https", "shop", "http://shop/p", "http://shop/p", "server.address=shop\nserver.port:80"),
    ] {
        call(meant(scheme, authority, path)).answer(two_hundred()).gives(&format!(
            "GET | Client | Unset
             http.request.method=GET
             url.full={full}
             {server}
             network.protocol.version=2
             http.response.status_code:200
             PEER"
        ));
    }
}

#[test]
fn the_scheme_of_http2_is_that_of_the_opt_in_attribute() {
    let opt_in = OptIn::new(["url.scheme"]).unwrap();
    let asked = meant("https", "shop", "/p");
    call(asked).policy(|policy| policy.opt_in = opt_in).answer(two_hundred()).gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=https://shop/p
         url.scheme=https
         server.address=shop
         server.port:443
         network.protocol.version=2
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn a_server_is_asked_by_its_connection_for_what_the_client_means() {
    serve(meant("https", "shop", "/p")).answer(two_hundred()).gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/p
         url.scheme=http
         server.address=shop
         server.port:443
         network.protocol.version=2
         http.response.status_code:200
         PEER",
    );
}
