//! Unmodified programs: each is started on an address and is ready when the function returns.

pub mod between;
pub mod busy;
pub mod grpc;
pub mod http2;

use std::{
    fs::{self, Permissions},
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    TempDir, free_port,
    http::{Address, Stream},
    netns::Namespace,
    process::{Process, output},
    target_directory,
    wait::{LONG, poll},
    workload_file,
};

/// OpenTelemetry's SDK for Python with its exporter, from PyPI.
const SDK: &str = "opentelemetry-exporter-otlp-proto-http==1.45.2";

/// A started server.
pub struct Server {
    pub process: Process,
    pub address: Address,
    /// What it serves; gone with it.
    pub directory: TempDir,
}

impl Server {
    /// Where `call=` in the query of an application finds a path of this server.
    pub fn call(&self, path: &str) -> String {
        match &self.address {
            Address::Tcp(address) => format!("{address}{path}"),
            Address::Unix(socket) => format!("unix:{}:{path}", socket.display()),
        }
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// Whether a server listens on TCP or on a Unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Tcp,
    Unix,
}

/// A language of the application servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    Python,
    Java,
    Go,
    Node,
    Ruby,
}

/// An application server that answers `ok` and makes the calls its query names.
pub fn application(language: Language, family: Family, service: &str) -> Server {
    application_in(None, language, family, service)
}

/// The same inside a network namespace.
pub fn application_in(
    namespace: Option<&Namespace>,
    language: Language,
    family: Family,
    service: &str,
) -> Server {
    let directory = TempDir::new();
    let (address, argument) = place(family, &directory);
    let (program, first) = match language {
        Language::Python => (python(), vec![workload_file("app.py")]),
        Language::Java => {
            (PathBuf::from("java"), vec!["-cp".into(), java(&workload_file("App.java")), "App".into()])
        }
        Language::Go => (go(&workload_file("app.go")), Vec::new()),
        Language::Node => (PathBuf::from("node"), vec![workload_file("app.js")]),
        Language::Ruby => (PathBuf::from("ruby"), vec![workload_file("app.rb")]),
    };
    let mut command = match namespace {
        Some(namespace) => namespace.command(&program.to_string_lossy()),
        None => Command::new(program),
    };
    command.args(first).arg(argument).env("OTEL_SERVICE_NAME", service);
    let mut process = Process::start(service, &mut command);
    process.wait_for("listening", LONG);
    if let Address::Unix(path) = &address {
        // The workers of proxies are other users.
        fs::set_permissions(path, Permissions::from_mode(0o777)).expect("open the socket to all users");
    }
    Server { process, address, directory }
}

/// A reverse proxy: `/proxy/...` goes to the backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    Nginx,
    HaProxy,
    Apache,
}

/// nginx that answers by itself.
pub fn nginx(family: Family) -> Server {
    proxy(Proxy::Nginx, family, &Address::loopback(9))
}

pub fn proxy(kind: Proxy, family: Family, backend: &Address) -> Server {
    let directory = TempDir::new();
    let (address, _) = place(family, &directory);
    let (template, command): (_, &[&str]) = match kind {
        Proxy::Nginx => ("nginx.conf", &["nginx", "-e", "stderr", "-c"]),
        Proxy::HaProxy => ("haproxy.cfg", &["haproxy", "-db", "-f"]),
        Proxy::Apache => ("apache.conf", &["apache2", "-D", "FOREGROUND", "-f"]),
    };
    let (listen, upstream) = match kind {
        Proxy::Nginx => (address.to_string(), backend.to_string()),
        Proxy::HaProxy => {
            (address.to_string().replace("unix:", "unix@"), backend.to_string().replace("unix:", "unix@"))
        }
        Proxy::Apache => (
            address.to_string(),
            match backend {
                Address::Tcp(address) => format!("http://{address}"),
                Address::Unix(path) => format!("unix:{}|http://localhost", path.display()),
            },
        ),
    };
    let text = fs::read_to_string(workload_file(template)).unwrap_or_else(|e| panic!("read {template}: {e}"));
    let text = text
        .replace("@directory@", &directory.path().to_string_lossy())
        .replace("@listen@", &listen)
        .replace("@backend@", &upstream)
        .replace("@pool@", "keepalive 16;")
        .replace("@sendfile@", "on")
        .replace("@modules@", "/usr/lib/apache2/modules");
    directory.write("file", &"x".repeat(100));
    let file = directory.write(template, &text);
    // Workers run as another user, and reach the directory all the same.
    let mut start = Command::new(command[0]);
    start.args(&command[1..]).arg(file).env("OTEL_SERVICE_NAME", command[0]);
    let mut process = Process::start(command[0], &mut start);
    let reached =
        poll(LONG, || (process.try_wait().is_some() || Stream::connect(&address).is_ok()).then_some(()));
    assert!(
        reached.is_some() && process.try_wait().is_none(),
        "{} does not listen on {address}\n{}",
        command[0],
        process.log()
    );
    if kind != Proxy::HaProxy {
        process.wait_for_worker();
    }
    Server { process, address, directory }
}

/// `/usr/bin/python3` where there is one: what a version manager puts first on the path is a shell script.
pub fn python() -> PathBuf {
    ["/usr/bin/python3", "python3"]
        .map(PathBuf::from)
        .into_iter()
        .find(|path| path.exists())
        .unwrap_or("python3".into())
}

/// An application in Python that makes its spans itself, by OpenTelemetry's SDK, and sends them to `endpoint`. Its
/// calls are of plain HTTP over TCP.
pub fn instrumented(service: &str, endpoint: &str) -> Server {
    let directory = TempDir::new();
    let (address, argument) = place(Family::Tcp, &directory);
    let source = workload_file("sdk.py");
    let sdk = compiled(&source, |directory| {
        let mut pip = Command::new(python());
        pip.args(["-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--only-binary=:all:"]);
        output("pip install", pip.arg("--target").arg(directory).arg(SDK));
    });
    let mut command = Command::new(python());
    command.arg(source).arg(argument).env("PYTHONPATH", sdk);
    command.env("OTEL_SERVICE_NAME", service).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    let mut process = Process::start(service, &mut command);
    process.wait_for("listening", LONG);
    Server { process, address, directory }
}

/// Compiles a Java file once; the class path.
pub fn java(source: &Path) -> PathBuf {
    compiled(source, |directory| {
        output("javac", Command::new("javac").arg("-d").arg(directory).arg(source));
    })
}

/// Compiles a Go file once; the program.
pub fn go(source: &Path) -> PathBuf {
    let directory = compiled(source, |directory| {
        let mut command = Command::new(go_compiler());
        command.env("GO111MODULE", "off").env("GOTOOLCHAIN", "local").args(["build", "-o"]);
        output("go build", command.arg(directory.join("app")).arg(source));
    });
    directory.join("app")
}

/// `go` of this machine.
pub(crate) fn go_compiler() -> &'static str {
    ["/usr/local/go/bin/go", "go"].into_iter().find(|path| Path::new(path).exists()).unwrap_or("go")
}

/// Output of a compiler, in a directory named by the source's text.
fn compiled(source: &Path, compile: impl FnOnce(&Path)) -> PathBuf {
    built(&fs::read(source).unwrap_or_else(|e| panic!("read {}: {e}", source.display())), compile)
}

/// A directory with what `compile` makes there, once for each text that it is made of.
pub(crate) fn built(text: &[u8], compile: impl FnOnce(&Path)) -> PathBuf {
    let mut hash = DefaultHasher::new();
    text.hash(&mut hash);
    let directory = target_directory().join("workloads").join(format!("{:016x}", hash.finish()));
    let done = directory.join("done");
    if !done.exists() {
        fs::create_dir_all(&directory).unwrap_or_else(|e| panic!("create {}: {e}", directory.display()));
        compile(&directory);
        fs::write(&done, "").unwrap_or_else(|e| panic!("write {}: {e}", done.display()));
    }
    directory
}

/// An address, and how the application servers are told of it.
fn place(family: Family, directory: &TempDir) -> (Address, String) {
    match family {
        Family::Tcp => {
            let port = free_port();
            (Address::loopback(port), port.to_string())
        }
        Family::Unix => {
            let path = directory.path().join("socket");
            let argument = path.to_string_lossy().into_owned();
            (Address::Unix(path), argument)
        }
    }
}
