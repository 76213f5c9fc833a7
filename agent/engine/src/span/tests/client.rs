use super::*;

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
