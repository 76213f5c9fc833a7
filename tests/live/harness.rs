//! The workloads themselves, untraced: a fault here is none of Spandrel.

use acceptance::{
    alone,
    demo::Services,
    http::{Address, get},
    load::{self, Load},
    process::Process,
    workload::{Family, Language, Proxy, Server, application, nginx, proxy},
};

#[test]
fn every_application_answers_and_makes_calls() {
    let _machine = alone();
    let back = nginx(Family::Tcp);
    for language in [Language::Python, Language::Java, Language::Go, Language::Node, Language::Ruby] {
        let server = application(language, Family::Tcp, "app");
        answers(&server.address, &format!("/front?sleep=1&call={}", back.call("/back")), &server.process);
    }
}

#[test]
fn applications_and_proxies_answer_over_unix_sockets() {
    let _machine = alone();
    let back = application(Language::Python, Family::Unix, "back");
    for language in [Language::Python, Language::Go, Language::Node] {
        let server = application(language, Family::Unix, "app");
        answers(&server.address, &format!("/front?call={}", back.call("/back")), &server.process);
    }
    let ruby = application(Language::Ruby, Family::Unix, "app");
    answers(&ruby.address, "/front", &ruby.process);
    for kind in [Proxy::Nginx, Proxy::HaProxy, Proxy::Apache] {
        through(&proxy(kind, Family::Tcp, &back.address));
    }
    through(&proxy(Proxy::HaProxy, Family::Unix, &back.address));
    through(&proxy(Proxy::Nginx, Family::Unix, &back.address));
}

#[test]
fn proxies_reach_a_backend_over_tcp() {
    let _machine = alone();
    let back = application(Language::Go, Family::Tcp, "back");
    for kind in [Proxy::Nginx, Proxy::HaProxy, Proxy::Apache] {
        through(&proxy(kind, Family::Tcp, &back.address));
    }
}

#[test]
fn the_load_generator_counts_every_response() {
    let _machine = alone();
    let server = nginx(Family::Tcp);
    for (reconnect, pipeline) in [(false, 1), (true, 1), (false, 5)] {
        let methods = ["GET", "HEAD", "POST"].map(str::to_owned).to_vec();
        let load = Load {
            requests: 1000,
            connections: 4,
            reconnect,
            pipeline,
            methods,
            ..Load::new(server.address.clone(), "/n/{n}")
        };
        let outcome = load::run(&load);
        assert!(
            outcome.succeeded == 1000 && outcome.failed.is_empty(),
            "{outcome:?}\n{}",
            server.process.log()
        );
    }
}

#[test]
fn the_services_of_the_demo_answer() {
    let _machine = alone();
    Services::start().order();
}

fn through(server: &Server) {
    answers(&server.address, "/proxy/x", &server.process);
}

fn answers(address: &Address, target: &str, process: &Process) {
    let answer = get(address, target).unwrap_or_else(|e| panic!("GET {target}: {e}\n{}", process.log()));
    assert!(
        answer.status() == Some(200) && answer.body == b"ok\n",
        "GET {target}: {answer:?}\n{}",
        process.log()
    );
}
