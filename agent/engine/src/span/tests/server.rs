use super::*;

#[test]
fn a_whole_request() {
    serve("POST /a/b?c=d&e HTTP/1.1\r\nHost: shop.example:8080\r\nUser-Agent: curl/8\r\nCookie: a=b\r\nContent-Length: 2\r\n\r\nxy")
        .ok()
        .gives(
            "POST | Server | Unset
             http.request.method=POST
             url.path=/a/b
             url.query=c=d&e
             url.scheme=http
             server.address=shop.example
             server.port:8080
             user_agent.original=curl/8
             network.protocol.version=1.1
             http.response.status_code:200
             PEER",
        );
}

#[test]
fn an_absolute_target_overrides_the_host() {
    serve(get("https://other.example/p?q", "")).ok().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/p
         url.query=q
         url.scheme=http
         server.address=other.example
         server.port:443
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    serve(get("http://other.example:81", "")).ok().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/
         url.scheme=http
         server.address=other.example
         server.port:81
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn hosts_of_every_form() {
    for (host, expected) in [
        ("[2001:db8::1]:81", "server.address=2001:db8::1\nserver.port:81"),
        ("[2001:db8::1]", "server.address=2001:db8::1\nserver.port:80"),
        ("192.0.2.55:81", "server.address=192.0.2.55\nserver.port:81"),
        ("shop:", "server.address=shop\nserver.port:80"),
        ("shop:http", ""),
        ("", ""),
        ("a\r\nHost: b", ""),
    ] {
        serve(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).ok().gives(&format!(
            "GET | Server | Unset
             http.request.method=GET
             url.path=/
             url.scheme=http
             {expected}
             network.protocol.version=1.1
             http.response.status_code:200
             PEER"
        ));
    }
}

#[test]
fn an_ipv6_peer() {
    let ends = (End::Ip("[2001:db8::1]:80"), End::Ip("[2001:db8::7]:50000"));
    serve(get("/", "")).between(ends.0, ends.1).ok().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         client.address=2001:db8::7
         network.peer.address=2001:db8::7
         network.peer.port:50000",
    );
}

#[test]
fn a_unix_socket_has_a_path_and_no_client() {
    for (path, shown) in [
        (&b"/run/shop"[..], "network.peer.address=/run/shop"),
        (b"\0shop", "network.peer.address=@shop"),
        (b"", ""),
    ] {
        serve(get("/", "")).between(End::Unix(path), End::Unix(path)).ok().gives(&format!(
            "GET | Server | Unset
             http.request.method=GET
             url.path=/
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             {shown}"
        ));
    }
}

#[test]
fn a_route_is_the_first_pattern_that_matches_and_is_in_the_name() {
    let routes =
        ["/users/{id}", "/users/{id}/orders/{order}", "/static/*", "/{any}/new", "/files/{path...}", "/"];
    for (target, route) in [
        ("/users/7?a=/b", Some("/users/{id}")),
        ("/users/7/orders/8", Some("/users/{id}/orders/{order}")),
        ("/users/new", Some("/users/{id}")),
        ("/shops/new", Some("/{any}/new")),
        ("/static/", Some("/static/*")),
        ("/static/a/b.css", Some("/static/*")),
        ("/files/a/b", Some("/files/{path...}")),
        ("http://shop", Some("/")),
        ("/", Some("/")),
        ("/static", None),
        ("/users/", None),
        ("/users/7/", None),
        ("/users", None),
        ("//7", None),
        ("/USERS/7", None),
        ("*", None),
        ("users/7", None),
    ] {
        let (span, _) =
            serve(get(target, "")).policy(|policy| policy.routes = Routes::new(routes).unwrap()).ok().play();
        let found = span.attributes.iter().find(|attribute| attribute.key == "http.route").map(show);
        assert_eq!(found, route.map(|route| format!("http.route={route}")), "{target}");
        assert_eq!(span.name, route.map_or("GET".to_owned(), |route| format!("GET {route}")), "{target}");
    }
}

#[test]
fn a_route_of_an_unknown_method() {
    serve("PURGE /users/7 HTTP/1.1\r\nHost: shop\r\n\r\n")
        .policy(|policy| policy.routes = Routes::new(["/users/{id}"]).unwrap())
        .ok()
        .gives(
            "HTTP /users/{id} | Server | Unset
             http.request.method=_OTHER
             http.request.method_original=PURGE
             url.path=/users/7
             http.route=/users/{id}
             url.scheme=http
             server.address=shop
             server.port:80
             network.protocol.version=1.1
             http.response.status_code:200
             PEER",
        );
}

#[test]
fn routes_that_cannot_match_are_refused_by_name() {
    for (route, part) in [
        ("users", "`users`"),
        ("/users/{id", "`{id`"),
        ("/users/x{id}", "`x{id}`"),
        ("/users/{}", "`{}`"),
        ("/a/*/b", "`*`"),
        ("/a/{rest...}/b", "`{rest...}`"),
        ("/a*", "`a*`"),
        ("/a?b", "`/a?b`"),
    ] {
        let message = Routes::new([route]).unwrap_err().to_string();
        assert!(message.contains(part) && message.contains(route), "{message}");
    }
    assert!(Routes::new(["/a"; 1001]).unwrap_err().to_string().contains("1001"));
    assert!(Routes::new(["/a".repeat(65)]).unwrap_err().to_string().contains("64"));
}

#[test]
fn a_path_that_is_cut_has_no_route() {
    let long = format!("/users/{}", "a".repeat(limit::TARGET_MAX));
    for (target, route) in [(long.clone(), false), (format!("/users/7?{long}"), true)] {
        let (span, _) = serve(get(&target, ""))
            .policy(|policy| policy.routes = Routes::new(["/users/{id}"]).unwrap())
            .ok()
            .play();
        assert_eq!(span.attributes.iter().any(|attribute| attribute.key == "http.route"), route);
        assert!(span.attributes.iter().any(|attribute| attribute.key == "spandrel.target_truncated"));
    }
}
