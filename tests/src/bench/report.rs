//! The tables, and whether they meet what is required.

use std::fmt::Write;

use super::{CONNECTIONS, Plan, RATE, Results, Runs, STREAMS, Sample, Subject, Traced, subject, upload};

/// Required of the untraced CPU time, at most.
const SERVER_CPU_RATIO: f64 = 1.2;
/// Required of the agent, at most, for an exchange of two spans.
const AGENT_MICROSECONDS: f64 = 8.0;
/// Required of the agent's anonymous memory, at most.
const ANONYMOUS: u64 = 30 << 20;
/// Required of the program's size, at most.
const SIZE: u64 = 15_000_000;
/// Required of the untraced time of an upload, at most.
const UPLOAD_RATIO: f64 = 1.05;
/// Required of the first span after launch, at most.
const FIRST_SPAN: f64 = 1_000.0;

/// The page, and the requirements that are not met.
pub fn report(plan: &Plan, results: &Results) -> (String, Vec<String>) {
    let mut missed = Vec::new();
    for (subject, runs) in Subject::ALL.iter().zip(&results.runs) {
        require(*subject, runs, &mut missed);
    }
    let uploads = results.uploads.clone().map(middle);
    let slower = uploads[1] / uploads[0];
    if slower > UPLOAD_RATIO {
        missed.push(format!("upload over HTTP/2: {slower:.2} times the untraced time"));
    }
    let first_span = middle(results.first_span.clone());
    if results.size >= SIZE {
        missed.push(format!("size of the program: {:.1} MB", results.size as f64 / 1e6));
    }
    if first_span >= FIRST_SPAN {
        missed.push(format!("first span after {first_span:.0} ms"));
    }

    let mut page = introduction(plan);
    costs(&mut page, results);
    spans(&mut page, results);
    line(&mut page, "| | untraced | traced | ratio |\n|---|---:|---:|---:|");
    for (name, pick) in
        [("getppid", (|pair| pair.0) as fn(&(f64, f64)) -> f64), ("read of a file", |pair| pair.1)]
    {
        let nanoseconds = [0, 1].map(|traced| middle(results.unselected[traced].iter().map(pick).collect()));
        line(
            &mut page,
            format!("| {name} in a process that is not selected | {} |", pair(nanoseconds, 0, " ns")),
        );
    }
    let megabytes = upload::BYTES / 1_000_000;
    line(
        &mut page,
        format!("| upload of {megabytes} MB over HTTP/2, h2load to nghttpd | {} |", pair(uploads, 1, " ms")),
    );
    line(
        &mut page,
        format!(
            "\nThe first span is there {first_span:.0} ms after the launch of `spandrel run -- curl`. The program has {:.1} MB.\n",
            results.size as f64 / 1e6
        ),
    );
    line(
        &mut page,
        format!(
            "Required: server CPU a request at most {SERVER_CPU_RATIO} times untraced, an upload at most {UPLOAD_RATIO} times,\n\
             agent CPU at most {AGENT_MICROSECONDS} us an exchange, nothing lost at {RATE} requests/s,\n\
             anonymous memory under {} MB, a first span within {FIRST_SPAN} ms, a program under {} MB.",
            ANONYMOUS >> 20,
            SIZE / 1_000_000
        ),
    );
    if missed.is_empty() {
        line(&mut page, "All of it is met.");
    }
    for miss in &missed {
        line(&mut page, format!("* **Missed**: {miss}"));
    }
    (page, missed)
}

fn require(subject: Subject, runs: &Runs, missed: &mut Vec<String>) {
    for (pace, [untraced, traced]) in paces(runs) {
        let what = format!("{}, {pace}", subject.name());
        let [before, after] = [untraced, traced].map(|samples| median(samples, server_microseconds));
        let ratio = after / before;
        if ratio > SERVER_CPU_RATIO {
            missed.push(format!("{what}: server CPU a request {ratio:.2} times untraced"));
        }
        let agent = median(traced, agent_microseconds);
        if agent > AGENT_MICROSECONDS {
            missed.push(format!("{what}: agent CPU {agent:.2} us an exchange"));
        }
        let anonymous = anonymous(traced);
        if anonymous >= ANONYMOUS {
            missed.push(format!("{what}: anonymous memory of {:.1} MB", mega(anonymous)));
        }
    }
    for sample in &runs.fixed[1] {
        let Traced { accepted, lost, .. } = of(sample);
        if !lost.is_empty() || *accepted != 2 * sample.requests {
            let requests = sample.requests;
            let name = subject.name();
            missed
                .push(format!("{name}, {RATE}/s: {requests} requests gave {accepted} spans, lost: {lost:?}"));
        }
    }
}

fn introduction(plan: &Plan) -> String {
    format!(
        "# Benchmarks\n\n\
         Written by `cargo xtask bench`: {}. Medians of {} runs of {} s each, with and without the agent in turn.\n\n\
         * HTTP/1.1: nginx with one worker serves a file of {} bytes over {CONNECTIONS} keep-alive connections.\n\
         * HTTP/2: it serves the same file to h2load, {STREAMS} streams at a time on each of {CONNECTIONS} connections.\n\
         * gRPC: a server of grpc-go returns messages of {} bytes to h2load, {STREAMS} calls at a time on each of {CONNECTIONS} connections.\n\n\
         Server and load generator are both traced, so an exchange is two spans; spans go by OTLP over HTTP to a local\n\
         collector that discards them. Load, server, agent and collector share the machine's cores. The BPF time is\n\
         measured apart, with the kernel's statistics on.\n\n",
        machine(),
        plan.rounds,
        plan.seconds,
        subject::FILE,
        subject::MESSAGE
    )
}

fn costs(page: &mut String, results: &Results) {
    line(
        page,
        "| | requests/s, untraced | traced | ratio | server CPU a request, untraced | traced | ratio | BPF time an exchange | agent CPU an exchange |\n\
         |---|---:|---:|---:|---:|---:|---:|---:|---:|",
    );
    for (subject, runs) in Subject::ALL.iter().zip(&results.runs) {
        for (pace, samples) in paces(runs) {
            let rate = samples.map(|samples| median(samples, |sample| sample.rate));
            let server = samples.map(|samples| median(samples, server_microseconds));
            let bpf = if pace == SATURATED {
                format!("{:.2} us", median(&runs.statistics, bpf_microseconds))
            } else {
                String::new()
            };
            let agent = median(samples[1], agent_microseconds);
            let (name, rate, server) = (subject.name(), pair(rate, 0, ""), pair(server, 2, " us"));
            line(page, format!("| {name}, {pace} | {rate} | {server} | {bpf} | {agent:.2} us |"));
        }
    }
    page.push('\n');
}

fn spans(page: &mut String, results: &Results) {
    line(
        page,
        "| | requests | spans at the collector | lost | anonymous memory (the ring apart) |\n|---|---:|---:|---:|---:|",
    );
    for (subject, runs) in Subject::ALL.iter().zip(&results.runs) {
        for (pace, [_, traced]) in paces(runs) {
            let requests: u64 = traced.iter().map(|sample| sample.requests).sum();
            let spans: u64 = traced.iter().map(|sample| of(sample).accepted).sum();
            let (lost, memory) = (losses(traced), mega(anonymous(traced)));
            let name = subject.name();
            line(page, format!("| {name}, {pace} | {requests} | {spans} | {lost} | {memory:.1} MB |"));
        }
    }
    page.push('\n');
}

const SATURATED: &str = "saturated";

fn paces(runs: &Runs) -> [(String, [&[Sample]; 2]); 2] {
    let [saturated, fixed] = [&runs.saturated, &runs.fixed].map(|runs| runs.each_ref().map(Vec::as_slice));
    [(SATURATED.to_owned(), saturated), (format!("{RATE}/s"), fixed)]
}

fn line(page: &mut String, text: impl AsRef<str>) {
    writeln!(page, "{}", text.as_ref()).expect("writing to a string");
}

fn pair([before, after]: [f64; 2], digits: usize, unit: &str) -> String {
    format!("{before:.digits$}{unit} | {after:.digits$}{unit} | {:.2}", after / before)
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

fn anonymous(samples: &[Sample]) -> u64 {
    samples.iter().map(|sample| of(sample).anonymous).max().unwrap_or_default()
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
