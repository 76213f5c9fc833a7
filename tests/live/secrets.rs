//! Secrets that traced programs exchange, are started with, or that the agent itself is told, are in none of its outputs.

use std::{collections::BTreeMap, fs, os::unix::fs::PermissionsExt as _, process::Command};

use acceptance::{
    TempDir,
    process::{Process, output},
    sink::{Inbox, Sink},
    span::from_json_lines,
    spandrel::{binary, comparable},
    token,
    wait::{LONG, wait_until},
    workload::{http2::nghttpd, python},
};

/// On the wire, under the names that `secrets.py` knows.
const WIRE: [&str; 40] = [
    "bearer",
    "basic",
    "proxy_authorization",
    "cookie",
    "api_key",
    "auth_token",
    "csrf_token",
    "vault_token",
    "amz_token",
    "referer",
    "referer_query",
    "query_x-amz-signature",
    "query_x-amz-credential",
    "query_x-amz-security-token",
    "query_awsaccesskeyid",
    "query_signature",
    "query_sig",
    "query_x-goog-signature",
    "url",
    "request_body",
    "chunk",
    "trailer",
    "set_cookie",
    "location",
    "link",
    "agent",
    "agent_query",
    "listed",
    "listed_query",
    "url_in_path",
    "url_in_query",
    "second_url_in_query",
    "encoded_url",
    "http2_bearer",
    "http2_cookie",
    "http2_api_key",
    "http2_referer",
    "http2_referer_query",
    "http2_agent",
    "http2_query",
];
/// Further ones: on the wire, of the process and of the agent.
const OTHERS: [&str; 5] = ["response_body", "argument", "variable", "otlp_headers", "code"];
/// Requests of the workload, each of which makes two spans.
const SPANS: usize = 2 * 8;
/// The path of the request over HTTP/2, which makes a span at its client.
const HTTP2: &str = "/http2";

/// What can be asked for, and lists of headers that have secrets in their values. Not the arguments: one may be a password.
const CONFIGURATION: &str = "
headers: { request: [referer, x-first, user-agent], response: [location, link] }
opt_in: [user_agent.original, network.local.address]
attributes: { team: shop }
";

struct Run {
    secrets: BTreeMap<&'static str, String>,
    /// By name.
    outputs: BTreeMap<&'static str, Vec<u8>>,
}

/// Records the workload with everything that can be asked for, and replays it; if not raw, with an agent beside it that
/// traces the same programs.
fn record(raw: bool) -> Run {
    let directory = TempDir::new();
    let secrets: BTreeMap<_, _> =
        WIRE.iter().chain(&OTHERS).map(|name| (*name, format!("{}{}", token(), token()))).collect();
    let file = directory.write("secrets.json", &serde_json::to_string(&secrets).unwrap());
    let script = directory.write("secrets.py", include_str!("../workloads/secrets.py"));
    let path = |name: &str| directory.path().join(name);
    let configuration = directory.write("spandrel.yaml", CONFIGURATION);
    let (sink, grpc, zipkin) = (Sink::start(), Sink::start(), Inbox::start());
    let (_server, port) = nghttpd(&directory);
    let token = token();
    // What a process is started with.
    let variables = [
        ("DATABASE_PASSWORD", secrets["variable"].clone()),
        // Those of this kind are in the records of a process that starts.
        ("OTEL_DATABASE_PASSWORD", secrets["variable"].clone()),
        ("OTEL_EXPORTER_OTLP_HEADERS", format!("authorization=Bearer%20{}", secrets["otlp_headers"])),
        ("HTTP2_PORT", port.to_string()),
    ];
    let argument = format!("--password={}", secrets["argument"]);
    let beside = (!raw).then(|| {
        let select = format!(
            "select: [{{ exe: 'python3*', command_line: '{}' }}, {{ exe: curl }}, {{ exe: bash }}]\n",
            script.display()
        );
        let configuration = directory.write("agent.yaml", &format!("{CONFIGURATION}{select}"));
        let mut command = Command::new(binary());
        command.args(["agent", "--log", "trace", "--export", "console", "--config"]).arg(configuration);
        command.arg("--export").arg(format!("json={}", path("agent.jsonl").display()));
        command.env("SPANDREL_STATUS", path("agent.json")).envs(variables.clone());
        let mut agent = Process::start("spandrel agent", &mut command);
        agent.wait_for("spandrel: tracing", LONG * 3);
        agent
    });

    let mut command = Command::new(binary());
    command.arg("record").arg(path("case.records")).args(["--log", "trace", "--export", "console"]);
    command.arg("--config").arg(&configuration);
    command.arg("--export").arg(format!("json={}", path("live.jsonl").display()));
    command.arg("--export").arg(format!("otlp-http={}", sink.endpoint()));
    command.arg("--export").arg(format!("otlp-grpc={}", grpc.endpoint()));
    command.arg("--export").arg(format!("zipkin={}", zipkin.endpoint()));
    if raw {
        command.arg("--raw");
    }
    // An existing file of everybody's.
    fs::write(path("case.records"), "").unwrap();
    fs::set_permissions(path("case.records"), fs::Permissions::from_mode(0o644)).unwrap();
    command.arg("--").arg(python()).arg(script).arg(&file).arg(&token).arg(&argument);
    command.env("SPANDREL_STATUS", path("status.json")).envs(variables.clone());
    let mut process = Process::start("spandrel record", &mut command);
    let status = process.wait(LONG * 3);
    assert!(status.success(), "{status}\n{}", process.log());
    let mode = fs::metadata(path("case.records")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "mode {mode:o}");

    let mut replay = Command::new(binary());
    replay.arg("replay").arg(path("case.records")).args(["--log", "trace", "--export", "console"]);
    replay.arg("--config").arg(&configuration);
    replay.arg("--export").arg(format!("json={}", path("replayed.jsonl").display()));
    let mut replay = Process::start("spandrel replay", &mut replay);
    assert!(replay.wait(LONG).success(), "{}", replay.log());
    let read = |name: &str| fs::read(path(name)).unwrap();
    let spans = |name: &str| comparable(from_json_lines(&String::from_utf8_lossy(&read(name))));
    let (live, replayed) = (spans("live.jsonl"), spans("replayed.jsonl"));
    assert_eq!(live.len(), SPANS + 1, "{}", process.log());
    assert!(live == replayed, "a replay gives other spans (raw: {raw}): {live:#?} {replayed:#?}");
    for sink in [&sink, &grpc] {
        wait_until("all spans at the sink", LONG, || sink.spans().len() > SPANS);
    }
    let to_zipkin = || zipkin.requests().into_iter().flat_map(|request| request.body).collect::<Vec<_>>();
    wait_until("the spans at Zipkin", LONG, || contains(&to_zipkin(), HTTP2.as_bytes()));

    let mut outputs = BTreeMap::from([
        ("standard output", process.stdout().into_bytes()),
        ("log and console", process.stderr().into_bytes()),
        ("JSON", read("live.jsonl")),
        ("collector", format!("{:?}", sink.spans()).into_bytes()),
        ("collector over gRPC", format!("{:?}", grpc.spans()).into_bytes()),
        ("Zipkin", to_zipkin()),
        ("status", read("status.json")),
        ("recording", read("case.records")),
        ("replay: log and console", replay.stderr().into_bytes()),
        ("replay: JSON", read("replayed.jsonl")),
    ]);
    if let Some(mut agent) = beside {
        let mut doctor = Command::new(binary());
        doctor.arg("doctor").envs(variables);
        outputs.insert("doctor", output("spandrel doctor", &mut doctor).into_bytes());
        outputs.insert("doctor: JSON", output("spandrel doctor", doctor.arg("--json")).into_bytes());
        let seen = || fs::read_to_string(path("agent.jsonl")).map(|text| from_json_lines(&text).len());
        wait_until("the agent beside has all spans", LONG, || seen().is_ok_and(|seen| seen > SPANS));
        agent.signal(libc::SIGTERM);
        assert!(agent.wait(LONG).success(), "{}", agent.log());
        outputs.insert("agent: log and console", agent.stderr().into_bytes());
        outputs.insert("agent: JSON", read("agent.jsonl"));
        outputs.insert("agent: status", read("agent.json"));
    }
    for (name, bytes) in &outputs {
        assert!(*name == "standard output" || !bytes.is_empty(), "{name} is empty: nothing was searched");
    }
    let listed = String::from_utf8_lossy(&outputs["JSON"]);
    for header in ["request.header.referer", "request.header.x-first", "response.header.link", "user_agent"] {
        assert!(listed.contains(header), "{header} is not exported: nothing was searched");
    }
    Run { secrets, outputs }
}

/// The forms in which a text can stand in another one.
fn forms(secret: &str) -> Vec<Vec<u8>> {
    let percent: String = secret.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let hexadecimal: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![secret.into(), percent.to_uppercase().into(), percent.into(), hexadecimal.into()];
    // In base64 what stands before it shifts it by up to two bytes; its middle is the same.
    for shift in 0..3 {
        let encoded = base64(&[&b"  "[..shift], secret.as_bytes()].concat());
        forms.push(encoded[4..encoded.len() - 4].into());
    }
    forms
}

fn base64(bytes: &[u8]) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |bytes: &[u8]| {
        let number =
            (0..3).fold(0, |sum, index| sum << 8 | bytes.get(index).map_or(0, |&byte| usize::from(byte)));
        [18, 12, 6, 0].map(|shift| ALPHABET[number >> shift & 63])
    };
    bytes.chunks(3).flat_map(group).collect()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Which secrets are in which outputs.
fn found(run: &Run) -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for (secret, text) in &run.secrets {
        let forms = forms(text);
        for (name, bytes) in &run.outputs {
            if forms.iter().any(|form| contains(bytes, form)) {
                found.push((*secret, *name));
            }
        }
    }
    found
}

#[test]
fn secrets_are_in_no_output_unless_a_recording_is_raw() {
    let _machine = live!();
    let run = record(false);
    assert_eq!(found(&run), [], "secrets and where they are");

    let raw = record(true);
    let warned = String::from_utf8_lossy(&raw.outputs["log and console"]).contains("the recording is raw");
    assert!(warned, "--raw warns");
    let found = found(&raw);
    for secret in WIRE.iter().chain(&["response_body", "argument", "variable", "otlp_headers", "code"]) {
        assert!(found.contains(&(*secret, "recording")), "{secret} is in a raw recording: {found:?}");
    }
    let elsewhere: Vec<_> = found.iter().filter(|(_, output)| *output != "recording").collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn an_address_with_a_password_is_refused_without_naming_it() {
    let _machine = live!();
    for export in ["otlp", "otlp-http", "otlp-grpc", "unknown"] {
        let secret = token();
        let destination = format!("{export}=http://user:{secret}@127.0.0.1:4318");
        let mut command = Command::new(binary());
        command.args(["run", "--log", "trace", "--export", &destination, "--", "true"]);
        let mut process = Process::start("spandrel run", &mut command);
        let status = process.wait(LONG);
        let log = process.log();
        assert!(!status.success(), "{export}: {log}");
        assert!(!forms(&secret).iter().any(|form| contains(log.as_bytes(), form)), "{log}");
    }
}

#[test]
fn a_configuration_that_is_refused_is_shown_without_its_secrets() {
    let secret = token();
    let directory = TempDir::new();
    let file = directory.write(
        "spandrel.yaml",
        &format!(
            "select:\n  - pid: 1\n    settings:\n      export_headers: {{ x-key: {secret}, host: x }}\n"
        ),
    );
    let select = format!("[{{ pid: 1, settings: {{ export_headers: {{ x-key: {secret}, host: x }} }} }}]");
    let export = format!("[otlp=http://c/?key={secret}, jaeger]");
    let refused = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(binary());
        command.args(["run", "--log", "trace"]).args(arguments).args(["--", "true"]);
        let output = command.envs(variables.iter().copied()).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && !log.contains(&secret), "{log}");
        assert!(log.contains('^'), "{log}");
    };
    refused(&["--config", file.to_str().unwrap()], &[]);
    refused(&[], &[("SPANDREL_SELECT", &select)]);
    refused(&[], &[("SPANDREL_EXPORT", &export)]);
}
