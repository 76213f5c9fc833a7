//! The benchmark: what tracing costs the traced program, the machine, and programs that are not traced.
//!
//! Runs with and without the agent alternate, so that what else the machine does falls on both.

mod measure;
mod report;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

use self::measure::{Sampler, bpf_time, cpu_time};
pub use self::{measure::unselected, report::report};
use crate::{
    process::Process,
    spandrel::{Agent, Options, Running, counter},
    wait::{LONG, poll},
    workload::{Family, Server, nginx},
};

/// The fixed rate, in requests a second.
pub const RATE: u64 = 10_000;
const CONNECTIONS: u64 = 8;

/// Where programs are, and how long to measure.
#[derive(Clone, Debug)]
pub struct Plan {
    pub spandrel: PathBuf,
    /// This program, which also is the load, the collector and the unselected process.
    pub program: PathBuf,
    pub rounds: u32,
    pub seconds: u64,
}

/// How the load is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    Saturated,
    Fixed,
}

/// One run of the load.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    pub requests: u64,
    pub rate: f64,
    /// CPU time of nginx, nanoseconds.
    pub server_cpu: u64,
    pub traced: Option<Traced>,
}

/// What a run shows of the agent.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    /// CPU time of the agent until its queues were empty again, nanoseconds.
    pub agent_cpu: u64,
    /// Run time of all BPF programs, nanoseconds; only while the kernel keeps statistics.
    pub bpf_time: Option<u64>,
    /// The largest anonymous memory seen, bytes.
    pub anonymous: u64,
    /// Spans that the collector accepted.
    pub accepted: u64,
    /// Records, calls, connections and spans that were lost, by name.
    pub lost: Vec<(String, u64)>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    pub saturated: [Vec<Sample>; 2],
    pub fixed: [Vec<Sample>; 2],
    /// Saturated runs with the kernel's statistics on.
    pub statistics: Vec<Sample>,
    /// Nanoseconds of a getppid call and of a file read in a process that is not selected, untraced and traced.
    pub unselected: [Vec<(f64, f64)>; 2],
    /// Milliseconds from the launch of `spandrel run -- curl` to its first span.
    pub first_span: Vec<f64>,
    /// Size of the program, bytes.
    pub size: u64,
}

/// Measures; `progress` is told what is done next.
pub fn run(plan: &Plan, progress: impl Fn(&str)) -> Results {
    let size = std::fs::metadata(&plan.spandrel).map_or(0, |file| file.len());
    let mut results = Results { size, ..Results::default() };
    for round in 1..=plan.rounds {
        for traced in [false, true] {
            let state = if traced { "traced" } else { "untraced" };
            for (pace, name, samples) in [
                (Pace::Saturated, "saturated", &mut results.saturated),
                (Pace::Fixed, "fixed rate", &mut results.fixed),
            ] {
                progress(&format!("round {round} of {}: {name}, {state}", plan.rounds));
                samples[usize::from(traced)].push(sample(plan, pace, traced, false));
            }
            results.unselected[usize::from(traced)].push(bystander(plan, traced));
        }
        progress(&format!(
            "round {round} of {}: saturated, traced, with the kernel's statistics",
            plan.rounds
        ));
        results.statistics.push(sample(plan, Pace::Saturated, true, true));
        results.first_span.push(first_span(plan));
    }
    results
}

/// A running agent with its collector.
struct Tracing {
    agent: Agent,
    sink: Process,
}

impl Tracing {
    /// nginx and the load generator are selected: an exchange is two spans.
    fn start(plan: &Plan, server: &Server) -> Self {
        let mut sink = Process::start("sink", Command::new(&plan.program).arg("--sink"));
        sink.wait_for("listening on ", LONG);
        let endpoint = sink.stdout().trim().trim_start_matches("listening on ").to_owned();
        let agent = Agent::start_without_spans(&Options {
            binary: Some(plan.spandrel.clone()),
            select: vec![format!("{{command_line: {:?}}}", format!("{} --load", plan.program.display()))],
            exports: vec!["otlp".to_owned()],
            environment: vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint)],
            ..Options::only([&server.process])
        });
        Self { agent, sink }
    }
}

fn sample(plan: &Plan, pace: Pace, traced: bool, statistics: bool) -> Sample {
    let server = nginx(Family::Tcp);
    let workers: Vec<u32> = server.process.pids();
    let tracing = traced.then(|| Tracing::start(plan, &server));
    let _statistics = statistics.then(measure::Statistics::on);
    let mut command = Command::new(&plan.program);
    command
        .arg("--load")
        .arg(server.address.to_string())
        .arg("/file")
        .arg(format!("connections={CONNECTIONS}"));
    command.args(["requests=1000000000".to_owned(), format!("seconds={}", plan.seconds)]);
    if pace == Pace::Fixed {
        command.arg(format!("rate={RATE}"));
    }
    let mut load = Process::start("load", &mut command);
    load.wait_for("ready", LONG);
    let server_before = cpu_time(&workers);
    let agent_before = tracing.as_ref().map(|tracing| {
        let pid = tracing.agent.process.pid();
        (cpu_time(&[pid]), bpf_time(pid), Sampler::start(pid))
    });
    load.write(b"\n");
    let status = load.wait(Duration::from_secs(plan.seconds) + LONG);
    assert!(status.success(), "the load failed\n{}\n{}", load.log(), server.process.log());
    let server_cpu = cpu_time(&workers) - server_before;
    let output = load.stdout();
    let number = |key: &str| -> u64 {
        let value = output.split_whitespace().find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {key} in {output:?}"))
    };
    let requests = number("succeeded");
    let traced = tracing.zip(agent_before).map(|(tracing, (cpu, bpf, sampler))| {
        let pid = tracing.agent.process.pid();
        let bpf_time = statistics.then(|| bpf_time(pid) - bpf);
        settle(&tracing.agent, 2 * requests);
        let agent_cpu = cpu_time(&[pid]) - cpu;
        let anonymous = sampler.stop();
        let counters = tracing.agent.stop().counters;
        drop(tracing.sink);
        Traced { agent_cpu, bpf_time, anonymous, accepted: accepted(&counters), lost: lost(&counters) }
    });
    Sample { requests, rate: requests as f64 / (number("elapsed_ns") as f64 / 1e9), server_cpu, traced }
}

/// Waits until the collector has accepted what there is; what was lost never comes, so not for long.
fn settle(agent: &Agent, expected: u64) {
    poll(Duration::from_secs(5), || (accepted(&agent.counters()) >= expected).then_some(()));
}

fn accepted(counters: &Value) -> u64 {
    counters["destinations"]
        .as_object()
        .into_iter()
        .flat_map(|destinations| destinations.values())
        .map(|destination| destination["accepted"].as_u64().unwrap_or_default())
        .sum()
}

fn lost(counters: &Value) -> Vec<(String, u64)> {
    let kernel =
        ["ring_full", "inflight_full", "connections_full", "processes_full", "unseen_bytes", "missed_runs"];
    let engine = ["gaps", "reorder_full", "connections_evicted", "exchanges_evicted", "records_refused"];
    let mut lost: Vec<_> = kernel
        .iter()
        .map(|name| (format!("kernel/{name}"), counter(counters, &format!("/kernel/{name}"))))
        .chain(
            engine
                .iter()
                .map(|name| (format!("engine/{name}"), counter(counters, &format!("/engine/{name}")))),
        )
        .collect();
    for (name, destination) in counters["destinations"].as_object().into_iter().flatten() {
        for (reason, count) in destination["dropped"].as_object().into_iter().flatten() {
            lost.push((format!("{name}/{reason}"), count.as_u64().unwrap_or_default()));
        }
    }
    lost.retain(|(_, count)| *count > 0);
    lost
}

fn first_span(plan: &Plan) -> f64 {
    let server = nginx(Family::Tcp);
    let url = format!("http://{}/", server.address);
    let launch = Instant::now();
    let running = Running::start_by(&plan.spandrel, &["curl", "-sS", &url]);
    let found = poll(LONG, || running.has_spans().then(|| launch.elapsed()));
    let found = found.unwrap_or_else(|| panic!("`run -- curl` made no span\n{}", running.process.log()));
    running.finish();
    found.as_secs_f64() * 1e3
}

/// A process that is not selected, while nginx is.
fn bystander(plan: &Plan, traced: bool) -> (f64, f64) {
    let server = nginx(Family::Tcp);
    let _tracing = traced.then(|| Tracing::start(plan, &server));
    let mut process = Process::start("unselected", Command::new(&plan.program).arg("--unselected"));
    let status = process.wait(LONG * 3);
    assert!(status.success(), "{}", process.log());
    let output = process.stdout();
    let mut numbers = output.split_whitespace().map(|number| number.parse().expect("nanoseconds"));
    (numbers.next().expect("getppid"), numbers.next().expect("read"))
}
