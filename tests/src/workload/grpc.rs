//! Programs of gRPC's implementations. Each is a server and a client of the same methods, in generic form: none
//! needs generated code.

pub mod web;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::{built, go_compiler, python};
use crate::{
    free_port,
    process::{Process, output},
    program,
    wait::LONG,
    workload_file,
};

const PYTHON: &str = "grpcio==1.76.0";
const NODE: &str = "@grpc/grpc-js@1.14.7";

/// Versions are those of its `pom.xml`, and of what that leads to.
const MAVEN_PLUGIN: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// An implementation of gRPC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// libgrpc++, gRPC's C core as the distribution has it.
    Cpp,
    /// grpc-java, on the Netty inside it.
    Java,
    /// grpcio, gRPC's C core.
    Python,
    /// grpc-go.
    Go,
    /// @grpc/grpc-js.
    Node,
    /// tonic.
    Rust,
}

/// A server that listens, and a client that has not called it yet.
pub struct Pair {
    pub server: Process,
    pub client: Process,
}

impl Pair {
    /// `what` the client is to do, with the methods of `service`.
    pub fn start(peer: Peer, service: &str, what: &str) -> Self {
        let (server, port) = peer.serve(service);
        Self { server, client: peer.client(port, service, what) }
    }

    /// Lets the client make its calls; what it wrote. It checks the answers itself.
    pub fn call(&mut self) -> String {
        call(&mut self.client, &self.server)
    }
}

/// Lets a client make its calls; what it wrote.
pub fn call(client: &mut Process, server: &Process) -> String {
    client.write(b"call\n");
    let status = client.wait(LONG * 3);
    let said = client.stdout();
    assert!(status.success() && said.contains("done"), "{}\n{}", client.log(), server.log());
    said
}

impl Peer {
    /// A server that listens, and its port.
    pub fn serve(self, service: &str) -> (Process, u16) {
        let port = free_port();
        let mut command = self.command();
        command.args(["server", &port.to_string(), service]).env("OTEL_SERVICE_NAME", "server");
        let mut server = Process::start("gRPC server", &mut command);
        server.wait_for("listening", LONG);
        (server, port)
    }

    /// A client of whoever listens on this port, that has not called yet.
    pub fn client(self, port: u16, service: &str, what: &str) -> Process {
        self.client_of(port, service, what, None)
    }

    /// The same with few calls: for captures.
    pub fn few(self, port: u16, service: &str, what: &str) -> Process {
        self.client_of(port, service, what, Some("10"))
    }

    /// The same, of so many unary calls if `calls` says so, and a tenth as many of each streaming kind.
    fn client_of(self, port: u16, service: &str, what: &str, calls: Option<&str>) -> Process {
        let mut command = self.command();
        command.args(["client", &port.to_string(), service, what]).env("OTEL_SERVICE_NAME", "client");
        command.envs(calls.map(|calls| ("CALLS", calls)));
        let mut client = Process::start("gRPC client", &mut command);
        client.wait_for("ready", LONG);
        client
    }

    fn command(self) -> Command {
        match self {
            Self::Cpp => Command::new(from_distribution()),
            Self::Java => {
                let jars = from_maven();
                let mut command = Command::new("java");
                command.arg("-cp").arg(format!("{0}:{0}/*", jars.display())).arg("Peer");
                command
            }
            Self::Python => {
                let mut command = Command::new(python());
                command.arg(workload_file("grpc/peer.py")).env("PYTHONPATH", from_pypi());
                command
            }
            Self::Go => Command::new(from_module()),
            Self::Node => {
                let mut command = Command::new("node");
                command.arg(workload_file("grpc/peer.js")).env("NODE_PATH", from_npm());
                command
            }
            Self::Rust => Command::new(program("grpc-peer")),
        }
    }
}

fn from_distribution() -> PathBuf {
    let source = workload_file("grpc");
    let directory = built(&texts(&source, &["peer.cc", "endings.h"]), |directory| {
        let mut compiler = Command::new("g++");
        compiler.args(["-std=c++17", "-O1", "-o"]).arg(directory.join("peer")).arg(source.join("peer.cc"));
        output("g++", compiler.args(["-lgrpc++", "-lgrpc", "-lgpr", "-labsl_synchronization"]));
    });
    directory.join("peer")
}

/// A directory of classes and archives.
fn from_maven() -> PathBuf {
    let source = workload_file("grpc/java");
    let classes = ["Peer.java", "Endings.java"];
    built(&texts(&source, &["pom.xml", classes[0], classes[1]]), |directory| {
        let mut maven = Command::new("mvn");
        maven.args(["--batch-mode", "--quiet", MAVEN_PLUGIN, "-DincludeScope=runtime", "--file"]);
        maven.arg(source.join("pom.xml"));
        output("mvn", maven.arg(format!("-DoutputDirectory={}", directory.display())));
        let mut compiler = Command::new("javac");
        compiler.arg("-cp").arg(directory.join("*")).arg("-d").arg(directory);
        output("javac", compiler.args(classes.map(|class| source.join(class))));
    })
}

fn from_pypi() -> PathBuf {
    built(PYTHON.as_bytes(), |directory| {
        let mut pip = Command::new(python());
        pip.args(["-m", "pip", "install", "--quiet", "--root-user-action=ignore", "--only-binary=:all:"]);
        output("pip install", pip.arg("--target").arg(directory).arg(PYTHON));
    })
}

fn from_npm() -> PathBuf {
    let directory = built(NODE.as_bytes(), |directory| {
        let mut npm = Command::new("npm");
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix"]);
        output("npm install", npm.arg(directory).arg(NODE));
    });
    directory.join("node_modules")
}

fn from_module() -> PathBuf {
    go_program("grpc/go", &["go.mod", "go.sum", "peer.go", "endings.go"])
}

/// The program whose source is these files of a directory of workloads.
fn go_program(source: &str, files: &[&str]) -> PathBuf {
    let source = workload_file(source);
    let directory = built(&texts(&source, files), |directory| {
        let mut go = Command::new(go_compiler());
        go.current_dir(&source).args(["build", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
        output("go build", go.arg(directory.join("peer")));
    });
    directory.join("peer")
}

/// What these files say.
fn texts(directory: &Path, names: &[&str]) -> Vec<u8> {
    let text = |name: &&str| fs::read(directory.join(name)).unwrap_or_else(|e| panic!("read {name}: {e}"));
    names.iter().flat_map(text).collect()
}
