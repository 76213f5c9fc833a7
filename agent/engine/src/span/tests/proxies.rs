use super::*;

/// What a request with these fields says of its origin, at a server whose peer is a proxy.
#[track_caller]
fn origin(fields: &str, scheme: &str, server: &str, client: &str) {
    let expected = |scheme: &str, server: &str, client: &str| {
        format!(
            "GET | Server | Unset
             http.request.method=GET
             url.path=/
             url.scheme={scheme}
             {server}
             network.protocol.version=1.1
             http.response.status_code:200
             {client}
             network.peer.address=192.0.2.7
             network.peer.port:50000"
        )
    };
    let client = if client.is_empty() { String::new() } else { format!("client.address={client}") };
    serve(get("/", fields)).ok().gives(&expected(scheme, server, &client));
    // A policy that believes nobody.
    let server = "server.address=shop\nserver.port:80";
    serve(get("/", fields)).policy(|policy| policy.forwarded = false).ok().gives(&expected(
        "http",
        server,
        "client.address=192.0.2.7",
    ));
}

const SHOP: &str = "server.address=shop\nserver.port:80";
/// The proxy was asked with another scheme: whose port is meant is not known.
const SHOP_ONLY: &str = "server.address=shop";

#[test]
fn forwarded_says_who_asked_whom_and_how() {
    origin(
        "Forwarded: for=198.51.100.1;host=pay.example;proto=https",
        "https",
        "server.address=pay.example\nserver.port:443",
        "198.51.100.1",
    );
    origin(
        "forwarded: Proto=HTTP;Host=\"pay.example:81\";For=\"198.51.100.1:4711\";by=_x",
        "http",
        "server.address=pay.example\nserver.port:81",
        "198.51.100.1",
    );
}

#[test]
fn forwarded_addresses_of_every_form() {
    for (node, client) in [
        ("198.51.100.1", "198.51.100.1"),
        ("\"198.51.100.1:4711\"", "198.51.100.1"),
        ("\"[2001:db8:cafe::17]\"", "2001:db8:cafe::17"),
        ("\"[2001:db8:cafe::17]:4711\"", "2001:db8:cafe::17"),
        ("\"[2001:db8:cafe::17]:_port\"", "2001:db8:cafe::17"),
        ("[2001:db8:cafe::17]", "2001:db8:cafe::17"),
        ("\"[::ffff:198.51.100.1]\"", "198.51.100.1"),
        ("\"198.51.100\\.1\"", "198.51.100.1"),
        // It is not the peer.
        ("unknown", ""),
        ("_hidden", ""),
        ("\"_hidden:4711\"", ""),
    ] {
        origin(&format!("Forwarded: for={node}"), "http", SHOP, client);
    }
}

#[test]
fn the_first_element_is_the_client() {
    for fields in [
        "Forwarded: for=198.51.100.1, for=198.51.100.2;host=wrong;proto=https",
        "Forwarded: , for=198.51.100.1 ,for=198.51.100.2",
        "Forwarded: for=198.51.100.1\nForwarded: for=198.51.100.2",
        "X-Forwarded-For: 198.51.100.1, 198.51.100.2",
        "X-Forwarded-For: ,198.51.100.1:4711,198.51.100.2",
        "X-Forwarded-For: 198.51.100.1\nX-Forwarded-For: 198.51.100.2",
        "X-Forwarded-For:\nX-Forwarded-For: 198.51.100.1",
        "Forwarded: for=198.51.100.1\nX-Forwarded-For: 198.51.100.2",
    ] {
        origin(fields, "http", SHOP, "198.51.100.1");
    }
}

#[test]
fn x_forwarded_fields_say_what_forwarded_does_not() {
    origin(
        "X-Forwarded-For: 2001:db8::5\nX-Forwarded-Proto: HTTPS\nX-Forwarded-Host: pay.example",
        "https",
        "server.address=pay.example\nserver.port:443",
        "2001:db8::5",
    );
    origin(
        "X-Forwarded-Host: pay.example:81, x",
        "http",
        "server.address=pay.example\nserver.port:81",
        "192.0.2.7",
    );
    // The scheme in front of the proxy is not known, so neither is the port.
    origin("X-Forwarded-Host: pay.example", "http", "server.address=pay.example", "192.0.2.7");
    origin(
        "X-Forwarded-Host: [2001:db8::1]:81",
        "http",
        "server.address=2001:db8::1\nserver.port:81",
        "192.0.2.7",
    );
    origin("X-Forwarded-Proto: http", "http", SHOP, "192.0.2.7");
    origin("X-Forwarded-Proto: wss", "wss", SHOP_ONLY, "192.0.2.7");
    origin(
        "Forwarded: for=198.51.100.1\nX-Forwarded-For: 198.51.100.2\nX-Forwarded-Proto: https",
        "https",
        SHOP_ONLY,
        "198.51.100.1",
    );
    origin("X-Forwarded-For: unknown", "http", SHOP, "");
}

#[test]
fn what_cannot_be_read_says_nothing_and_is_counted() {
    for (fields, malformed) in [
        ("Forwarded: for", 1),
        ("Forwarded: for=", 1),
        ("Forwarded: =1", 1),
        ("Forwarded: for=\"198.51.100.1", 1),
        ("Forwarded: for=\"198.51.100.1\\", 1),
        ("Forwarded: for=198.51.100.1;for=198.51.100.2", 1),
        ("Forwarded: for=198.51.100.1 host=x", 1),
        ("Forwarded: for=\"198.51.100.1\"x", 1),
        ("Forwarded: for=198.51.100.1:99999", 1),
        ("Forwarded: for=198.51.100.1;host=a/b", 1),
        ("Forwarded: for=198.51.100.1;proto=://", 1),
        ("Forwarded: ;;,,", 1),
        ("Forwarded: for=[2001:db8::1", 1),
        ("X-Forwarded-For: localhost", 1),
        ("X-Forwarded-For: 198.51.100.1:+80", 1),
        ("X-Forwarded-For: , ,", 1),
        ("X-Forwarded-Host: user:word@x", 1),
        ("X-Forwarded-Proto: 1http", 1),
        ("X-Forwarded-Proto: a-very-long-scheme", 1),
        ("Forwarded: for\nX-Forwarded-For: x\nX-Forwarded-Host: a b\nX-Forwarded-Proto: -", 4),
    ] {
        origin(fields, "http", SHOP, "192.0.2.7");
        let (_, engine) = serve(get("/", fields)).ok().play();
        assert_eq!(engine.counters().value(Counter::ForwardedMalformed), malformed, "{fields}");
    }
}

#[test]
fn the_proxy_protocol_is_asked_after_the_fields() {
    let preamble = "PROXY TCP4 203.0.113.5 192.0.2.1 5123 80\r\n";
    let attributes = "GET | Server | Unset
         http.request.method=GET
         url.path=/
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         network.peer.address=192.0.2.7
         network.peer.port:50000";
    serve(format!("{preamble}{}", get("/", "")))
        .ok()
        .gives(&format!("{attributes}\nclient.address=203.0.113.5"));
    let both = || serve(format!("{preamble}{}", get("/", "X-Forwarded-For: 198.51.100.1")));
    both().ok().gives(&format!("{attributes}\nclient.address=198.51.100.1"));
    both()
        .policy(|policy| policy.forwarded = false)
        .ok()
        .gives(&format!("{attributes}\nclient.address=203.0.113.5"));
}

#[test]
fn a_server_on_a_unix_socket_knows_its_client_from_its_proxy() {
    serve(get("/", "X-Forwarded-For: 198.51.100.1"))
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
             http.response.status_code:200
             client.address=198.51.100.1
             network.peer.address=/run/shop",
        );
}

#[test]
fn no_bytes_of_a_field_harm_anything() {
    const ALPHABET: &[u8] = b"for=host=proto=,;;\"\"\\[]::1.2 \t_%@=\xffunknown";
    let mut random = 0x5eed_u64;
    let mut next = |bound: usize| {
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound
    };
    for _ in 0..2000 {
        let name = ["Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"][next(4)];
        let value: Vec<u8> = (0..next(40)).map(|_| ALPHABET[next(ALPHABET.len())]).collect();
        let mut request = format!("GET / HTTP/1.1\r\nHost: shop\r\n{name}: ").into_bytes();
        request.extend_from_slice(&value);
        request.extend_from_slice(b"\r\n\r\n");
        let (span, _) = serve(request).ok().play();
        let client = span.attributes.iter().find(|attribute| attribute.key == "client.address");
        if let Some(Value::String(client)) = client.map(|attribute| &attribute.value) {
            assert!(client.parse::<IpAddr>().is_ok(), "{client} of {}", value.escape_ascii());
        }
    }
}
