//! A recording gives the same spans as the agent that made it. The tests of many requests (`exact`), of hard messages
//! (`messages`) and of parents (`links`) record too, and compare in the same way.

use acceptance::{
    http::{Connection, get},
    spandrel::{Agent, Options},
    token,
    workload::{Family, Language, application},
};

#[test]
fn replay_of_a_recording_gives_the_spans_of_the_live_agent() {
    let _machine = live!();
    let back = application(Language::Go, Family::Tcp, "back");
    let front = application(Language::Python, Family::Tcp, "front");
    let agent = Agent::start(&Options { recorded: true, ..Options::only([&front.process, &back.process]) });
    let token = token();
    for n in 0..20 {
        let call = back.call(&format!("/back/{token}/{n}"));
        get(&front.address, &format!("/front/{token}/{n}?call={call}&call={call}")).unwrap();
    }
    let mut connection = Connection::open(&front.address).unwrap();
    let body = "GET /phantom HTTP/1.1\r\nHost: test\r\n\r\n";
    let post =
        format!("POST /{token}/post HTTP/1.1\r\nHost: t\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    connection.send(format!("{post}GET /{token}/next HTTP/1.1\r\nHost: t\r\n\r\n")).unwrap();
    for _ in 0..2 {
        assert_eq!(connection.receive(false).unwrap().unwrap().status(), Some(200));
    }
    agent.finish(&token, 20 * 5 + 2);
}
