//! The agent can die at any moment: the traced programs do not notice.

use std::thread;

use acceptance::{
    load::{self, Load},
    spandrel::{Agent, Options, assert_accounted},
    token,
    wait::{LONG, wait_until},
    workload::{Family, Language, Server, application, nginx},
};

#[test]
fn killing_the_agent_under_load_fails_no_request_of_nginx() {
    kill(|| nginx(Family::Tcp), 200_000);
}

#[test]
fn killing_the_agent_under_load_fails_no_request_of_a_python_server() {
    kill(|| application(Language::Python, Family::Tcp, "server"), 10_000);
}

/// The sender is traced too: it is this process.
fn kill(start: fn() -> Server, requests: u64) {
    let _machine = live!();
    let server = start();
    let token = token();
    let mut options = Options::only([&server.process]);
    options.pids.push(std::process::id());
    let load =
        Load { requests, connections: 8, ..Load::new(server.address.clone(), &format!("/{token}/{{n}}")) };
    let mut agent = Agent::start(&options);
    let outcome = thread::scope(|scope| {
        let sender = scope.spawn(|| load::run(&load));
        wait_until("the load is traced", LONG, || agent.count_of(&token) > 100);
        assert!(!sender.is_finished(), "the load was over before the agent was killed");
        agent.process.signal(libc::SIGKILL);
        agent.process.wait(LONG);
        sender.join().expect("the load panicked")
    });
    assert!(
        outcome.failed.is_empty() && outcome.succeeded == requests,
        "{} of {requests} requests succeeded: {:?}\n{}",
        outcome.succeeded,
        &outcome.failed[..outcome.failed.len().min(5)],
        server.process.log()
    );
}

#[test]
fn the_agent_ends_in_good_order_under_load() {
    let _machine = live!();
    let server = nginx(Family::Tcp);
    let token = token();
    let load = Load {
        requests: 200_000,
        connections: 8,
        ..Load::new(server.address.clone(), &format!("/{token}/{{n}}"))
    };
    let agent = Agent::start(&Options::only([&server.process]));
    let outcome = thread::scope(|scope| {
        let sender = scope.spawn(|| load::run(&load));
        wait_until("the load is traced", LONG, || agent.count_of(&token) > 100);
        assert_accounted(&agent.stop().counters);
        sender.join().expect("the load panicked")
    });
    assert!(outcome.failed.is_empty(), "{:?}", outcome.failed.first());
}
