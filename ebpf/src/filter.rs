//! Which processes are traced.

use abi::{process::decision, record::kind};
use aya_ebpf::{bindings::BPF_NOEXIST, helpers::bpf_get_current_pid_tgid, macros::map, maps::HashMap};

use crate::{counters, error::ProbeError, output, settings::setting};

/// Decisions by process id. Plain: an evicted decision would make a traced process unknown.
#[map]
static PROCESSES: HashMap<u32, u32> = HashMap::with_max_entries(32_768, 0);

/// The current thread: process id and thread id in the initial namespace.
#[derive(Clone, Copy)]
pub(crate) struct Thread {
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
}

impl Thread {
    #[inline(always)]
    pub(crate) fn current() -> Self {
        let both = bpf_get_current_pid_tgid();
        Self { tgid: (both >> 32) as u32, tid: both as u32 }
    }

    /// The key of tables of threads.
    #[inline(always)]
    pub(crate) fn key(self) -> u64 {
        (u64::from(self.tgid) << 32) | u64::from(self.tid)
    }
}

/// The decision for a process, the default if it is not known.
#[inline(always)]
pub(crate) fn decision_of(tgid: u32) -> u32 {
    // SAFETY: the value is a plain number that is read at once.
    match unsafe { PROCESSES.get(tgid) } {
        Some(decision) => *decision,
        None => setting!(unknown_process),
    }
}

/// Whether records are made of the current process; an unknown one is announced once.
#[inline(always)]
pub(crate) fn admits(thread: Thread) -> bool {
    // SAFETY: as above.
    if let Some(found) = unsafe { PROCESSES.get(thread.tgid) } {
        return *found != decision::SKIP;
    }
    let unknown = setting!(unknown_process);
    if unknown == decision::SKIP || thread.tgid == setting!(own_tgid) {
        return false;
    }
    let key = thread.tgid;
    if PROCESSES.insert(key, unknown, u64::from(BPF_NOEXIST)).is_ok() {
        counters::note(output::process(kind::SEEN, thread.tgid, 0));
    }
    true
}

/// Stores a decision.
#[inline(always)]
pub(crate) fn decide(tgid: u32, decision: u32) -> Result<(), ProbeError> {
    PROCESSES.insert(tgid, decision, 0).map_err(|_| ProbeError::ProcessesFull)
}

/// Forgets a process that ended. Whether it was known.
#[inline(always)]
pub(crate) fn forget(tgid: u32) -> bool {
    PROCESSES.remove(tgid).is_ok()
}
