//! The program under test: found, started, waited for, stopped, its spans and counters read.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde_json::Value;

use crate::{
    TempDir,
    process::{Process, output},
    span::{Span, from_json_lines},
    target_directory,
    wait::{LONG, poll},
};

/// Loading and verifying all programs, on an emulated machine too.
const START: Duration = Duration::from_secs(120);
/// `spandrel` flushes within 5 s of SIGTERM; the rest is for a loaded machine.
const STOP: Duration = Duration::from_secs(10);

/// The binary: `SPANDREL` names it, else the newest that was built.
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("SPANDREL") {
        return path.into();
    }
    let mut roots = vec![target_directory(), Path::new(env!("CARGO_MANIFEST_DIR")).join("../target")];
    roots.extend(std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from));
    let built = roots
        .iter()
        .flat_map(|root| ["quick", "release", "debug"].map(|profile| root.join(profile).join("spandrel")))
        .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
        .max();
    built.expect("there is no spandrel binary: run `cargo xtask build` or set SPANDREL=PATH").1
}

/// What an agent is started with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The program, if not the one that [`binary`] finds.
    pub binary: Option<PathBuf>,
    /// Processes it selects; with `select` empty too, every process.
    pub pids: Vec<u32>,
    /// Further selectors, in the configuration's YAML.
    pub select: Vec<String>,
    /// Selectors of `exclude:`.
    pub exclude: Vec<String>,
    /// Exports besides the JSON lines that the harness reads.
    pub exports: Vec<String>,
    /// Records as well, and expects the same spans of a replay at the end.
    pub recorded: bool,
    /// Records everything that was in the ring, and expects nothing of it.
    pub raw: bool,
    /// Further lines of the configuration file.
    pub settings: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl Options {
    /// Only these processes and what they start later.
    pub fn only<'a>(processes: impl IntoIterator<Item = &'a Process>) -> Self {
        Self { pids: processes.into_iter().flat_map(Process::pids).collect(), ..Self::default() }
    }

    /// The configuration file.
    pub fn config(&self) -> String {
        let section = |name: &str, selectors: &[String]| {
            if selectors.is_empty() {
                return String::new();
            }
            selectors.iter().fold(format!("{name}:\n"), |text, selector| text + "  - " + selector + "\n")
        };
        let mut select: Vec<_> = self.pids.iter().map(|pid| format!("{{pid: {pid}}}")).collect();
        select.extend(self.select.iter().cloned());
        let settings: String = self.settings.iter().map(|line| format!("{line}\n")).collect();
        section("select", &select) + &section("exclude", &self.exclude) + &settings
    }
}

/// A running `spandrel agent`, attached.
pub struct Agent {
    pub process: Process,
    directory: TempDir,
    /// The configuration with which its recording is replayed at the end, if it is.
    replayed: Option<String>,
    read: Mutex<Tail>,
}

/// What was read of the spans so far: the file is long, and asked for often.
#[derive(Default)]
struct Tail {
    position: u64,
    spans: Vec<Span>,
}

/// What a stopped agent left.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    /// The spans asked for.
    pub spans: Vec<Span>,
    /// Every span that was exported.
    pub all: Vec<Span>,
    pub counters: Value,
    /// The recording, if there was one.
    pub recording: Vec<u8>,
    pub stdout: String,
    pub log: String,
}

impl Agent {
    /// Starts it, spans exported for the harness to read, and waits until every probe is attached.
    pub fn start(options: &Options) -> Self {
        Self::start_with(options, true)
    }

    /// Starts it with the exports of the options alone.
    pub fn start_without_spans(options: &Options) -> Self {
        Self::start_with(options, false)
    }

    fn start_with(options: &Options, spans: bool) -> Self {
        let directory = TempDir::new();
        let mut command = Command::new(options.binary.clone().unwrap_or_else(binary));
        if options.recorded || options.raw {
            command.arg("record").arg(directory.path().join(RECORDING));
            if options.raw {
                command.arg("--raw");
            }
        } else {
            command.arg("agent");
        }
        command.arg("--config").arg(directory.write(CONFIGURATION, &options.config()));
        let json = spans.then(|| format!("json={}", directory.path().join("spans.jsonl").display()));
        for export in options.exports.iter().chain(&json) {
            command.arg("--export").arg(export);
        }
        command.env("SPANDREL_STATUS", directory.path().join("status.json"));
        command.envs(options.environment.iter().map(|(key, value)| (key, value)));
        let mut process = Process::start("spandrel agent", &mut command);
        process.wait_for("spandrel: tracing", START);
        Self {
            process,
            directory,
            replayed: options.recorded.then(|| options.config()),
            read: Mutex::default(),
        }
    }

    /// All spans exported so far.
    pub fn spans(&self) -> Vec<Span> {
        self.read().spans.clone()
    }

    /// Spans whose target contains the token of a test.
    pub fn spans_of(&self, token: &str) -> Vec<Span> {
        self.read().spans.iter().filter(|span| span.target().contains(token)).cloned().collect()
    }

    pub fn count_of(&self, token: &str) -> usize {
        self.read().spans.iter().filter(|span| span.target().contains(token)).count()
    }

    /// Reads what was written since the last time.
    fn read(&self) -> MutexGuard<'_, Tail> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = Vec::new();
        if let Ok(mut file) = File::open(self.directory.path().join("spans.jsonl")) {
            file.seek(SeekFrom::Start(read.position))
                .and_then(|_| file.read_to_end(&mut new))
                .expect("read the spans");
        }
        let complete = new.iter().rposition(|&byte| byte == b'\n').map_or(0, |last| last + 1);
        read.spans.extend(from_json_lines(&String::from_utf8_lossy(&new[..complete])));
        read.position += complete as u64;
        read
    }

    /// [`Self::finish_where`] for the spans whose target contains the token of a test.
    pub fn finish(self, token: &str, expected: usize) -> Finished {
        self.finish_where(expected, |span| span.target().contains(token))
    }

    /// Waits until at least so many such spans have been exported, then stops the agent, which flushes what else
    /// there is: so one span too many is seen as well as one too few.
    pub fn finish_where(mut self, expected: usize, such: impl Fn(&Span) -> bool) -> Finished {
        poll(LONG, || {
            let ended = self.process.try_wait().is_some();
            (ended || self.read().spans.iter().filter(|span| such(span)).count() >= expected).then_some(())
        });
        let replayed = self.replayed.take();
        let mut finished = self.stop();
        if let Some(configuration) = replayed {
            let directory = TempDir::new();
            let configuration = directory.write(CONFIGURATION, &configuration);
            let recording = directory.path().join(RECORDING);
            fs::write(&recording, &finished.recording).expect("write the recording");
            let replayed = comparable(replay(&recording, &configuration));
            let live = comparable(finished.all.clone());
            assert!(
                replayed == live,
                "{} spans live, {} replayed\nonly live:\n{}only replayed:\n{}one that differs: {:#?}",
                live.len(),
                replayed.len(),
                brief(&without(&live, &replayed)),
                brief(&without(&replayed, &live)),
                live.iter().zip(&replayed).find(|(one, other)| one != other)
            );
        }
        finished.spans.retain(such);
        assert!(
            finished.spans.len() == expected,
            "expected {expected} spans, found {} (of {} in all)\n{}\ncounters: {:#}\n{}",
            finished.spans.len(),
            finished.all.len(),
            brief(if finished.spans.is_empty() { &finished.all } else { &finished.spans }),
            finished.counters,
            finished.log
        );
        finished
    }

    /// SIGTERM, and the end that has to follow.
    pub fn stop(mut self) -> Finished {
        self.process.signal(libc::SIGTERM);
        let status = self.process.wait(STOP);
        let finished = Finished {
            status,
            spans: self.spans(),
            all: self.spans(),
            counters: self.counters(),
            recording: fs::read(self.directory.path().join(RECORDING)).unwrap_or_default(),
            stdout: self.process.stdout(),
            log: self.process.log(),
        };
        assert!(status.success(), "the agent ended with {status} after SIGTERM\n{}", finished.log);
        finished
    }

    /// The counters the agent wrote last; null before the first time.
    pub fn counters(&self) -> Value {
        fs::read_to_string(self.directory.path().join("status.json"))
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default()
    }
}

impl Finished {
    /// A counter by its path, 0 if it is not there.
    pub fn counter(&self, path: &str) -> u64 {
        counter(&self.counters, path)
    }
}

/// A counter by its path with slashes; 0 if it is not there.
pub fn counter(counters: &Value, path: &str) -> u64 {
    counters.pointer(path).and_then(Value::as_u64).unwrap_or_default()
}

/// `exchanges seen = open + queued + accepted + sampled out + excluded + dropped by reason`, for each destination.
/// The engine's part (what is open, waits, makes no span or was none) is the same for all of them.
pub fn assert_accounted(counters: &Value) {
    const ENGINE: [&str; 8] =
        ["open", "waiting", "excluded", "ignored", "instrumented", "sampled_out", "retracted", "dropped"];
    let destinations =
        counters["destinations"].as_object().unwrap_or_else(|| panic!("no destinations: {counters:#}"));
    let accounting = &counters["accounting"];
    let seen = accounting["seen"].as_u64().unwrap_or_else(|| panic!("no accounting: {counters:#}"));
    assert_eq!(counter(counters, "/accounting/nowhere"), 0, "spans for no destination\n{counters:#}");
    for (name, destination) in destinations {
        // A number, or numbers by reason.
        let number = |holder: &Value, key: &str| match holder[key].as_object() {
            Some(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
            None => holder[key].as_u64().unwrap_or_default(),
        };
        let engine: u64 = ENGINE.map(|key| number(accounting, key)).iter().sum();
        let exporter: u64 =
            ["queued", "accepted", "dropped"].map(|key| number(destination, key)).iter().sum();
        assert!(
            seen == engine + exporter,
            "{name}: {seen} exchanges seen, {} accounted for\n{counters:#}",
            engine + exporter
        );
    }
}

/// The configuration in the directory of an agent, and the recording.
const CONFIGURATION: &str = "spandrel.yaml";
const RECORDING: &str = "case.records";

/// The spans that `spandrel replay` makes of a recording.
fn replay(recording: &Path, configuration: &Path) -> Vec<Span> {
    let directory = TempDir::new();
    let spans = directory.path().join("replayed.jsonl");
    let mut replay = Command::new(binary());
    replay.arg("replay").arg(recording).arg("--config").arg(configuration);
    replay.arg("--export").arg(format!("json={}", spans.display()));
    output("spandrel replay", &mut replay);
    from_json_lines(&fs::read_to_string(&spans).unwrap_or_default())
}

/// Spans in the order of their ids, which are the same in a replay, and so are durations; the offset to wall time was
/// measured once for a recording, and each second beside it.
pub fn comparable(mut spans: Vec<Span>) -> Vec<Span> {
    for span in &mut spans {
        (span.start, span.end) = (0, span.end - span.start);
    }
    spans.sort_by(|one, other| one.span.cmp(&other.span));
    spans
}

fn without(spans: &[Span], others: &[Span]) -> Vec<Span> {
    spans
        .iter()
        .filter(|span| others.binary_search_by(|other| other.span.cmp(&span.span)).is_err())
        .cloned()
        .collect()
}

/// The spans of one `spandrel run`, and how the command ended.
pub struct Run {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
    pub spans: Vec<Span>,
}

/// A started `spandrel run`.
pub struct Running {
    pub process: Process,
    directory: TempDir,
}

impl Running {
    /// Starts `spandrel run -- COMMAND`, spans to a file.
    pub fn start(command: &[&str]) -> Self {
        Self::start_by(&binary(), command)
    }

    /// The same, with the program given.
    pub fn start_by(binary: &Path, command: &[&str]) -> Self {
        let directory = TempDir::new();
        let mut spandrel = Command::new(binary);
        spandrel.arg("run").arg("--export");
        spandrel.arg(format!("json={}", directory.path().join("spans.jsonl").display()));
        spandrel.env("SPANDREL_STATUS", directory.path().join("status.json"));
        spandrel.arg("--").args(command);
        Self { process: Process::start("spandrel run", &mut spandrel), directory }
    }

    /// Whether a span was exported.
    pub fn has_spans(&self) -> bool {
        fs::metadata(self.directory.path().join("spans.jsonl")).is_ok_and(|file| file.len() > 0)
    }

    /// Waits for the command's end.
    pub fn finish(mut self) -> Run {
        self.process.close_stdin();
        let status = self.process.wait(START);
        let text = fs::read_to_string(self.directory.path().join("spans.jsonl")).unwrap_or_default();
        Run {
            status,
            stdout: self.process.stdout(),
            stderr: self.process.stderr(),
            spans: from_json_lines(&text),
        }
    }
}

/// `spandrel run` to its end.
pub fn run(command: &[&str]) -> Run {
    Running::start(command).finish()
}

/// Spans in a few words each, at most some of them.
pub fn brief(spans: &[Span]) -> String {
    spans.iter().take(100).map(|span| format!("  {} {:?}\n", span.label(), span.code())).collect()
}
