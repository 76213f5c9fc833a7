//! The kernel side's table of processes, mapped into this process: see [`abi::process::table`].

use std::{
    fs, io,
    os::fd::{AsFd as _, AsRawFd as _},
    ptr::NonNull,
    sync::atomic::{AtomicU8, Ordering},
};

use abi::process::table;
use anyhow::{Context as _, Result};
use aya::maps::Map;

use super::Existing;

/// Process ids of a machine that does not say how many there are: the kernel's own bound (PID_MAX_LIMIT, include/linux/threads.h).
const PIDS_MAX: u32 = 4 * 1024 * 1024;

/// How many words the table has: one byte for each process id that there can be.
pub(super) fn words() -> u32 {
    let text = fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    let pids: u32 = text.trim().parse().unwrap_or(PIDS_MAX);
    pids.min(PIDS_MAX).div_ceil(table::IN_WORD).max(1)
}

/// Decisions by process id.
pub(super) struct Processes {
    start: NonNull<AtomicU8>,
    length: usize,
}

// SAFETY: the memory is only accessed through atomics.
unsafe impl Send for Processes {}

impl Processes {
    /// Maps the table; it stays loaded as long as it is mapped.
    pub(super) fn new(map: &Map) -> Result<Self> {
        let Map::Array(map) = map else { anyhow::bail!("the map of processes is not an array") };
        let length = words() as usize * table::IN_WORD as usize;
        // SAFETY: a new shared mapping, of an array that was made to be mapped and has at least this length.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                map.fd().as_fd().as_raw_fd(),
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error()).context("cannot map the table of processes");
        }
        let start = NonNull::new(start.cast()).context("the table of processes was mapped to nowhere")?;
        Ok(Self { start, length })
    }

    /// Stores a decision. `false`: there is no such process id.
    pub(super) fn decide(&self, tgid: u32, decision: u32, existing: Existing) -> bool {
        let Some(entry) = self.entry(tgid) else { return false };
        let new = table::byte(decision);
        // That the entry is, or is not, as `existing` wants it is no error.
        match existing {
            Existing::Replace => entry.store(new, Ordering::Relaxed),
            Existing::Keep => {
                entry.compare_exchange(table::UNKNOWN, new, Ordering::Relaxed, Ordering::Relaxed).ok();
            }
            Existing::Update => {
                let update = |old| (old != table::UNKNOWN).then_some(new);
                entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok();
            }
        }
        true
    }

    /// Forgets a process whose end was not seen.
    pub(super) fn forget(&self, tgid: u32) {
        if let Some(entry) = self.entry(tgid) {
            entry.store(table::UNKNOWN, Ordering::Relaxed);
        }
    }

    fn entry(&self, tgid: u32) -> Option<&AtomicU8> {
        let index = usize::try_from(tgid).ok().filter(|index| *index < self.length)?;
        // SAFETY: inside the mapping, which lives as long as this; a byte has no alignment and any value.
        Some(unsafe { self.start.add(index).as_ref() })
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // SAFETY: mapped in `new`, and nothing refers to it any more.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.length) };
    }
}
