//! Bytes that pass a socket in a call that is not seen: what they said is unknown, and no more than that.

use std::process::Command;

use acceptance::{
    process::Process,
    span::{Kind, Span},
    spandrel::{Agent, Finished, Options, assert_accounted},
    token,
    wait::LONG,
    workload::{Family, nginx, python},
    workload_file,
};

/// A client that reads the answer by aio and closes.
fn read_unseen(flavour: &str) -> Finished {
    let server = nginx(Family::Tcp);
    let token = token();
    let mut command = Command::new(python());
    command.arg(workload_file("unseen.py")).args([
        &server.address.to_string(),
        &token,
        std::env::consts::ARCH,
    ]);
    let mut client = Process::start("client", &mut command);
    client.wait_for("ready", LONG);
    let settings = vec![format!("capture: {{flavour: {flavour}}}")];
    let agent = Agent::start(&Options { settings, ..Options::only([&server.process, &client]) });
    client.write(b"\n");
    assert!(client.wait(LONG).success(), "{}", client.log());
    let finished = agent.finish_where(2, |_| true);
    assert_accounted(&finished.counters);
    finished
}

/// A program whose connection to itself carries a megabyte each way, and no HTTP.
const OTHER: &str = r#"
import socket, sys
print("ready", flush=True)
sys.stdin.readline()
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
for _ in range(1000):
    for one, other in ((client, server), (server, client)):
        one.sendall(b"\x01" * 1000)
        left = 1000
        while left:
            left -= len(other.recv(left))
client.close()
server.close()
"#;

#[test]
fn bytes_of_what_is_no_http_are_not_counted_as_unseen() {
    let _machine = live!();
    for flavour in ["auto", "syscall"] {
        let mut program = Process::start("program", Command::new(python()).args(["-c", OTHER]));
        program.wait_for("ready", LONG);
        let settings = vec![format!("capture: {{flavour: {flavour}}}")];
        let agent = Agent::start(&Options { settings, ..Options::only([&program]) });
        program.write(b"\n");
        assert!(program.wait(LONG).success(), "{}", program.log());
        let kernel = &agent.stop().counters["kernel"];
        assert!(kernel["connections_not_http"].as_u64() > Some(0), "{kernel:#}");
        assert_eq!(kernel["unseen_bytes"], 0, "{flavour}: {kernel:#}");
    }
}

fn client(finished: &Finished) -> &Span {
    finished
        .all
        .iter()
        .find(|span| span.kind == Kind::Client)
        .unwrap_or_else(|| panic!("{:#?}", finished.all))
}

#[test]
fn an_answer_that_was_read_unseen_is_unknown_and_no_lost_connection() {
    let _machine = live!();
    let finished = read_unseen("syscall");
    let span = client(&finished);
    let found = (span.code(), span.text("error.type"), span.text("spandrel.incomplete"), span.status);
    assert_eq!(found, (None, None, Some("gap"), 0), "{span:#?}");
    assert!(finished.counters["kernel"]["unseen_bytes"].as_u64() > Some(0), "{:#}", finished.counters);
}

#[test]
fn sockets_tell_what_no_system_call_does() {
    let _machine = live!();
    let finished = read_unseen("auto");
    let span = client(&finished);
    // Where the sockets do not tell, as above.
    let known = finished.counters["kernel"]["unseen_bytes"].as_u64() == Some(0);
    let expected = if known { (Some(200), None) } else { (None, Some("gap")) };
    assert_eq!((span.code(), span.text("spandrel.incomplete")), expected, "{span:#?}");
    assert_eq!((span.text("error.type"), span.status), (None, 0), "{span:#?}");
}
