//! gRPC calls that do not end well. The client says how each of them ended; a span says the same, or nothing where that
//! cannot be known.

use std::{collections::BTreeMap, process::Command};

use acceptance::{
    free_port,
    process::Process,
    span::{Kind, Span},
    spandrel::{Agent, Options, assert_accounted},
    token,
    wait::{LONG, wait_until},
    workload::{
        between::nginx_that_answers,
        grpc::{self, Peer},
        python,
    },
    workload_file,
};

use super::grpc::{code, number};

const SERVER_ERRORS: [&str; 6] =
    ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
/// What nginx answers, one call after the other, and then that nobody listens behind it.
const STATUSES: [u16; 12] = [200, 400, 401, 403, 404, 429, 502, 503, 504, 500, 418, 302];
/// Error codes of which gRPC's documents say nothing, or not every client does what they say.
const AMBIGUOUS: [&str; 5] =
    ["NO_ERROR", "FLOW_CONTROL_ERROR", "STREAM_CLOSED", "HTTP_1_1_REQUIRED", "_OTHER"];

/// A server and a client of it, which is this peer.
struct Story {
    peer: Peer,
    server: Process,
    client: Process,
    /// What the client said of each call, by its number.
    ended: BTreeMap<String, String>,
}

/// A call, as its client says that it ended.
struct Ended<'a> {
    peer: Peer,
    number: &'a str,
    said: &'a str,
    client: &'a Span,
    server: &'a Span,
}

impl Story {
    fn new(peer: Peer, service: &str, what: &str) -> Self {
        let (server, port) = peer.serve(service);
        Self::of(server, peer, port, service, what)
    }

    fn of(server: Process, peer: Peer, port: u16, service: &str, what: &str) -> Self {
        Self { peer, server, client: peer.client(port, service, what), ended: BTreeMap::new() }
    }

    fn play(&mut self) {
        let said = grpc::call(&mut self.client, &self.server);
        self.hear(&said);
    }

    fn hear(&mut self, said: &str) {
        let words = said.lines().filter_map(|line| line.strip_prefix("ended ")?.split_once(' '));
        self.ended = words.map(|(number, code)| (number.to_owned(), code.to_owned())).collect();
    }

    /// Each call with the spans of both of its sides. What the client tried before, of the same number, was refused.
    fn calls<'a>(&'a self, spans: &'a [Span]) -> Vec<Ended<'a>> {
        let last = |kind, process: &Process, wanted: &str| {
            let pids = process.pids();
            let of = |span: &&Span| {
                let pid = span.resource.get("process.pid").and_then(|pid| pid.as_u64());
                span.kind == kind
                    && number(span) == wanted
                    && pids.iter().any(|one| pid == Some(u64::from(*one)))
            };
            let mut found: Vec<_> = spans.iter().filter(of).collect();
            found.sort_by_key(|span| span.start);
            let last = found.pop().unwrap_or_else(|| panic!("no {kind:?} span of {wanted}"));
            assert!(found.iter().all(|span| code(span) == Some("UNAVAILABLE")), "{found:#?}");
            last
        };
        let with_spans = |(number, said): (&'a String, &'a String)| {
            let client = last(Kind::Client, &self.client, number);
            let server = last(Kind::Server, &self.server, number);
            Ended { peer: self.peer, number, said, client, server }
        };
        self.ended.iter().map(with_spans).collect()
    }
}

impl Ended<'_> {
    /// No span says anything else than the client; whether the call failed is known on its side.
    fn assert_not_wrong(&self) {
        let context =
            || format!("{} ended with {}: {:#?}\n{:#?}", self.number, self.said, self.client, self.server);
        let [client, server] = [self.client, self.server].map(code);
        // A cancel that a busy machine writes, or reads, when the time is over or in its last 2 ms cannot be told from that.
        let near = self.number.starts_with('n');
        let late = |span: &Span| near && span.end - span.start + 2_000_000 >= timeout(span);
        // What gRPC's documents call UNAVAILABLE, a lost connection, tonic calls UNKNOWN.
        let lost = self.peer == Peer::Rust && self.number == "o0" && self.said == "UNKNOWN";
        let is_right = |span: &Span, code: &str| {
            code == self.said || code == "DEADLINE_EXCEEDED" && late(span) || lost && code == "UNAVAILABLE"
        };
        // Debian's libgrpc writes what its handler returns behind the reset, which is that.
        let cancelled = self.peer == Peer::Cpp;
        assert!(client.is_none_or(|code| is_right(self.client, code)), "{}", context());
        assert!(
            server.is_none_or(|code| is_right(self.server, code) || cancelled && code == "CANCELLED"),
            "{}",
            context()
        );
        assert_eq!(self.client.status == 2, self.said != "OK", "{}", context());
        assert_eq!(self.client.text("error.type").is_some(), self.said != "OK", "{}", context());
        assert!(
            server.is_none_or(|code| self.server.status == 2 || !SERVER_ERRORS.contains(&code)),
            "{}",
            context()
        );
        assert_eq!(self.client.text("spandrel.incomplete"), None, "{}", context());
        assert_eq!(self.server.text("spandrel.incomplete"), None, "{}", context());
    }

    fn is_known(&self) -> bool {
        code(self.client).is_some()
    }

    fn assert_known(&self) {
        assert!(self.is_known(), "{} ended with {}: {:#?}", self.number, self.said, self.client);
    }

    fn lasted(&self) -> u64 {
        self.client.end - self.client.start
    }
}

/// The time that the client gave the server, in nanoseconds.
fn timeout(span: &Span) -> u64 {
    let values = span.attributes.get("rpc.request.header.grpc-timeout");
    let text = values.and_then(|values| values[0].as_str());
    let text = text.unwrap_or_else(|| panic!("no timeout: {span:#?}"));
    let (digits, unit) = text.split_at(text.len() - 1);
    let unit = match unit {
        "S" => 1_000_000_000,
        "m" => 1_000_000,
        "u" => 1_000,
        "n" => 1,
        other => panic!("unit {other} of {text}"),
    };
    digits.parse::<u64>().unwrap() * unit
}

/// A server that resets the nth stream of a connection with the nth error code.
fn resets() -> (Process, u16) {
    let port = free_port();
    let mut command = Command::new(python());
    let mut server =
        Process::start("resets", command.arg(workload_file("grpc/resets.py")).arg(port.to_string()));
    server.wait_for("listening", LONG);
    (server, port)
}

fn assert_endings(peer: Peer) {
    let service = format!("{}.End", token());
    let mut timed = Story::new(peer, &service, "endings");
    let mut killed = Story::new(peer, &service, "Wait");
    let mut stopped = Story::new(peer, &service, "Stop");
    let mut drained = Story::new(peer, &service, "Drain");
    let (server, port) = resets();
    let mut reset = Story::of(server, peer, port, &service, "answers");
    let answer = |(n, status)| format!("if ($http_number = a{n}) {{ return {status}; }}\n");
    let answers: String = STATUSES.iter().enumerate().map(answer).collect();
    let page = nginx_that_answers(free_port(), &answers);
    let mut refused = Story::of(page.process, peer, page.port, &service, "answers");

    let stories = [&timed, &killed, &stopped, &drained, &reset, &refused];
    let traced = stories.into_iter().flat_map(|story| [&story.server, &story.client]);
    let settings = vec!["headers: {request: [number, grpc-timeout]}".to_owned()];
    let agent = Agent::start(&Options { settings, ..Options::only(traced) });
    for story in [&mut timed, &mut stopped, &mut drained, &mut reset] {
        story.play();
    }
    // Debian's libgrpc aborts at a page, whose content type is none of gRPC's, and tonic reads it as a message.
    if !matches!(peer, Peer::Cpp | Peer::Rust) {
        refused.play();
    }
    killed.client.write(b"call\n");
    killed.client.wait_for("open", LONG);
    killed.server.signal(libc::SIGKILL);
    killed.client.wait(LONG);
    killed.hear(&killed.client.stdout());
    let stories = [&timed, &killed, &stopped, &drained, &reset, &refused];
    let calls: usize = stories.iter().map(|story| story.ended.len()).sum();
    wait_until("every call has its spans", LONG, || agent.spans().len() >= 2 * calls);
    let finished = agent.stop();
    assert_accounted(&finished.counters);
    let [timed, killed, stopped, drained, reset, refused] = stories.map(|story| story.calls(&finished.all));
    for call in [&timed, &killed, &stopped, &drained, &reset, &refused].into_iter().flatten() {
        call.assert_not_wrong();
    }
    assert_timed(&timed);
    assert_eq!([&killed, &stopped, &drained].map(Vec::len), [1; 3]);
    let lost = if peer == Peer::Rust { "UNKNOWN" } else { "UNAVAILABLE" };
    assert_eq!((killed[0].said, drained[0].said), (lost, "OK"));
    killed[0].assert_known();
    assert_eq!(killed[0].server.text("error.type"), Some("connection_closed"));
    drained[0].assert_known();
    let received = drained[0].client.number("spandrel.rpc.messages.received");
    assert!(drained[0].lasted() >= 300_000_000 && received == Some(2), "{:#?}", drained[0].client);
    for call in &reset {
        if !AMBIGUOUS.contains(&call.client.text("error.type").unwrap_or_default()) {
            call.assert_known();
        }
    }
    // What is said of 200 depends on whether the client waited for the end of the page.
    refused.iter().filter(|call| call.number != "a0").for_each(Ended::assert_known);
}

/// Deadlines, cancels, and cancels not long before a deadline.
fn assert_timed(calls: &[Ended<'_>]) {
    let of = |letter: char| calls.iter().filter(move |call| call.number.starts_with(letter));
    assert_eq!(['d', 'c', 'n'].map(|letter| of(letter).count()), [50, 20, 30]);
    // Before them is what it takes for a client to write a request when it says so.
    assert!(of('w').count() >= 1 && of('w').all(|call| call.said == "OK"));
    assert!(of('d').all(|call| call.said == "DEADLINE_EXCEEDED"));
    // The time that a client counts from begins before it writes the request, now and then by too much to be sure.
    let known = of('d').filter(|call| call.is_known()).count();
    assert!(known >= 10, "{known} of 50 deadlines are known for ones");
    for call in of('c') {
        assert_eq!(call.said, "CANCELLED");
        call.assert_known();
        assert_eq!((code(call.server), call.server.status), (Some("CANCELLED"), 0), "{:#?}", call.server);
    }
}

#[test]
fn no_call_of_grpc_go_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Go);
}

#[test]
fn no_call_of_grpc_java_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Java);
}

#[test]
fn no_call_of_grpc_cpp_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Cpp);
}

#[test]
fn no_call_of_tonic_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Rust);
}

#[test]
fn no_call_of_grpcio_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Python);
}

#[test]
fn no_call_of_grpc_js_that_breaks_off_has_a_wrong_code() {
    let _machine = live!();
    assert_endings(Peer::Node);
}
