//! A recording gives the same spans as the agent that ran beside it.

use std::{fs, process::Command};

use acceptance::{
    TempDir,
    http::{Connection, get},
    process::{Process, output},
    span::from_json_lines,
    spandrel::{Agent, Options, binary},
    token,
    tree::render,
    wait::LONG,
    workload::{Family, Language, application},
};

#[test]
fn replay_of_a_recording_gives_the_spans_of_the_live_agent() {
    let _machine = live!();
    let back = application(Language::Go, Family::Tcp, "back");
    let front = application(Language::Python, Family::Tcp, "front");
    let directory = TempDir::new();
    let recording = directory.path().join("case.records");
    let options = Options::only([&front.process, &back.process]);
    let config = directory.write("spandrel.yaml", &options.config());
    let mut record = Process::start(
        "spandrel record",
        Command::new(binary()).arg("record").arg(&recording).arg("--config").arg(config),
    );
    record.wait_for("spandrel: ", LONG * 3);
    let agent = Agent::start(&options);
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
    let live = agent.finish(&token, 20 * 5 + 2).spans;
    record.signal(libc::SIGTERM);
    assert!(record.wait(LONG).success(), "{}", record.log());
    let spans = directory.path().join("spans.jsonl");
    let mut replay = Command::new(binary());
    replay.arg("replay").arg(&recording).arg("--export").arg(format!("json={}", spans.display()));
    output("spandrel replay", &mut replay);
    let mut replayed = from_json_lines(&fs::read_to_string(&spans).expect("replay wrote its spans"));
    replayed.retain(|span| span.target().contains(&token));
    assert_eq!(render(&replayed), render(&live));
}
