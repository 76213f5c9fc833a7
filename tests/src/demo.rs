//! The demo's five services, each in another language, none of them instrumented.
//!
//! A calls B, and E while B works; B calls C, then D.

use std::{fs, process::Command};

use crate::{
    TempDir, free_port,
    http::{Address, Message, Stream, get},
    process::Process,
    spandrel::Options,
    wait::{LONG, wait_until},
    workload::{go, java, python},
    workload_file,
};

/// The whole trace of one request to A. E is called by its program: nginx overwrites the environment it was given.
pub const TREE: &str = "
    A-python server GET /order
      A-python client GET /stock
        B-java server GET /stock
          B-java client GET /items
            C-go server GET /items
          B-java client GET /users
            D-node server GET /users
      A-python client GET /prices
        nginx server GET /prices
";

/// The running services.
pub struct Services {
    pub processes: Vec<Process>,
    front: Address,
    _directory: TempDir,
}

impl Services {
    pub fn start() -> Self {
        let directory = TempDir::new();
        let [a, b, c, d, e] = [(); 5].map(|()| free_port().to_string());
        let file = |name: &str| workload_file(&format!("demo/{name}"));
        let template = fs::read_to_string(file("e.conf")).expect("read e.conf");
        let text = template.replace("@directory@", &directory.path().to_string_lossy()).replace("@port@", &e);
        let mut python = Command::new(python());
        let mut java_b = Command::new("java");
        let mut nginx = Command::new("nginx");
        nginx.args(["-e", "stderr", "-c"]).arg(directory.write("e.conf", &text));
        java_b.arg("-cp").arg(java(&file("B.java")));
        let mut services = [
            ("E-nginx", &mut nginx),
            ("D-node", Command::new("node").arg(file("d.js")).arg(&d)),
            ("C-go", Command::new(go(&file("c.go"))).arg(&c)),
            ("B-java", java_b.args(["B", &b, &c, &d])),
            ("A-python", python.arg(file("a.py")).args([&a, &b, &e])),
        ]
        .map(|(name, command)| Process::start(name, command.env("OTEL_SERVICE_NAME", name)));
        let [nginx, others @ ..] = &mut services;
        for process in others {
            process.wait_for("listening", LONG);
        }
        let at_e = Address::loopback(e.parse().expect("a port"));
        wait_until("nginx listens", LONG, || nginx.try_wait().is_some() || Stream::connect(&at_e).is_ok());
        assert!(nginx.try_wait().is_none(), "nginx did not start\n{}", nginx.log());
        let front = Address::loopback(a.parse().expect("a port"));
        Self { processes: services.into(), front, _directory: directory }
    }

    /// The services are selected, and the sender of the request is not.
    pub fn selection(&self) -> Options {
        Options {
            exclude: vec![format!("{{pid: {}}}", std::process::id())],
            ..Options::only(&self.processes)
        }
    }

    /// One request to A.
    pub fn order(&self) -> Message {
        let log = || self.processes.iter().map(Process::log).collect::<Vec<_>>().join("\n");
        let answer =
            get(&self.front, "/order").unwrap_or_else(|e| panic!("GET /order from A: {e}\n{}", log()));
        assert!(answer.body == b"prices\nitems\nusers\n", "A answered {answer:?}\n{}", log());
        answer
    }
}
