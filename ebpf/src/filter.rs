//! Which processes are traced.

use abi::{
    process::{decision, table},
    record::kind,
};
use aya_ebpf::{bindings::BPF_F_MMAPABLE, helpers::bpf_get_current_pid_tgid, macros::map, maps::Array};

use crate::{counters, error::ProbeError, output, settings::setting};

/// Decisions by process id. An array, because it is looked at in every call of every process: its look-up is a
/// few instructions in line.
#[map]
static PROCESSES: Array<[u8; table::IN_WORD as usize]> =
    Array::with_max_entries(32_768 / table::IN_WORD, BPF_F_MMAPABLE);

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

    /// The thread with this [key](Self::key).
    #[inline(always)]
    pub(crate) fn of_key(key: u64) -> Self {
        Self { tgid: (key >> 32) as u32, tid: key as u32 }
    }

    /// The key of tables of threads.
    #[inline(always)]
    pub(crate) fn key(self) -> u64 {
        (u64::from(self.tgid) << 32) | u64::from(self.tid)
    }
}

/// The byte of a process; none if its id is beyond what the machine had when the agent started.
#[inline(always)]
fn entry(tgid: u32) -> Option<*mut u8> {
    let word = PROCESSES.get_ptr_mut(tgid / table::IN_WORD)?;
    // SAFETY: the index is below the length of a word.
    Some(unsafe { word.cast::<u8>().add((tgid % table::IN_WORD) as usize) })
}

/// Where the byte of a process is, and what it is; 0 if there is none.
#[inline(always)]
fn look(tgid: u32) -> (Option<*mut u8>, u8) {
    let entry = entry(tgid);
    // SAFETY: a byte in a map; volatile, because user space writes it.
    (entry, entry.map_or(0, |entry| unsafe { entry.read_volatile() }))
}

/// The decision for a process, the default if it is not known.
#[inline(always)]
pub(crate) fn decision_of(tgid: u32) -> u32 {
    match table::decision(look(tgid).1) {
        Some(decision) => decision,
        None => setting!(unknown_process),
    }
}

/// Whether records are made of the current process; an unknown one is announced once.
#[inline(always)]
pub(crate) fn admits(thread: Thread) -> bool {
    let (entry, byte) = look(thread.tgid);
    if let Some(known) = table::decision(byte) {
        return known != decision::SKIP;
    }
    let unknown = setting!(unknown_process);
    if unknown == decision::SKIP || thread.tgid == setting!(own_tgid) {
        return false;
    }
    let Some(entry) = entry else {
        counters::add(abi::counter::PROCESSES_FULL, 1);
        return false;
    };
    // Two threads may both be the first; a decision that comes between is repeated when more records come.
    // SAFETY: as above.
    unsafe { entry.write_volatile(table::decided(byte, unknown)) };
    counters::note(output::process(kind::SEEN, thread.tgid, 0, table::generation(byte)));
    true
}

/// Stores a decision about an image that starts. Its generation: what user space still decides about an earlier one is
/// void.
#[inline(always)]
pub(crate) fn decide_next(tgid: u32, decision: u32) -> Result<u8, ProbeError> {
    let (Some(entry), byte) = look(tgid) else { return Err(ProbeError::ProcessesFull) };
    let next = table::next(byte, decision);
    // SAFETY: as above.
    unsafe { entry.write_volatile(next) };
    Ok(table::generation(next))
}

/// Forgets a process that ended. Whether it was known.
#[inline(always)]
pub(crate) fn forget(tgid: u32) -> bool {
    let (Some(entry), byte) = look(tgid) else { return false };
    // SAFETY: as above.
    unsafe { entry.write_volatile(table::forgotten(byte)) };
    table::decision(byte).is_some()
}
