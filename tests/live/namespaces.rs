//! Client and server in network namespaces of their own, with and without address translation in between.

use acceptance::{
    netns::{Pair, SERVER, VIRTUAL},
    spandrel::{Agent, Options},
    token,
    tree::assert_tree,
    workload::{Family, Language, application_in},
};

use crate::curl_by;

#[test]
fn both_ends_in_two_network_namespaces_are_one_trace() {
    across(false);
}

#[test]
fn both_ends_of_a_translated_connection_are_one_trace() {
    across(true);
}

fn across(translated: bool) {
    let _machine = live!();
    let pair = Pair::new();
    let server = application_in(Some(&pair.server), Language::Python, Family::Tcp, "server");
    let acceptance::http::Address::Tcp(address) = server.address else { panic!("not a TCP address") };
    let agent =
        Agent::start(&Options { select: vec!["{exe: curl}".to_owned()], ..Options::only([&server.process]) });
    let token = token();
    let authority = if translated {
        pair.translate(address.port());
        VIRTUAL.to_owned()
    } else {
        format!("{SERVER}:{}", address.port())
    };
    curl_by(pair.client.command("curl"), &[&format!("http://{authority}/{token}")]);
    let finished = agent.finish(&token, 2);
    assert_tree(&finished.spans, &format!("curl client GET /{token}\n  server server GET /{token}"));
}
