//! Programs of every kind at either end, over TCP and Unix sockets.

use acceptance::{
    http::get,
    span::Kind,
    spandrel::{Agent, Options},
    token,
    tree::{assert_tree, parent},
    workload::{Family, Language, Proxy, Server, application, nginx, proxy},
};

use crate::curl_to;

const LANGUAGES: [(Language, &str); 5] = [
    (Language::Python, "python"),
    (Language::Java, "java"),
    (Language::Go, "go"),
    (Language::Node, "node"),
    (Language::Ruby, "ruby"),
];
const PROXIES: [(Proxy, &str); 3] =
    [(Proxy::Nginx, "nginx"), (Proxy::HaProxy, "haproxy"), (Proxy::Apache, "apache2")];

#[test]
fn servers_in_every_language_are_traced_over_tcp() {
    let _machine = live!();
    for (language, name) in LANGUAGES {
        served(&application(language, Family::Tcp, name), name);
    }
    served(&nginx(Family::Tcp), "nginx");
}

#[test]
fn servers_are_traced_over_unix_sockets() {
    let _machine = live!();
    for (language, name) in LANGUAGES {
        if language != Language::Java {
            served(&application(language, Family::Unix, name), name); // The JDK's server has no Unix sockets.
        }
    }
    served(&nginx(Family::Unix), "nginx");
}

fn served(server: &Server, name: &str) {
    let agent =
        Agent::start(&Options { select: vec!["{exe: curl}".to_owned()], ..Options::only([&server.process]) });
    let token = token();
    curl_to(server, &format!("/{token}"));
    let finished = agent.finish(&token, 2);
    assert_tree(&finished.spans, &format!("curl client GET /{token}\n  {name} server GET /{token}"));
}

#[test]
fn clients_in_every_language_are_traced_over_tcp() {
    let _machine = live!();
    for (language, name) in LANGUAGES {
        calls(language, name, Family::Tcp);
    }
}

#[test]
fn clients_are_traced_over_unix_sockets() {
    let _machine = live!();
    for (language, name) in LANGUAGES {
        if matches!(language, Language::Python | Language::Go | Language::Node) {
            calls(language, name, Family::Unix);
        }
    }
}

/// The call and its arrival are parent and child. Where the thread that read the request makes the call, the call is
/// the request's child too; Go and Node have no such thread, and a parent that is not known must be left out or right.
fn calls(language: Language, name: &str, family: Family) {
    let back = application(Language::Python, family, "back");
    let front = application(language, Family::Tcp, name);
    let agent = Agent::start(&Options::only([&front.process, &back.process]));
    let token = token();
    get(&front.address, &format!("/front/{token}?call={}", back.call(&format!("/back/{token}")))).unwrap();
    let spans = agent.finish(&token, 3).spans;
    if matches!(language, Language::Python | Language::Java | Language::Ruby) {
        assert_tree(
            &spans,
            &format!(
                "{name} server GET /front/{token}\n  {name} client GET /back/{token}\n    back server GET /back/{token}"
            ),
        );
        return;
    }
    let find =
        |kind, path: &str| spans.iter().find(|span| span.kind == kind && span.path().starts_with(path));
    let server = find(Kind::Server, "/front").expect("a server span of the front");
    let client = find(Kind::Client, "/back").expect("a client span of the front");
    let arrival = find(Kind::Server, "/back").expect("a server span of the back");
    assert_eq!(parent(&spans, arrival), Some(client), "{spans:#?}");
    assert!(client.parent.is_none() || parent(&spans, client) == Some(server), "{spans:#?}");
}

#[test]
fn proxies_are_in_the_middle_of_the_trace_over_tcp() {
    proxied(Family::Tcp);
}

#[test]
fn proxies_are_in_the_middle_of_the_trace_over_unix_sockets() {
    proxied(Family::Unix);
}

fn proxied(family: Family) {
    let _machine = live!();
    let back = application(Language::Python, family, "back");
    for (kind, name) in PROXIES {
        let middle = proxy(kind, Family::Tcp, &back.address);
        let options = Options::only([&middle.process, &back.process]);
        let agent = Agent::start(&Options { select: vec!["{exe: curl}".to_owned()], ..options });
        let token = token();
        curl_to(&middle, &format!("/proxy/{token}"));
        let finished = agent.finish(&token, 4);
        assert_tree(
            &finished.spans,
            &format!(
                "curl client GET /proxy/{token}\n  {name} server GET /proxy/{token}\n    \
                 {name} client GET /proxy/{token}\n      back server GET /proxy/{token}"
            ),
        );
    }
}
