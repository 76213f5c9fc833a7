//! The one event loop: records and time in, spans out.
//!
//! It runs on one thread that never waits for anything but the ring and signals.

mod failures;
pub mod inherited;
mod pipeline;
pub mod signals;
mod status;

use std::{
    fs::DirEntry,
    os::fd::RawFd,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use engine::policy::{Policy, SecretKeys};

use self::signals::Signals;
pub use self::{pipeline::Pipeline, status::StatusFile};
use crate::{
    clock::{self, Clock},
    export::{Exports, FLUSH_MAX, Routes},
    kernel::{Options, Probes, Reader},
    process::Processes,
    recording::{Header, Writer},
    telemetry::{Figures, StatusLine},
};

/// How often the ring is drained: the longest that a span waits for this program.
const DRAIN: Duration = Duration::from_millis(10);
/// Records handled in one go, so that signals and time-outs get their turn under load.
const DRAIN_MAX: usize = 16_384;
/// How often counters are shown, clocks compared and Unix connections looked after.
const SECOND: Duration = Duration::from_secs(1);
/// How often what events cannot tell is looked after: connections and processes whose end was lost.
const SWEEP: Duration = Duration::from_secs(30);

/// What a tracing session is started with.
pub struct Setup {
    pub options: Options,
    pub processes: Processes,
    pub telemetry_ingest: engine::TelemetryIngest,
    /// How exchanges become spans, of processes that are not treated unlike the others.
    pub policy: Arc<Policy>,
    /// Where spans go.
    pub routes: Routes,
    pub record: Option<Recording>,
}

/// A recording that is to be made.
pub struct Recording {
    pub path: PathBuf,
    /// The keys of queries whose values are overwritten, beside credentials and bodies; `None`: nothing is.
    pub secret: Option<SecretKeys>,
}

/// Attached probes and everything behind them.
pub struct Session {
    reader: Reader,
    pipeline: Pipeline,
    clock: Arc<Clock>,
    status: StatusLine,
    file: Option<StatusFile>,
}

impl Session {
    /// Loads and attaches the probes, starts the exports, learns the running processes.
    pub fn start(setup: Setup) -> Result<Self> {
        let clock = Arc::new(Clock::default());
        let exports = Exports::start(&setup.routes, Arc::clone(&clock))?;
        let seed = random_seed().context("cannot get random numbers from the kernel")?;
        // What a recording overwrites is lost only when tracing is possible.
        let (mut probes, reader) = Probes::load(&setup.options)?;
        let record = match &setup.record {
            None => None,
            Some(Recording { path, secret }) => {
                let header =
                    Header::new(kernel_release(), seed, std::process::id(), clock.offset().nanoseconds());
                let writer = Writer::create(path, &header, secret.clone())
                    .with_context(|| format!("cannot write the recording {}", path.display()))?;
                Some(writer)
            }
        };
        probes.attach()?;
        let mut engine = engine::Engine::new(engine::Config {
            seed,
            own_tgid: std::process::id(),
            telemetry_ingest: setup.telemetry_ingest,
        });
        engine.set_default_policy(setup.policy);
        let mut pipeline = Pipeline::new(engine, setup.processes, probes, exports, record);
        pipeline.scan();
        Ok(Self { reader, pipeline, clock, status: StatusLine::new(), file: StatusFile::from_environment() })
    }

    /// The tables that the commands change.
    pub fn pipeline(&mut self) -> &mut Pipeline {
        &mut self.pipeline
    }

    /// Traces until `signals` says that it is over.
    pub fn run(&mut self, signals: &mut Signals) -> Result<()> {
        self.reader.watch(signals.fd()).context("cannot wait for signals")?;
        let mut second = Instant::now();
        let mut sweep = Instant::now();
        let mut wait = DRAIN;
        loop {
            let signalled = self.reader.wait(wait).context("cannot wait for the ring")?;
            // What was left is not waited for: nothing wakes us for it.
            wait = if self.drain(DRAIN_MAX) == DRAIN_MAX { Duration::ZERO } else { DRAIN };
            if signalled && signals.handle()? {
                return Ok(());
            }
            if second.elapsed() >= SECOND {
                second = Instant::now();
                let all = sweep.elapsed() >= SWEEP;
                if all {
                    sweep = Instant::now();
                }
                self.clock.refresh();
                self.pipeline.look_after(clock::now(), all);
                self.show();
            }
        }
    }

    /// Takes what is in the ring, ends what is open, hands over every span and waits for the destinations, within
    /// their bound.
    pub fn finish(mut self) -> Finished {
        let deadline = Instant::now() + FLUSH_MAX;
        // What the traced programs did until now is in the ring.
        while self.drain(DRAIN_MAX) == DRAIN_MAX && Instant::now() < deadline {}
        self.pipeline.finish(clock::now(), deadline);
        self.show();
        Finished(self)
    }

    fn drain(&mut self, limit: usize) -> usize {
        let now = clock::now();
        self.pipeline.tick(now);
        let pipeline = &mut self.pipeline;
        let count = self.reader.drain(limit, |record| pipeline.record(record, now));
        self.pipeline.hand_over();
        count
    }

    fn show(&mut self) {
        if !self.status.is_shown() && self.file.is_none() {
            return;
        }
        let status = self.pipeline.status();
        let figures = Figures { spans: status.spans(), drops: status.drops(), traced: status.traced };
        self.status.update(clock::now(), &figures);
        if let Some(file) = &self.file
            && let Err(error) = file.write(&status)
        {
            tracing::warn!("{error:#}; they are not written any more");
            self.file = None;
        }
    }
}

/// A session that has nothing left to do but to detach its probes, which happens when it is dropped.
pub struct Finished(Session);

impl Finished {
    /// Whether a recording ended before the tracing did.
    pub fn record_failed(&self) -> bool {
        self.0.pipeline.record_failed()
    }

    /// Leaves detaching to a process of its own: the kernel takes some 60 ms for each of the thirty tracepoints, one
    /// after the other, and who waits for the traced command shall not wait for that.
    pub fn leave(self) {
        let others = other_descriptors();
        // SAFETY: the new process makes only async-signal-safe calls, and nothing in it uses what it closes.
        unsafe {
            if libc::fork() == 0 {
                // What reads our output, and collectors and files too, wait for their end.
                for descriptor in &others {
                    libc::close(*descriptor);
                }
                libc::setsid();
                libc::_exit(0);
            }
        }
        // The links are those of both processes: closing ours is quick, and happens at the exit.
        std::mem::forget(self);
    }
}

/// The descriptors that do not keep probes attached.
fn other_descriptors() -> Vec<RawFd> {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else { return vec![0, 1, 2] };
    let keeps = |entry: &DirEntry| {
        std::fs::read_link(entry.path()).is_ok_and(|link| {
            let link = link.to_string_lossy();
            link.starts_with("anon_inode:bpf") || link == "anon_inode:[perf_event]"
        })
    };
    let others = entries.flatten().filter(|entry| !keeps(entry));
    others.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// `uname -r`.
pub fn kernel_release() -> String {
    std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .map(|text| text.trim().to_owned())
        .unwrap_or_default()
}

fn random_seed() -> std::io::Result<u128> {
    let mut bytes = [0_u8; 16];
    // SAFETY: the buffer is of the stated length. So few bytes come whole (getrandom(2)).
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(read) == Ok(bytes.len()) {
        Ok(u128::from_ne_bytes(bytes))
    } else {
        Err(std::io::Error::last_os_error())
    }
}
