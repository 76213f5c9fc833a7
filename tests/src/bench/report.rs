//! The table, and whether it meets what is required.

use std::fmt::Write;

use super::{Plan, RATE, Results, Sample, Traced};

/// Required of the untraced CPU time, at most.
const SERVER_CPU_RATIO: f64 = 1.2;
/// Required of the agent, at most, for an exchange of two spans.
const AGENT_MICROSECONDS: f64 = 8.0;
/// Required of the agent's anonymous memory, at most.
const ANONYMOUS: u64 = 30 << 20;
/// Required of the program's size, at most.
const SIZE: u64 = 15_000_000;
/// Required of the first span after launch, at most.
const FIRST_SPAN: f64 = 1_000.0;

/// The page, and the requirements that are not met.
pub fn report(plan: &Plan, results: &Results) -> (String, Vec<String>) {
    let mut missed = Vec::new();
    let mut require = |met: bool, what: String| {
        if !met {
            missed.push(what);
        }
    };
    let [untraced, traced] = &results.saturated;
    let [fixed_untraced, fixed_traced] = &results.fixed;
    let cpu_saturated = [untraced, traced].map(|samples| median(samples, server_microseconds));
    let cpu_fixed = [fixed_untraced, fixed_traced].map(|samples| median(samples, server_microseconds));
    let rate = [untraced, traced].map(|samples| median(samples, |sample| sample.rate));
    let rate_fixed = [fixed_untraced, fixed_traced].map(|samples| median(samples, |sample| sample.rate));
    let agent = [traced, fixed_traced].map(|samples| median(samples, agent_microseconds));
    let bpf = median(&results.statistics, bpf_microseconds);
    let anonymous =
        traced.iter().chain(fixed_traced).map(|sample| of(sample).anonymous).max().unwrap_or_default();

    for (pace, cpu) in [("saturated", cpu_saturated), ("fixed rate", cpu_fixed)] {
        let ratio = cpu[1] / cpu[0];
        require(ratio <= SERVER_CPU_RATIO, format!("nginx CPU a request, {pace}: {ratio:.2} times untraced"));
    }
    for (pace, microseconds) in [("saturated", agent[0]), ("fixed rate", agent[1])] {
        require(
            microseconds <= AGENT_MICROSECONDS,
            format!("agent CPU an exchange, {pace}: {microseconds:.2} us"),
        );
    }
    for sample in fixed_traced {
        let traced = of(sample);
        let all = traced.lost.is_empty() && traced.accepted == 2 * sample.requests;
        let spans = traced.accepted;
        require(
            all,
            format!("{} requests gave {spans} spans at {RATE}/s, lost: {:?}", sample.requests, traced.lost),
        );
    }
    require(anonymous < ANONYMOUS, format!("anonymous memory: {:.1} MB", mega(anonymous)));

    let first_span = middle(results.first_span.clone());
    require(results.size < SIZE, format!("size of the program: {:.1} MB", results.size as f64 / 1e6));
    require(first_span < FIRST_SPAN, format!("first span after {first_span:.0} ms"));

    let mut page = String::new();
    let mut line = |text: String| writeln!(page, "{text}").expect("writing to a string");
    line("# Benchmarks\n".to_owned());
    line(format!(
        "Written by `cargo xtask bench`: {}. Medians of {} runs of {} s each, with and without the agent in turn.",
        machine(),
        plan.rounds,
        plan.seconds
    ));
    line("nginx has one worker and serves a file of 100 bytes over 8 keep-alive connections. nginx and the load".to_owned());
    line("generator are both traced, so an exchange is two spans; spans go by OTLP over HTTP to a local collector that".to_owned());
    line("discards them. Load, nginx, agent and collector share the machine's cores.\n".to_owned());
    line("| | untraced | traced | ratio or cost |".to_owned());
    line("|---|---:|---:|---:|".to_owned());
    line(row("requests/s, saturated", rate, 0, ""));
    line(row(&format!("requests/s, fixed at {RATE}"), rate_fixed, 0, ""));
    line(row("nginx CPU a request, saturated", cpu_saturated, 2, " us"));
    line(row(&format!("nginx CPU a request, at {RATE}/s"), cpu_fixed, 2, " us"));
    line(format!("| BPF time an exchange (the kernel's statistics on) | | | {bpf:.2} us |"));
    line(format!("| agent CPU an exchange, saturated | | | {:.2} us |", agent[0]));
    line(format!("| agent CPU an exchange, at {RATE}/s | | | {:.2} us |", agent[1]));
    line(format!("| agent's anonymous memory, largest (the ring apart) | | | {:.1} MB |", mega(anonymous)));
    for (name, samples) in [("saturated".to_owned(), traced), (format!("at {RATE}/s"), fixed_traced)] {
        let requests: u64 = samples.iter().map(|sample| sample.requests).sum();
        let spans: u64 = samples.iter().map(|sample| of(sample).accepted).sum();
        line(format!(
            "| spans at the collector, {name} | {requests} requests | {spans} spans | {} lost |",
            losses(samples)
        ));
    }
    let bystander = |pick: fn(&(f64, f64)) -> f64| {
        [0, 1].map(|traced| middle(results.unselected[traced].iter().map(pick).collect()))
    };
    line(row("getppid in a process that is not selected", bystander(|pair| pair.0), 0, " ns"));
    line(row("read of a file in a process that is not selected", bystander(|pair| pair.1), 0, " ns"));
    line(format!("| first span after the launch of `spandrel run -- curl` | | | {first_span:.0} ms |"));
    line(format!("| size of the program | | | {:.1} MB |", results.size as f64 / 1e6));
    line(String::new());
    line(format!(
        "Required: nginx CPU a request at most {SERVER_CPU_RATIO} times untraced, agent CPU at most {AGENT_MICROSECONDS} us an exchange,"
    ));
    line(format!(
        "nothing lost at {RATE} requests/s, anonymous memory under {} MB, a first span within {FIRST_SPAN} ms, a program under {} MB.",
        ANONYMOUS >> 20,
        SIZE / 1_000_000
    ));
    if missed.is_empty() {
        line("All of it is met.".to_owned());
    }
    for miss in &missed {
        line(format!("* **Missed**: {miss}"));
    }
    (page, missed)
}

fn row(name: &str, [before, after]: [f64; 2], digits: usize, unit: &str) -> String {
    format!("| {name} | {before:.digits$}{unit} | {after:.digits$}{unit} | {:.2} |", after / before)
}

fn of(sample: &Sample) -> &Traced {
    sample.traced.as_ref().expect("a traced run")
}

fn server_microseconds(sample: &Sample) -> f64 {
    sample.server_cpu as f64 / 1e3 / sample.requests as f64
}

fn agent_microseconds(sample: &Sample) -> f64 {
    of(sample).agent_cpu as f64 / 1e3 / sample.requests as f64
}

fn bpf_microseconds(sample: &Sample) -> f64 {
    of(sample).bpf_time.unwrap_or_default() as f64 / 1e3 / sample.requests as f64
}

fn losses(samples: &[Sample]) -> String {
    let mut names: Vec<_> = samples.iter().flat_map(|sample| &of(sample).lost).collect();
    names.sort();
    if names.is_empty() {
        return "nothing".to_owned();
    }
    names.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

fn median(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    middle(samples.iter().map(value).collect())
}

fn middle(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn mega(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo")
        .lines()
        .find_map(|line| Some(line.strip_prefix("model name")?.split_once(':')?.1.trim().to_owned()))
        .unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default().to_owned();
    format!("{cores} cores of {model}, Linux {kernel}")
}
