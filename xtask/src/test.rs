//! `cargo xtask test` and `cargo xtask lint`: every check there is, and an honest sum at the end.

mod count;

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};

use self::count::Count;
use crate::{
    build::{self, Profile},
    exec,
    fuzz::{Effort, Fuzz, Target},
    packages, tidy,
    toolchain::{self, Bpf},
    verifier, vm,
};

/// The package of the replay and live tests.
pub(crate) const ACCEPTANCE: &str = "acceptance";

/// A part of the tests that can be asked for alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Format, lints, house rules.
    Lint,
    /// Unit tests of all crates.
    Unit,
    /// Recorded bytes to spans.
    Replay,
    /// Hostile input for the engine.
    Fuzz,
    /// Real probes, real programs; root.
    Live,
    /// Spans read back from real backends; root.
    Backends,
    /// The smoke part of the live tests on other kernels.
    Vm,
}

impl Part {
    const ALL: [Self; 7] =
        [Self::Lint, Self::Unit, Self::Replay, Self::Fuzz, Self::Live, Self::Backends, Self::Vm];

    /// Those that are test targets of the package [`ACCEPTANCE`].
    const ACCEPTANCE: [Self; 3] = [Self::Replay, Self::Live, Self::Backends];

    /// The part of this name.
    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|part| part.name() == name);
        found
            .with_context(|| format!("unknown part `{name}`: lint, unit, replay, fuzz, live, backends or vm"))
    }

    fn name(self) -> &'static str {
        match self {
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Replay => "replay",
            Self::Fuzz => "fuzz",
            Self::Live => "live",
            Self::Backends => "backends",
            Self::Vm => "vm",
        }
    }
}

/// Runs these parts, or all of them, to the end; fails when anything in them failed.
pub(crate) fn run(only: &[Part], profile: Profile) -> Result<()> {
    let wanted = |part| only.is_empty() || only.contains(&part);
    if [Part::Live, Part::Backends, Part::Vm].into_iter().any(wanted) {
        packages::need_root(
            "the live tests load BPF programs (`--only lint --only unit --only replay --only fuzz` do not)",
        )?;
        packages::ensure(packages::DEMO, "the languages and servers of the demo and the tests")?;
        packages::ensure(packages::TESTS, "the other programs that the tests use")?;
    }
    let mut report = Report::default();
    if wanted(Part::Lint) {
        lint_into(&mut report);
    }
    let with_program = [Part::Replay, Part::Live, Part::Backends, Part::Vm].into_iter().any(wanted);
    // Here, since it may install packages, which only one can at a time.
    let probes = with_program.then(build::probes).transpose();
    thread::scope(|scope| {
        // Meanwhile, since linking and long tests leave processors idle.
        let program = scope.spawn(|| probes?.map(|_| program_and_harness(profile, wanted)).transpose());
        if wanted(Part::Unit) {
            report.tests("unit tests", unit);
        }
        if wanted(Part::Fuzz) {
            fuzz_into(&mut report);
        }
        match program.join() {
            Ok(Ok(Some(program))) => report.with_program(&program, wanted),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => report.failed("build", &error),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    });
    report.finish()
}

/// Builds the program, and the tests that need it.
fn program_and_harness(profile: Profile, wanted: impl Fn(Part) -> bool) -> Result<PathBuf> {
    let program = build::program(profile)?;
    for part in Part::ACCEPTANCE.into_iter().filter(|&part| wanted(part)) {
        if has_target("test", part.name())? {
            exec::run(acceptance("test", ["--test", part.name()])?.arg("--no-run"))?;
        }
    }
    Ok(program)
}

/// Runs the checks that need no test run.
pub(crate) fn lint() -> Result<()> {
    let mut report = Report::default();
    lint_into(&mut report);
    report.finish()
}

fn lint_into(report: &mut Report) {
    report.check("components", || toolchain::ensure_components(&["rustfmt", "clippy"]));
    report.check("format", || exec::run(exec::cargo().args(["fmt", "--all", "--check"])));
    report.check("clippy", clippy_host);
    report.check("clippy for BPF", clippy_bpf);
    report.check("tidy", tidy::run);
}

/// Each target counts as one test: a short run, from what the runs before it found.
fn fuzz_into(report: &mut Report) {
    const EFFORT: Effort = Effort::Seconds(20);
    match Fuzz::build() {
        Ok(fuzz) => {
            for target in Target::ALL {
                report.check(&format!("fuzz target {}", target.0), || fuzz.run(target, EFFORT));
            }
        }
        Err(error) => report.failed("fuzz", &error),
    }
}

fn clippy_host() -> Result<()> {
    let mut cargo = exec::cargo();
    cargo.args(["clippy", "--workspace", "--exclude", "ebpf", "--all-targets"]);
    toolchain::host(&mut cargo, &[])?;
    exec::run(cargo.args(["--", "-D", "warnings"]))
}

/// The kernel side compiles for BPF only, so its lints need the clippy of the very compiler that builds it.
fn clippy_bpf() -> Result<()> {
    let mut cargo = Bpf::find_or_install()?.clippy()?;
    cargo
        .args(["--package", "ebpf", "--profile", "bpf", "--target-dir"])
        .arg(exec::root().join("target/bpf"));
    exec::run(&mut cargo)
}

fn unit() -> Result<Count> {
    let mut all = exec::cargo();
    all.args(["test", "--no-fail-fast", "--package", "abi", "--package", "engine", "--package", "agent"]);
    all.args(["--package", "xtask"]);
    toolchain::host(&mut all, &[])?;
    let mut harness = exec::cargo();
    // Without its test targets, which are parts of their own.
    harness.args(["test", "--no-fail-fast", "--package", ACCEPTANCE, "--lib", "--bins"]);
    toolchain::host(&mut harness, &[])?;
    Ok(counted(&mut all)?.and(counted(&mut harness)?))
}

/// A command that works on a target of the acceptance tests: optimised, for they generate load.
pub(crate) fn acceptance(subcommand: &str, target: [&str; 2]) -> Result<Command> {
    let mut cargo = exec::cargo();
    cargo.args([subcommand, "--package", ACCEPTANCE]).args(target).args(["--profile", Profile::Quick.name()]);
    toolchain::host(&mut cargo, &[])?;
    Ok(cargo)
}

/// Builds a test target of the acceptance tests and returns its executable.
pub(crate) fn executable(target: &str) -> Result<PathBuf> {
    if !has_target("test", target)? {
        bail!("the package {ACCEPTANCE} has no test target `{target}`");
    }
    let mut cargo = acceptance("test", ["--test", target])?;
    cargo.args(["--no-run", "--message-format=json-render-diagnostics"]).stderr(Stdio::inherit());
    let messages = exec::text(&mut cargo)?;
    let message = |line: &str| serde_json::from_str::<serde_json::Value>(line).ok();
    let found = messages.lines().filter_map(message).find_map(|message| {
        let named = message.pointer("/target/name").and_then(|name| name.as_str()) == Some(target);
        let executable = message.get("executable").and_then(|path| path.as_str()).map(PathBuf::from);
        executable.filter(|_| named)
    });
    found.with_context(|| format!("cargo named no executable of the test target `{target}`"))
}

/// Whether the acceptance tests have this target.
pub(crate) fn has_target(kind: &str, name: &str) -> Result<bool> {
    let metadata = build::metadata()?;
    let list = |value: &serde_json::Value, key: &str| {
        value.get(key).and_then(|list| list.as_array()).cloned().unwrap_or_default()
    };
    let is =
        |value: &serde_json::Value, key: &str, text: &str| value.get(key).is_some_and(|found| found == text);
    let packages = list(&metadata, "packages");
    let targets =
        packages.iter().filter(|package| is(package, "name", ACCEPTANCE)).flat_map(|p| list(p, "targets"));
    Ok(targets
        .into_iter()
        .any(|target| is(&target, "name", name) && list(&target, "kind").iter().any(|k| k == kind)))
}

/// Runs a test command, shows what it prints, and counts by its own summary lines.
fn counted(command: &mut Command) -> Result<Count> {
    let line = exec::describe(command);
    eprintln!("+ {line}");
    let mut child =
        command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start: {line}"))?;
    let mut count = Count::default();
    let output = child.stdout.take().context("the command has no output")?;
    let mut own = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.context("cannot read the output of the tests")?;
        count.read(&String::from_utf8_lossy(&line));
        own.write_all(&line)
            .and_then(|()| own.write_all(b"\n"))
            .context("cannot write to standard output")?;
    }
    let status = child.wait().with_context(|| format!("cannot wait for: {line}"))?;
    Ok(count.ended(status.success()))
}

/// What has passed and failed so far.
#[derive(Default)]
struct Report {
    count: Count,
    failed: Vec<String>,
}

impl Report {
    /// A check counts as one test.
    fn check(&mut self, name: &str, check: impl FnOnce() -> Result<()>) {
        self.tests(name, || check().map(|()| Count { passed: 1, ..Count::default() }));
    }

    fn tests(&mut self, name: &str, run: impl FnOnce() -> Result<Count>) {
        eprintln!("\n=== {name}");
        match run() {
            Ok(count) => {
                if count.failed > 0 {
                    self.failed.push(name.to_owned());
                }
                self.count = std::mem::take(&mut self.count).and(count);
            }
            Err(error) => self.failed(name, &error),
        }
    }

    fn failed(&mut self, name: &str, error: &anyhow::Error) {
        eprintln!("error: {name}: {error:#}");
        self.count.failed += 1;
        self.failed.push(name.to_owned());
    }

    /// The parts that need the program.
    fn with_program(&mut self, program: &Path, wanted: impl Fn(Part) -> bool) {
        for part in Part::ACCEPTANCE.into_iter().filter(|&part| wanted(part)) {
            self.tests(&format!("{} tests", part.name()), || {
                if !has_target("test", part.name())? {
                    eprintln!("the package {ACCEPTANCE} has no test target `{}` yet", part.name());
                    return Ok(Count::default());
                }
                let mut cargo = acceptance("test", ["--test", part.name()])?;
                counted(cargo.arg("--no-fail-fast").env("SPANDREL", program))
            });
        }
        if wanted(Part::Live) {
            self.check("verifier budget", || verifier::run(program, &[], false));
        }
        if wanted(Part::Vm) {
            match vm::smoke(program, vm::Series::ALL, vm::TIMEOUT) {
                Ok(passed) => {
                    for (series, passed) in vm::Series::ALL.iter().zip(passed) {
                        self.check(&format!("smoke tests on kernel {}", series.name), || passed);
                    }
                }
                Err(error) => self.failed("smoke tests", &error),
            }
        }
    }

    fn finish(self) -> Result<()> {
        println!("\ntest summary: {}", self.count);
        if self.failed.is_empty() && self.count.failed == 0 {
            return Ok(());
        }
        bail!("failed: {}", self.failed.join(", "))
    }
}
