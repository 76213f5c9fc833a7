//! What the subcommands of `spandrel` do.

mod run;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use crate::{
    cli,
    clock::Clock,
    config::{self, Config},
    doctor::{self, Check},
    export::{Destination, Exports, FLUSH_MAX, OtlpTarget, Routes},
    kernel::{Options, Probes},
    privileges,
    process::{Operator, Processes, Root, Scope, Selection, namespace},
    recording::Reader,
    replay,
    runtime::{Recording, Session, Setup, StatusFile, signals::Signals},
    telemetry,
};

/// Carries out a command. The exit status of the program.
pub fn execute(command: cli::Command) -> Result<u8> {
    match command {
        cli::Command::Run(run) => run::run(&run),
        cli::Command::Agent(agent) => self::agent(&agent.options, None),
        cli::Command::Record(record) if record.command.is_empty() => agent(&record.options, Some(&record)),
        cli::Command::Record(record) => run::record(&record),
        cli::Command::Replay(replay) => self::replay(&replay),
        cli::Command::Doctor(doctor) => self::doctor(&doctor),
        cli::Command::Config(_) => {
            use std::io::Write as _;
            std::io::stdout().write_all(config::DEFAULT_FILE.as_bytes())?;
            Ok(0)
        }
    }
}

/// Checks what every tracing command needs, and reads the configuration.
fn prepare(options: &cli::Options, log: &str) -> Result<Config> {
    telemetry::init(options.log.as_deref(), log)?;
    let config = Config::load(options)?;
    privileges::check()?;
    namespace::check(&root())?;
    Ok(config)
}

fn root() -> Root {
    Root::new("/")
}

/// Where spans go: to the destinations of the configuration, or the command's own.
fn routes(config: &Config, default: &[Destination]) -> Routes {
    Routes::new(config.export.as_deref().unwrap_or(default))
}

fn setup(config: &Config, scope: Scope, routes: Routes, record: Option<&cli::Record>) -> Setup {
    let capture = config.capture;
    let operator =
        Operator { service_name: config.service_name.clone(), attributes: config.resource.clone() };
    let only_told = matches!(scope, Scope::Command);
    let mut processes =
        Processes::new(root(), scope, capture.processes as usize, std::process::id(), operator);
    if config.command_arguments {
        processes = processes.showing_arguments(config.policy.redact.clone());
    }
    Setup {
        options: Options {
            copy_limit: capture.copy_limit,
            connections: capture.connections,
            calls: capture.calls,
            ring: capture.ring,
            only_told,
            // Nothing is to be lost at the first connection of whatever kind.
            system_calls: only_told || capture.system_calls,
        },
        processes,
        telemetry_ingest: ingest(config),
        policy: Arc::clone(&config.policy),
        routes,
        record: record.map(|command| recording(command, config)),
    }
}

fn recording(command: &cli::Record, config: &Config) -> Recording {
    if command.raw {
        tracing::warn!(
            file = %command.file.display(),
            "the recording is raw: credentials, cookies and bodies of the traced programs will be in it"
        );
    }
    let secret = (!command.raw).then(|| config.policy.redact.clone());
    Recording { path: command.file.clone(), secret }
}

fn ingest(config: &Config) -> engine::TelemetryIngest {
    match config.telemetry_ingest {
        config::TelemetryIngest::Exclude => engine::TelemetryIngest::Exclude,
        config::TelemetryIngest::Trace => engine::TelemetryIngest::Trace,
    }
}

/// `spandrel agent`, and `spandrel record` without a command.
fn agent(options: &cli::Options, record: Option<&cli::Record>) -> Result<u8> {
    let mut signals = Signals::block().context("cannot take signals")?;
    let config = prepare(options, telemetry::NORMAL)?;
    let default = [Destination::Otlp(OtlpTarget::Environment)];
    let mut routes = routes(&config, if record.is_some() { &[] } else { &default });
    let selection = Selection::new(&root(), &config.select, &config.exclude, &mut routes)?;
    let mut session = Session::start(setup(&config, Scope::Selected(selection), routes, record))?;
    telemetry::above_status_line(|| eprintln!("spandrel: tracing"));
    let ended = session.run(&mut signals);
    let finished = session.finish();
    let failed = finished.record_failed();
    finished.leave();
    ended?;
    Ok(u8::from(failed))
}

fn replay(command: &cli::Replay) -> Result<u8> {
    telemetry::init(command.options.log.as_deref(), telemetry::QUIET)?;
    let config = Config::load(&command.options)?;
    let path = command.file.display();
    let recording = Reader::open(&command.file).with_context(|| format!("{path}"))?;
    let clock = Arc::new(Clock::fixed(recording.header().clock_offset));
    let exports = Exports::start(&routes(&config, &[Destination::Console]), clock)?;
    let engine = engine::Config { telemetry_ingest: ingest(&config), ..engine::Config::default() };
    let (_, failure) = replay::replay(recording, engine, Arc::clone(&config.policy), |spans| {
        exports.hand_over(spans);
        wait_for_room(&exports);
    })
    .with_context(|| format!("{path}"))?;
    exports.flush(Instant::now() + FLUSH_MAX);
    if let Some(error) = failure {
        bail!("{path}: {error}; the spans up to there were exported");
    }
    for (name, counts) in exports.counts() {
        let dropped = counts.dropped_total();
        if dropped > 0 {
            bail!("{path}: the destination {name} did not take {dropped} of {} spans", counts.handed_in);
        }
    }
    Ok(0)
}

/// A recording is read faster than any destination takes spans: waits while a queue is filling, unless nothing leaves it.
fn wait_for_room(exports: &Exports) {
    const FULL_ENOUGH: u64 = 4096;
    const PATIENCE: Duration = Duration::from_secs(5);
    let left = || exports.counts().map(|(_, counts)| counts.queued).max().unwrap_or_default();
    let (mut before, mut since) = (left(), Instant::now());
    while before > FULL_ENOUGH && since.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(1));
        let now = left();
        if now < before {
            since = Instant::now();
        }
        before = now;
    }
}

fn doctor(command: &cli::Doctor) -> Result<u8> {
    let options = Options {
        copy_limit: abi::limit::COPY_LIMIT_DEFAULT,
        connections: 1024,
        calls: 1024,
        ring: 64 * 1024,
        only_told: true,
        system_calls: false,
    };
    let mut programs = BTreeMap::new();
    let mut flavour = None;
    let doctor = doctor::Doctor::new(root(), config::Capture::default().ring);
    let doctor = match StatusFile::from_environment().map(|file| file.instrumented()) {
        Some(seen) => doctor.told(seen.map_err(|error| format!("{error:#}"))),
        None => doctor,
    };
    let mut report = doctor.run(|| {
        let loaded = Probes::load(&options).and_then(|(mut probes, _)| {
            probes.attach()?;
            Ok((probes.verified(), probes.choice()))
        });
        match loaded {
            Ok((verified, choice)) => {
                flavour = Some(choice.flavour.name());
                for program in &verified {
                    programs.insert(program.program.clone(), program.instructions);
                }
                // Kernels before 5.16 do not tell what the verifier walked.
                let walked = verified
                    .iter()
                    .map(|program| program.instructions)
                    .max()
                    .map_or_else(String::new, |most| {
                        format!("; the verifier walked at most {most} instructions")
                    });
                vec![
                    Check::ok("flavour", format!("`{}` is chosen: {}", choice.flavour.name(), choice.reason)),
                    Check::ok("programs", format!("all BPF programs load and attach{walked}")),
                ]
            }
            Err(error) => vec![Check::missing(
                "programs",
                format!("the BPF programs do not load: {error:#}"),
                "report it with the output of `spandrel doctor --json`",
            )],
        }
    });
    report.programs = programs;
    if let Some(flavour) = flavour {
        report.flavour = flavour;
    }
    let mut out = std::io::stdout().lock();
    if command.json {
        report.write_json(&mut out)?;
    } else {
        report.write_text(&mut out)?;
    }
    Ok(u8::from(!report.works))
}
