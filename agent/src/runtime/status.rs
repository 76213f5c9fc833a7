//! The agent's counters, as they are shown and written.

use std::{collections::BTreeMap, fs, io, path::PathBuf};

use anyhow::{Context as _, Result};
use engine::Engine;
use serde::{Deserialize, Serialize};

use crate::{
    export::Exports,
    held::Held,
    process::{Processes, Seen},
};

/// Names a file that the counters are written to, each second and at the end.
const VARIABLE: &str = "SPANDREL_STATUS";

/// Programs that are named; of more than so many the file says nothing.
const NAMED: usize = 1000;

/// All counters at one moment.
#[derive(Debug, Serialize)]
pub(super) struct Status {
    engine: BTreeMap<&'static str, u64>,
    kernel: BTreeMap<&'static str, u64>,
    /// `seen = open + waiting + spans + excluded + ignored + instrumented + sampled_out + retracted + dropped`;
    /// `nowhere`: spans, of these, that are for no destination. For each destination,
    /// `handed = queued + accepted + dropped`, which is `spans - nowhere` if all selectors name it.
    accounting: BTreeMap<&'static str, u64>,
    destinations: BTreeMap<String, Destination>,
    processes: BTreeMap<&'static str, u64>,
    memory: BTreeMap<String, u64>,
    /// What failed beside the tracing itself.
    failures: BTreeMap<&'static str, u64>,
    pub(super) traced: usize,
    /// Programs that send traces themselves, by process id.
    instrumented: Vec<Seen>,
}

/// What others look for in the file.
#[derive(Deserialize)]
struct Findings {
    instrumented: Vec<Seen>,
}

/// What became of the spans that one destination was given.
#[derive(Debug, Serialize)]
struct Destination {
    handed: u64,
    queued: u64,
    accepted: u64,
    dropped: BTreeMap<&'static str, u64>,
}

impl Status {
    pub(super) fn new(
        engine: &Engine,
        kernel: Vec<(&'static str, u64)>,
        missed: u64,
        exports: &Exports,
        processes: &Processes,
        held: &Held,
        failures: BTreeMap<&'static str, u64>,
    ) -> Self {
        let mut kernel: BTreeMap<_, _> = kernel.into_iter().collect();
        kernel.insert("missed_runs", missed);
        let accounting = engine.accounting();
        let counters = processes.counters();
        let mut instrumented: Vec<_> = processes.instrumented().take(NAMED).collect();
        instrumented.sort_unstable();
        Self {
            engine: engine.counters().iter().collect(),
            kernel,
            accounting: BTreeMap::from([
                ("seen", accounting.seen),
                ("open", accounting.open),
                ("waiting", accounting.waiting),
                ("excluded", accounting.excluded),
                ("ignored", accounting.ignored),
                ("instrumented", accounting.instrumented),
                ("sampled_out", accounting.sampled_out),
                ("retracted", accounting.retracted),
                ("dropped", accounting.dropped),
                ("spans", accounting.spans),
                ("nowhere", exports.nowhere()),
            ]),
            destinations: exports
                .counts()
                .map(|(name, counts)| (name.to_owned(), destination(&counts)))
                .collect(),
            processes: BTreeMap::from([
                ("refused", counters.refused),
                ("forgotten", counters.forgotten),
                ("thirty_two_bit", counters.thirty_two_bit),
                ("unknown", counters.unknown),
                ("held_records_dropped", held.dropped()),
            ]),
            memory: memory(),
            failures,
            traced: processes.traced(),
            instrumented,
        }
    }

    /// Spans made.
    pub(super) fn spans(&self) -> u64 {
        self.accounting.get("spans").copied().unwrap_or_default()
    }

    /// Everything lost, whatever the reason.
    pub(super) fn drops(&self) -> u64 {
        let kernel = ["ring_full", "inflight_full", "connections_full", "processes_full", "missed_runs"];
        let lost: u64 = kernel.iter().filter_map(|name| self.kernel.get(name)).sum();
        let dropped: u64 =
            self.destinations.values().map(|destination| destination.dropped.values().sum::<u64>()).sum();
        lost + dropped + self.accounting.get("dropped").copied().unwrap_or_default()
    }
}

fn destination(counts: &crate::export::Counts) -> Destination {
    let dropped: BTreeMap<_, _> =
        crate::export::Reason::ALL.iter().map(|reason| (reason.as_str(), counts.dropped(*reason))).collect();
    Destination { handed: counts.handed_in, queued: counts.queued, accepted: counts.accepted, dropped }
}

/// The memory lines of `/proc/self/status`, in bytes.
fn memory() -> BTreeMap<String, u64> {
    let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = |line: &str| {
        let (name, rest) = line.split_once(':')?;
        let kilobytes: u64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
        name.starts_with("Rss").then(|| (name.to_owned(), kilobytes * 1024))
    };
    text.lines().filter_map(line).collect()
}

/// The file that counters are written to.
#[derive(Debug)]
pub struct StatusFile(PathBuf);

impl StatusFile {
    pub fn from_environment() -> Option<Self> {
        let path = std::env::var_os(VARIABLE).filter(|path| !path.is_empty())?;
        Some(Self(path.into()))
    }

    /// The programs that the agent which writes the file saw sending traces; none if it has not written it yet.
    pub fn instrumented(&self) -> Result<Vec<Seen>> {
        let failed = || format!("cannot read {} ({VARIABLE})", self.0.display());
        let text = match fs::read(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            text => text.with_context(failed)?,
        };
        let findings: Findings = serde_json::from_slice(&text).with_context(failed)?;
        Ok(findings.instrumented)
    }

    /// Replaces the file at once, so that a reader never sees half of it.
    pub(super) fn write(&self, status: &Status) -> Result<()> {
        let mut next = self.0.clone().into_os_string();
        next.push(".next");
        let failed = || format!("cannot write the counters to {} ({VARIABLE})", self.0.display());
        fs::write(&next, serde_json::to_vec_pretty(status)?).with_context(failed)?;
        fs::rename(&next, &self.0).with_context(failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_that_send_traces_are_read_back_from_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let file = StatusFile(directory.path().join("status.json"));
        assert_eq!(file.instrumented().unwrap(), [], "no agent has run yet");
        fs::write(&file.0, r#"{"engine":{"spans":3},"instrumented":[{"pid":7,"executable":"/bin/shop"}]}"#)
            .unwrap();
        let seen = Seen { pid: 7, executable: "/bin/shop".to_owned() };
        assert_eq!(file.instrumented().unwrap(), [seen]);
        fs::write(&file.0, "{}").unwrap();
        let error = format!("{:#}", file.instrumented().unwrap_err());
        assert!(error.contains("status.json (SPANDREL_STATUS)"), "{error}");
    }
}
