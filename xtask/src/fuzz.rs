//! `cargo xtask fuzz`: builds the targets of tests/fuzz, and runs them.
//!
//! libFuzzer, with coverage that the default rustc counts: no nightly. No address sanitizer: the engine forbids
//! `unsafe`, and memory is bounded by the targets themselves, to the byte.

use std::{
    fs::{self, File},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};

use crate::{exec, packages, toolchain};

/// What libFuzzer is told by: the coverage of each branch, and what is compared.
const FLAGS: [&str; 7] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-simplifycfg-branch-fold-threshold=0",
];
/// An input that takes longer hangs: most take a tenth of a millisecond.
const TIMEOUT_SECONDS: u32 = 10;
/// A run has its corpus and libFuzzer's tables in memory, 100 MB at most so far.
const MEMORY_MB: u32 = 512;
/// Longest input: some messages, each cut and late in some way.
const INPUT_MAX: u32 = 8192;

/// What is shown of a failure: its message and where it was.
const FAILURE_LINES: usize = 40;

/// A program of tests/fuzz.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target(pub(crate) &'static str);

impl Target {
    pub(crate) const ALL: [Self; 6] = [
        Self("records"),
        Self("http1"),
        Self("http2_frames"),
        Self("hpack"),
        Self("headers"),
        Self("engine"),
    ];

    pub(crate) fn parse(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|target| target.0 == name);
        let names = Self::ALL.map(|target| target.0).join(", ");
        found.with_context(|| format!("unknown fuzz target `{name}`: {names}"))
    }
}

/// How long each target runs.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Effort {
    Runs(u64),
    Seconds(u64),
}

/// The built targets, and what they start from.
pub(crate) struct Fuzz {
    programs: PathBuf,
    folder: PathBuf,
}

/// Runs these targets, or all; stops at the first that fails.
pub(crate) fn run(targets: &[Target], effort: Effort) -> Result<()> {
    let fuzz = Fuzz::build()?;
    let targets = if targets.is_empty() { &Target::ALL[..] } else { targets };
    targets.iter().try_for_each(|&target| fuzz.run(target, effort))
}

impl Fuzz {
    /// Builds all targets and writes their seeds.
    pub(crate) fn build() -> Result<Self> {
        packages::ensure(packages::FUZZ, "the C++ compiler that libFuzzer is built with")?;
        let folder = exec::root().join("target/fuzz");
        let triple = toolchain::release_target()?;
        let mut cargo = exec::cargo();
        // With a target the flags are for it alone: build scripts have no coverage to count.
        cargo
            .args(["build", "--locked", "--release", "--bins", "--manifest-path", "tests/fuzz/Cargo.toml"])
            .args(["--target", &triple, "--target-dir"])
            .arg(&folder)
            .env_remove("RUSTFLAGS")
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
        exec::run(&mut cargo)?;
        let programs = folder.join(triple).join("release");
        let seeds = folder.join("seeds");
        // Seeds of an earlier state of the tree are none of this one's.
        if seeds.exists() {
            fs::remove_dir_all(&seeds).with_context(|| format!("cannot remove {}", seeds.display()))?;
        }
        exec::run(exec::command(programs.join("seeds")).arg(&seeds))?;
        Ok(Self { programs, folder })
    }

    /// Runs one target from its seeds and what earlier runs found.
    pub(crate) fn run(&self, Target(name): Target, effort: Effort) -> Result<()> {
        let corpus = self.folder.join("corpus").join(name);
        let failed = self.folder.join("failed");
        for folder in [&corpus, &failed] {
            fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        let effort = match effort {
            Effort::Runs(runs) => format!("-runs={runs}"),
            Effort::Seconds(seconds) => format!("-max_total_time={seconds}"),
        };
        let mut program = exec::command(self.programs.join(name));
        program
            .args([effort, format!("-timeout={TIMEOUT_SECONDS}"), format!("-rss_limit_mb={MEMORY_MB}")])
            .args([format!("-max_len={INPUT_MAX}"), format!("-artifact_prefix={}/{name}-", failed.display())])
            .args(["-print_final_stats=1", "-verbosity=0"])
            .arg(&corpus)
            .arg(self.folder.join("seeds").join(name));
        // libFuzzer talks much; what matters is how much was run, or what failed.
        let log = self.folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let status = exec::status(program.stderr(file))?;
        let text = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
        let text = String::from_utf8_lossy(&text);
        let stat = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map_or("?", str::trim);
        if status.success() {
            let (inputs, rate) =
                (stat("stat::number_of_executed_units:"), stat("stat::average_exec_per_sec:"));
            println!("{name}: {inputs} inputs, {rate} a second, {} MB at most", stat("stat::peak_rss_mb:"));
            return Ok(());
        }
        let failure = |line: &&str| line.contains("panicked at") || line.contains("ERROR: libFuzzer");
        for line in text.lines().skip_while(|line| !failure(line)).take(FAILURE_LINES) {
            eprintln!("{line}");
        }
        bail!(
            "{name} failed, see {}; run {} with the file that it wrote to {}, and make a test of it",
            log.display(),
            self.programs.join(name).display(),
            failed.display()
        )
    }
}
