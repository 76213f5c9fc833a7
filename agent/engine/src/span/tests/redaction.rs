use super::*;

/// The query at a server, and the URL at a client.
#[track_caller]
fn shown(policy: impl Fn(&mut Policy), target: &str, path: &str, query: &str) {
    let shown = if query.is_empty() { String::new() } else { format!("url.query={query}") };
    serve(get(target, "")).policy(&policy).ok().gives(&format!(
        "GET | Server | Unset
         http.request.method=GET
         url.path={path}
         {shown}
         url.scheme=http
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER"
    ));
    let mark = if query.is_empty() { "" } else { "?" };
    call(get(target, "")).policy(&policy).ok().gives(&format!(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://shop{path}{mark}{query}
         server.address=shop
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER"
    ));
}

#[test]
fn values_of_the_conventions_list_are_replaced_and_their_keys_stay() {
    for key in [
        "X-Amz-Signature",
        "X-Amz-Credential",
        "X-Amz-Security-Token",
        "AWSAccessKeyId",
        "Signature",
        "sig",
        "X-Goog-Signature",
    ] {
        shown(
            |_| {},
            &format!("/a?colour=blue&{key}=s3cr3t&{key}=again&b"),
            "/a",
            &format!("colour=blue&{key}=REDACTED&{key}=REDACTED&b"),
        );
    }
}

#[test]
fn nothing_of_a_secret_is_left_however_it_is_written() {
    for (query, expected) in [
        ("sig=a;b=c&d=e", "sig=REDACTED&d=e"),
        ("d=e;sig=a", "d=e;sig=REDACTED"),
        ("%73ig=a", "%73ig=REDACTED"),
        ("sig=a=b?c", "sig=REDACTED"),
        ("sig=", "sig=REDACTED"),
        ("sig", "sig"),
        ("x=sig=1", "x=sig=1"),
        ("SIG=1&sigs=2", "SIG=1&sigs=2"),
        ("&&=&sig=1&", "&&=&sig=REDACTED&"),
        ("%7=1&%zz=2", "%7=1&%zz=2"),
        ("to=http://x/?sig=a&b", "to=http://x/?sig=REDACTED&b"),
    ] {
        shown(|_| {}, &format!("/a?{query}"), "/a", expected);
    }
}

#[test]
fn the_list_of_secret_keys_is_replaced_not_added_to() {
    let keys = |policy: &mut Policy| policy.redact = SecretKeys::new(["token", "pass word"]).unwrap();
    shown(
        keys,
        "/a?token=1&sig=2&pass+word=3&pass%20word=4",
        "/a",
        "token=REDACTED&sig=2&pass+word=REDACTED&pass%20word=REDACTED",
    );
    for key in ["", "a=", "a&b", "a;b"] {
        assert!(SecretKeys::new([key]).unwrap_err().to_string().contains(&format!("`{key}`")));
    }
}

#[test]
fn credentials_in_urls_are_replaced_wherever_the_url_stands() {
    let none = |policy: &mut Policy| policy.redact = SecretKeys::new([""; 0]).unwrap();
    shown(none, "/fetch/http://user:word@x/a@b", "/fetch/http://REDACTED:REDACTED@x/a@b", "");
    shown(
        none,
        "/a?to=ftp://word@x&from=http://u:p@y/",
        "/a",
        "to=ftp://REDACTED:REDACTED@x&from=http://REDACTED:REDACTED@y/",
    );
    shown(none, "/@user?mail=a@b.example", "/@user", "mail=a@b.example");
    shown(none, "/a?to=http%3A%2F%2Fx&mail=a%40b", "/a", "to=http%3A%2F%2Fx&mail=a%40b");
}

#[test]
fn a_password_is_replaced_whatever_characters_it_has() {
    for mark in [";", ",", "&", "@", "%2F", "!$'()*+=:"] {
        let target = format!("/http://user:pa{mark}ss@x/p?to=http://user:pa{mark}ss@x/p");
        let query = "to=http://REDACTED:REDACTED@x/p";
        shown(|_| {}, &target, "/http://REDACTED:REDACTED@x/p", query);
    }
    // What is the value of a secret key as well is not told apart.
    shown(|_| {}, "/a?to=http://user:pa&sig=ss@x/p&b", "/a", "to=http://REDACTED:REDACTED&b");
}

#[test]
fn credentials_of_encoded_urls_are_replaced() {
    let encoded = "http%3A%2F%2FREDACTED%3AREDACTED%40x%2Fa%40b";
    shown(
        |_| {},
        "/http%3A%2F%2Fu%3Ap%40x%2Fa%40b?to=http%3A%2F%2Fu%3Ap%40x%2Fa%40b&c=d",
        &format!("/{encoded}"),
        &format!("to={encoded}&c=d"),
    );
    shown(|_| {}, "/a?to=http%3A//u%3Ap%40x/", "/a", "to=http%3A//REDACTED%3AREDACTED%40x/");
}

#[test]
fn secrets_of_urls_in_other_fields_are_replaced() {
    let agent = "bot (+http://user:w;ord@x/?a=1&sig=word) http://x/?sig=word b";
    let link = "<http://x/?a=1>; rel=next, <http://x/?sig=wo,rd&b>; rel=\"a\", http://x,http://u:word@x";
    let asked = |policy: &mut Policy| {
        policy.headers.request = names(&["link"]);
        policy.opt_in = OptIn::new(["user_agent.original"]).unwrap();
    };
    let fields = format!("User-Agent: {agent}\nLink: {link}");
    for case in [serve, call] {
        let (span, _) = case(get("/", &fields)).policy(asked).ok().play();
        let shown: Vec<_> = span.attributes.iter().map(show).collect();
        for expected in [
            "user_agent.original=bot (+http://REDACTED:REDACTED@x/?a=1&sig=REDACTED http://x/?sig=REDACTED b",
            "http.request.header.link=[<http://x/?a=1>; rel=next, <http://x/?sig=REDACTED&b>; rel=\"a\", \
             http://x,http://REDACTED:REDACTED@x]",
        ] {
            assert!(shown.iter().any(|line| line == expected), "{expected}: {shown:#?}");
        }
    }
}

#[test]
fn credentials_of_a_target_or_host_are_replaced() {
    call(get("http://user:word@x/p?sig=1", "")).ok().gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://REDACTED:REDACTED@x/p?sig=REDACTED
         server.address=x
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    serve(get("http://user:word@x/p?sig=1", "")).ok().gives(
        "GET | Server | Unset
         http.request.method=GET
         url.path=/p
         url.query=sig=REDACTED
         url.scheme=http
         server.address=x
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
    call("GET / HTTP/1.1\r\nHost: user:word@x\r\n\r\n").ok().gives(
        "GET | Client | Unset
         http.request.method=GET
         url.full=http://REDACTED:REDACTED@x/
         server.address=x
         server.port:80
         network.protocol.version=1.1
         http.response.status_code:200
         PEER",
    );
}

#[test]
fn what_is_cut_off_within_credentials_is_not_shown() {
    let all = |policy: &mut Policy| policy.opt_in = OptIn::new(["user_agent.original"]).unwrap();
    for case in [serve, call] {
        let (span, _) =
            case(get(&format!("http://user:{}@x/", "word".repeat(limit::TARGET_MAX)), "")).ok().play();
        assert!(!format!("{span:?}").contains("word"));
        for target in ["/http://user:", "/a?to=http://user:", "/a?to=http%3A%2F%2Fuser%3A", "user:"] {
            let target = format!("{target}{}@x/", "word".repeat(limit::TARGET_MAX));
            let (span, _) = case(get(&target, "")).ok().play();
            let shown = format!("{span:?}");
            assert!(shown.contains("REDACTED") && !shown.contains("word"), "{target:.30}: {shown:.2000}");
        }
        let agent = format!("User-Agent: a (+http://user:{}@x/)", "word".repeat(limit::TEXT_MAX));
        let (span, _) = case(get("/", &agent)).policy(all).ok().play();
        let shown = format!("{span:?}");
        assert!(shown.contains("(+http://REDACTED") && !shown.contains("word"), "{shown}");
    }
    let (span, _) = serve(get("user:word@x:80/p", "")).ok().play();
    assert!(span.attributes.iter().map(show).any(|line| line == "url.path=REDACTED:REDACTED@x:80/p"));
}
