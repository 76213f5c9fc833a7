//! Records the captures of `tests/captures` from real programs: `capture [PROTOCOL/CASE]...`, as root. What each case proves
//! stands at the top of its golden file; `SPANDREL_BLESS=1` with the `replay` tests writes the rest of that.

use std::{fs, path::Path, process::Command, thread::sleep, time::Duration};

use acceptance::{
    TempDir, free_port,
    http::{Address, Connection, Stream},
    late::Log,
    process::Process,
    recording,
    spandrel::{Options, binary},
    wait::{LONG, wait_until},
    workload::{
        Family, Language, Proxy, Server, application, between,
        busy::Library,
        grpc,
        http2::{self, nghttpd},
        nginx, proxy, python,
    },
};

/// The programs of a case, and what is sent to them.
struct Case {
    servers: Vec<Server>,
    scripts: Vec<Process>,
    /// A client that is traced too; it begins when it is sent a line.
    client: Option<Process>,
    traffic: Box<dyn FnOnce()>,
}

type Make = fn() -> Case;

const CASES: &[(&str, Make)] = &[
    ("http1/pipelined", || {
        let requests: String =
            (0..5).map(|n| format!("GET /pipelined/{n} HTTP/1.1\r\nHost: test\r\n\r\n")).collect();
        raw(nginx(Family::Tcp), vec![requests], 5)
    }),
    ("http1/split_request_line", || {
        raw(python_app(), vec!["G".into(), "ET /split HTTP/1.1\r\nHost: test\r\n\r\n".into()], 1)
    }),
    ("http1/phantom_body", || {
        let body = "GET /phantom HTTP/1.1\r\nHost: test\r\n\r\n";
        let head = format!("POST /real HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n", body.len());
        raw(python_app(), vec![head, body.into(), "GET /next HTTP/1.1\r\nHost: test\r\n\r\n".into()], 2)
    }),
    ("http1/keep_alive", || {
        curl(nginx(Family::Tcp), &["@/keep/0", "@/keep/1", "@/keep/2", "@/status/404/x", "@/keep/3"])
    }),
    ("http1/chunked", || {
        curl(
            application(Language::Node, Family::Tcp, "server"),
            &["-T", "-", "@/chunked/0", "--next", "-s", "@/chunked/1"],
        )
    }),
    ("http1/head_and_304", || {
        let always = "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT";
        curl(
            nginx(Family::Tcp),
            &["-I", "@/file", "--next", "-s", "-H", always, "@/file", "--next", "-s", "@/file"],
        )
    }),
    ("http1/expect_continue", || {
        let body = "x".repeat(4000);
        curl(
            python_app(),
            &["-H", "Expect: 100-continue", "-d", &body, "@/expect", "--next", "-s", "@/after"],
        )
    }),
    ("http1/upgrade", || {
        let upgrade = "GET /upgrade HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        let script = "
import socket,sys
s=socket.create_server(('127.0.0.1',int(sys.argv[1])));print('listening',flush=True)
c=s.accept()[0];c.recv(4096)
c.sendall(b'HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: echo\\r\\n\\r\\n')
while b:=c.recv(4096):c.sendall(b)
c.close();sys.stdin.read()
";
        let (server, address) = scripted(script);
        let phantom = "GET /not/http HTTP/1.1\r\nHost: test\r\n\r\n";
        sent(server, address, vec![upgrade.into(), phantom.into()])
    }),
    ("http1/close_delimited", || {
        let script = "
import http.server,sys
class H(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200);self.end_headers();self.wfile.write(b'HTTP/1.1 500 no response\\r\\n\\r\\n')
    def log_message(self,*_):pass
s=http.server.HTTPServer(('127.0.0.1',int(sys.argv[1])),H);print('listening',flush=True)
s.serve_forever()
";
        let (server, address) = scripted(script);
        let case = with_curl(Vec::new(), &address, &["@/close/0", "@/close/1"]);
        Case { scripts: vec![server], ..case }
    }),
    ("http1/early_response", || {
        let script = "
import socket,sys
s=socket.create_server(('127.0.0.1',int(sys.argv[1])));print('listening',flush=True)
c=s.accept()[0];b=b''
while b'\\r\\n\\r\\n' not in b:b+=c.recv(4096)
c.sendall(b'HTTP/1.1 413 Too Large\\r\\nContent-Length: 0\\r\\n\\r\\n')
n=len(b.split(b'\\r\\n\\r\\n',1)[1])
while n<4000:n+=len(c.recv(4096))
c.recv(4096);c.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n')
c.recv(1);c.close();sys.stdin.read()
";
        let (server, address) = scripted(script);
        let head = "POST /early HTTP/1.1\r\nHost: test\r\nContent-Length: 4000\r\n\r\n".to_owned();
        let next = "GET /next HTTP/1.1\r\nHost: test\r\n\r\n".to_owned();
        sent(server, address, vec![head, "x".repeat(4000), next])
    }),
    ("http1/proxy_nginx", || {
        let back = application(Language::Go, Family::Tcp, "C");
        let middle = proxy(Proxy::Nginx, Family::Tcp, &back.address);
        let header = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let address = middle.address.clone();
        with_curl(vec![middle, back], &address, &["-H", header, "@/proxy/0", "@/proxy/1"])
    }),
    ("http1/long_target", || {
        let target = format!("@/long/{}", "t".repeat(6000));
        curl(nginx(Family::Tcp), &[&target, "@/short"])
    }),
    ("links/python_threads", || {
        let back = python_app();
        let front = python_app();
        let call = back.call("/back");
        let urls: Vec<_> =
            (0..3).map(|n| format!("@/front/{n}?call={call}/{n}/a&call={call}/{n}/b")).collect();
        let urls: Vec<_> = urls.iter().map(String::as_str).collect();
        let address = front.address.clone();
        with_curl(vec![front, back], &address, &urls)
    }),
    ("http2/busy/go_node", || busy(Library::Go, Library::Node)),
    ("http2/busy/node_go", || busy(Library::Node, Library::Go)),
    ("http2/h2load_nghttpd", || {
        http2_of(
            nghttpd,
            "h2load",
            &["-n", "12", "-c", "1", "-m", "4", "http://@/file", "http://@/none", "http://@/file?x=1"],
        )
    }),
    ("http2/h2load_nginx", || {
        http2_of(
            http2::nginx,
            "h2load",
            &["-n", "12", "-c", "2", "-m", "3", "http://@/file", "http://@/none", "http://@/file?x=1"],
        )
    }),
    ("http2/curl", || {
        // This curl's second request of a connection fails, so that each is for another host.
        let all = ["-sS", "--http2-prior-knowledge", "--connect-to", "::@"];
        let get = ["http://a.test/file", "http://b.test/none", "http://c.test/file?x=1", "--next"];
        http2_of(nghttpd, "curl", &[&all[..], &get, &all, &["-d", "x=1", "http://d.test/file"]].concat())
    }),
    ("http2/go", || pair(http2::recorded::Peer::Go.pair())),
    ("http2/node", || pair(http2::recorded::Peer::Node.pair())),
    ("http2/nghttp", || {
        http2_of(nghttpd, "nghttp", &["-v", "http://@/file", "http://@/large", "http://@/none"])
    }),
    ("http2/hyper", || pair(http2::recorded::Peer::Hyper.pair())),
    ("http2/haproxy", || {
        let server = files(nghttpd);
        let Address::Tcp(address) = server.address else { panic!("a TCP address") };
        let proxy = between::haproxy(address.port()).into();
        let urls = ["http://@/file", "http://@/none", "http://@/file?x=1"];
        http2_to(vec![proxy, server], "h2load", &[&["-n", "6", "-c", "1", "-m", "2"], &urls[..]].concat())
    }),
    ("http2/upgrade", || {
        // As http2/curl. With content, Apache does not.
        let all = ["-sS", "--http2", "--connect-to", "::@"];
        let get = ["http://a.test/file", "http://b.test/none", "--next"];
        http2_of(apache, "curl", &[&all[..], &get, &all, &["-d", "x=1", "http://c.test/file"]].concat())
    }),
    ("http2/upgrade_nghttp", || {
        http2_of(apache, "nghttp", &["-nu", "http://@/file", "http://@/none", "http://@/file?x=1"])
    }),
    ("grpc/cpp", || grpc(grpc::Peer::Cpp)),
    ("grpc/go", || grpc(grpc::Peer::Go)),
    ("grpc/java", || grpc(grpc::Peer::Java)),
    ("grpc/nginx", || {
        let (server, port) = grpc::Peer::Go.serve("shop.Load");
        let nginx = between::nginx(port);
        let client = grpc::Peer::Go.few(nginx.port, "shop.Load", "single");
        Case { servers: vec![nginx.into()], ..pair((server, client)) }
    }),
    ("grpc/node", || grpc(grpc::Peer::Node)),
    ("grpc/python", || grpc(grpc::Peer::Python)),
    ("grpc/tonic", || grpc(grpc::Peer::Rust)),
    ("grpc/web", || web("1.1")),
    ("grpc/web_http2", || web("2")),
    ("unix/keep_alive", || {
        let server = application(Language::Python, Family::Unix, "server");
        let Address::Unix(path) = server.address.clone() else { panic!("a Unix address") };
        let path = path.display().to_string();
        let urls = ["--unix-socket", &path, "http://localhost/unix/0", "http://localhost/unix/1"];
        curl(server, &urls)
    }),
];

fn python_app() -> Server {
    application(Language::Python, Family::Tcp, "server")
}

/// A script that listens on the port that it is given.
fn scripted(script: &str) -> (Process, Address) {
    let port = free_port();
    let mut process =
        Process::start("server", Command::new(python()).args(["-c", script, &port.to_string()]));
    process.wait_for("listening", LONG);
    (process, Address::loopback(port))
}

/// Requests of an untraced client, each piece read before the next is sent; so many responses are read.
fn raw(server: Server, pieces: Vec<String>, responses: usize) -> Case {
    let address = server.address.clone();
    let traffic = Box::new(move || send(&address, pieces, responses));
    Case { servers: vec![server], scripts: Vec::new(), client: None, traffic }
}

fn sent(server: Process, address: Address, pieces: Vec<String>) -> Case {
    let traffic = Box::new(move || send(&address, pieces, 0));
    Case { servers: Vec::new(), scripts: vec![server], client: None, traffic }
}

fn send(address: &Address, pieces: Vec<String>, responses: usize) {
    let mut connection = Connection::open(address).expect("connect");
    for piece in pieces {
        connection.send(piece).expect("send");
        // Each piece is to be a read of its own.
        sleep(Duration::from_millis(50));
    }
    for _ in 0..responses {
        connection.receive(false).expect("receive").expect("a response");
    }
    if let Stream::Tcp(stream) = &connection.stream {
        stream.shutdown(std::net::Shutdown::Write).expect("shut down");
    }
    sleep(Duration::from_millis(50));
}

/// curl, traced, and a server; `@` stands for the address.
fn curl(server: Server, arguments: &[&str]) -> Case {
    let address = server.address.clone();
    with_curl(vec![server], &address, arguments)
}

fn with_curl(servers: Vec<Server>, address: &Address, arguments: &[&str]) -> Case {
    let arguments = arguments.iter().map(|argument| match argument.strip_prefix('@') {
        Some(path) => format!("http://{address}{path}"),
        None => (*argument).to_owned(),
    });
    let client = waiting("curl", ["-sS".to_owned()].into_iter().chain(arguments));
    Case { servers, scripts: Vec::new(), client: Some(client), traffic: Box::new(|| {}) }
}

/// A client that begins when it is sent a line. The shell is known before it becomes the client.
fn waiting(program: &str, arguments: impl IntoIterator<Item = String>) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("read line; exec {program} \"$@\""), program]).args(arguments);
    Process::start(program, &mut command)
}

/// A client of HTTP/2, traced, and a server of files; `@` stands for the address.
fn http2_of(serve: fn(&TempDir) -> (Process, u16), program: &str, arguments: &[&str]) -> Case {
    http2_to(vec![files(serve)], program, arguments)
}

/// The same with servers of which the first is asked.
fn http2_to(servers: Vec<Server>, program: &str, arguments: &[&str]) -> Case {
    let address = servers[0].address.to_string();
    let client = waiting(program, arguments.iter().map(|argument| argument.replace('@', &address)));
    Case { servers, scripts: Vec::new(), client: Some(client), traffic: Box::new(|| {}) }
}

fn files(serve: fn(&TempDir) -> (Process, u16)) -> Server {
    let directory = TempDir::new();
    directory.write("file", "ok\n");
    directory.write("large", &"x".repeat(20_000));
    let (process, port) = serve(&directory);
    Server { process, address: Address::loopback(port), directory }
}

/// Apache httpd with the processes that answer: it listens before they are there.
fn apache(directory: &TempDir) -> (Process, u16) {
    let (process, port) = http2::apache(directory);
    wait_until("httpd has its workers", LONG, || process.pids().len() > 3);
    (process, port)
}

/// Few calls of an implementation of gRPC to itself.
fn grpc(peer: grpc::Peer) -> Case {
    let (server, port) = peer.serve("shop.Load");
    pair((server, peer.few(port, "shop.Load", "load")))
}

/// Few calls of gRPC-Web, over this version of HTTP.
fn web(version: &str) -> Case {
    let pair = grpc::web::few("shop.Web", version);
    self::pair((pair.server, pair.client))
}

/// A server, and a client that knows it.
fn pair((server, client): (Process, Process)) -> Case {
    Case { servers: Vec::new(), scripts: vec![server], client: Some(client), traffic: Box::new(|| {}) }
}

/// One connection between two libraries, with more of its requests than its header tables have room for.
fn busy(client: Library, server: Library) -> Case {
    const REQUESTS: &str = "200";
    let port = free_port().to_string();
    let mut script = Process::start("server", server.command().args(["server", &port]));
    script.wait_for("listening", LONG);
    let command = client.command();
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut words = words.map(|word| word.to_string_lossy().into_owned());
    let program = words.next().expect("a program");
    let client = waiting(&program, words.chain(["client".to_owned(), port, REQUESTS.to_owned()]));
    Case { servers: Vec::new(), scripts: vec![script], client: Some(client), traffic: Box::new(|| {}) }
}

fn record(name: &str, mut case: Case) {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).with_extension("records");
    fs::create_dir_all(target.parent().expect("a folder")).expect("create the folder");
    let directory = TempDir::new();
    let path = directory.path().join("case.records");
    let selected: Vec<_> =
        case.servers.iter().map(|server| &server.process).chain(&case.scripts).chain(&case.client).collect();
    let config = directory.write("spandrel.yaml", &Options::only(selected.iter().copied()).config());
    let pids: Vec<_> = selected.iter().flat_map(|process| process.pids()).collect();
    let mut record = Process::start(
        "spandrel record",
        Command::new(binary())
            .arg("record")
            .arg(&path)
            .arg("--config")
            .arg(config)
            // The programs are ours, and so is what they say.
            .args(["--raw", "--export", "json=/dev/null"]),
    );
    record.wait_for("spandrel: tracing", LONG * 3);
    (case.traffic)();
    if let Some(client) = &mut case.client {
        client.write(b"\n");
        client.close_stdin();
        assert!(client.wait(LONG).success(), "{}", client.log());
    }
    sleep(Duration::from_millis(500));
    record.signal(libc::SIGTERM);
    assert!(record.wait(LONG).success(), "{}", record.log());
    recording::store(&path, &target, &pids);
    // What the server says it was asked.
    let log: String = case.scripts.iter().map(|script| Log::parse(&script.stdout()).text()).collect();
    if !log.is_empty() {
        fs::write(target.with_extension("log"), log).expect("write the log");
    }
    eprintln!("{name}: {} bytes", fs::metadata(&target).expect("the capture").len());
}

fn main() {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    for (name, make) in CASES {
        if asked.is_empty() || asked.iter().any(|asked| asked == name) {
            record(name, make());
        }
    }
}
