//! A recording gives the same spans as the agent that ran beside it.

use std::{fs, path::Path, process::Command};

use acceptance::{
    TempDir,
    http::{Connection, get},
    process::{Process, output},
    span::{Span, from_json_lines},
    spandrel::{Options, binary},
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
    let live = directory.path().join("live.jsonl");
    let mut record = Process::start(
        "spandrel record",
        Command::new(binary())
            .arg("record")
            .arg(&recording)
            .arg("--config")
            .arg(config)
            .arg("--export")
            .arg(format!("json={}", live.display())),
    );
    record.wait_for("spandrel: tracing", LONG * 3);
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
    record.signal(libc::SIGTERM);
    assert!(record.wait(LONG).success(), "{}", record.log());
    let spans = directory.path().join("spans.jsonl");
    let mut replay = Command::new(binary());
    replay.arg("replay").arg(&recording).arg("--export").arg(format!("json={}", spans.display()));
    output("spandrel replay", &mut replay);
    let live = spans_in(&live, &token);
    assert_eq!(live.len(), 20 * 5 + 2, "{}", render(&live));
    assert_eq!(spans_in(&spans, &token), live);
}

/// The spans of a file that belong to the test, in the order of their ids. Ids are the same in a replay, and so are
/// durations; the offset to wall time was measured once for a recording, and each second beside it.
fn spans_in(path: &Path, token: &str) -> Vec<Span> {
    let text = fs::read_to_string(path).expect("spans were written");
    let mut spans = from_json_lines(&text);
    spans.retain(|span| span.target().contains(token));
    for span in &mut spans {
        (span.start, span.end) = (0, span.end - span.start);
    }
    spans.sort_by(|one, other| one.span.cmp(&other.span));
    spans
}
