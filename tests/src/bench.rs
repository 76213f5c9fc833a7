//! The benchmark: what tracing costs the traced program, the machine, and programs that are not traced.
//!
//! Runs with and without the agent alternate, so that what else the machine does falls on both.

mod measure;
mod report;
mod subject;
mod upload;

use std::{
    path::PathBuf,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

pub use self::{measure::unselected, report::report, subject::Subject};
use self::{
    measure::{Sampler, bpf_time, cpu_time},
    subject::Outcome,
};
use crate::{
    process::Process,
    spandrel::{Agent, Options, Running, counter},
    wait::{LONG, poll},
    workload::{Family, nginx},
};

/// The fixed rate, in requests a second.
pub const RATE: u64 = 10_000;
const CONNECTIONS: u64 = 8;
/// Requests at a time on each connection of HTTP/2.
const STREAMS: u64 = 10;

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
    /// CPU time of the server, nanoseconds.
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

/// The runs of one subject, those at a pace untraced and traced.
#[derive(Clone, Debug, Default)]
pub struct Runs {
    pub saturated: [Vec<Sample>; 2],
    pub fixed: [Vec<Sample>; 2],
    /// Saturated runs with the kernel's statistics on.
    pub statistics: Vec<Sample>,
}

/// Everything that was measured.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// In the order of [`Subject::ALL`].
    pub runs: [Runs; 3],
    /// Nanoseconds of a getppid call and of a file read in a process that is not selected, untraced and traced.
    pub unselected: [Vec<(f64, f64)>; 2],
    /// Milliseconds of a long request over HTTP/2, untraced and traced.
    pub uploads: [Vec<f64>; 2],
    /// Milliseconds from the launch of `spandrel run -- curl` to its first span.
    pub first_span: Vec<f64>,
    /// Size of the program, bytes.
    pub size: u64,
}

/// Measures; `progress` is told what is done next.
pub fn run(plan: &Plan, progress: impl Fn(&str)) -> Results {
    let size = std::fs::metadata(&plan.spandrel).map_or(0, |file| file.len());
    let mut results = Results { size, ..Results::default() };
    let requests = Subject::ALL.map(|subject| subject.requests(plan.seconds));
    for round in 1..=plan.rounds {
        for ((subject, requests), runs) in Subject::ALL.into_iter().zip(requests).zip(&mut results.runs) {
            let measure = |pace, traced, statistics| {
                let state = if traced { "traced" } else { "untraced" };
                let and = if statistics { ", with the kernel's statistics" } else { "" };
                progress(&format!(
                    "round {round} of {}: {}, {pace:?}, {state}{and}",
                    plan.rounds,
                    subject.name()
                ));
                sample(plan, (subject, pace, requests), traced, statistics)
            };
            for traced in [false, true] {
                runs.saturated[usize::from(traced)].push(measure(Pace::Saturated, traced, false));
                runs.fixed[usize::from(traced)].push(measure(Pace::Fixed, traced, false));
            }
            runs.statistics.push(measure(Pace::Saturated, true, true));
        }
        for traced in [false, true] {
            results.unselected[usize::from(traced)].push(bystander(plan, traced));
            progress(&format!("round {round} of {}: uploads", plan.rounds));
            results.uploads[usize::from(traced)].extend(upload::uploads(plan, traced));
        }
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
    /// The server and the load generators are selected: an exchange is two spans.
    fn start(plan: &Plan, server: &Process) -> Self {
        let mut sink = Process::start("sink", Command::new(&plan.program).arg("--sink"));
        sink.wait_for("listening on ", LONG);
        let endpoint = sink.stdout().trim().trim_start_matches("listening on ").to_owned();
        let load = format!("{} --load", plan.program.display());
        let agent = Agent::start_without_spans(&Options {
            binary: Some(plan.spandrel.clone()),
            select: vec![format!("{{command_line: {load:?}}}"), "{exe: h2load}".to_owned()],
            exports: vec!["otlp".to_owned()],
            environment: vec![("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint)],
            ..Options::only([server])
        });
        Self { agent, sink }
    }
}

/// One run. `requests` is how many saturate the subject for the time of the plan.
fn sample(
    plan: &Plan,
    (subject, pace, requests): (Subject, Pace, u64),
    traced: bool,
    statistics: bool,
) -> Sample {
    let target = subject.serve();
    let workers: Vec<u32> = target.process.pids();
    let tracing = traced.then(|| Tracing::start(plan, &target.process));
    let _statistics = statistics.then(measure::Statistics::on);
    let load = subject.load(plan, &target, pace, requests);
    let server_before = cpu_time(&workers);
    let agent_before = tracing.as_ref().map(|tracing| {
        let pid = tracing.agent.process.pid();
        (cpu_time(&[pid]), bpf_time(pid), Sampler::start(pid))
    });
    let Outcome { requests, rate } = load();
    let server_cpu = cpu_time(&workers) - server_before;
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
    Sample { requests, rate, server_cpu, traced }
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
    let _tracing = traced.then(|| Tracing::start(plan, &server.process));
    let mut process = Process::start("unselected", Command::new(&plan.program).arg("--unselected"));
    let status = process.wait(LONG * 3);
    assert!(status.success(), "{}", process.log());
    let output = process.stdout();
    let mut numbers = output.split_whitespace().map(|number| number.parse().expect("nanoseconds"));
    (numbers.next().expect("getppid"), numbers.next().expect("read"))
}
