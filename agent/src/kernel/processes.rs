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
        let update = |old| {
            let known = table::decision(old).is_some();
            let holds = match existing {
                Existing::Replace => true,
                Existing::Keep => !known,
                Existing::Update(None) => known,
                Existing::Update(Some(generation)) => known && table::generation(old) == generation,
            };
            holds.then(|| table::decided(old, decision))
        };
        // That the entry is, or is not, as `existing` wants it is no error.
        entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, update).ok();
        true
    }

    /// The generation of the image that is known of a process.
    pub(super) fn generation(&self, tgid: u32) -> Option<u8> {
        let byte = self.entry(tgid)?.load(Ordering::Relaxed);
        table::decision(byte).map(|_| table::generation(byte))
    }

    /// Forgets a process whose end was not seen.
    pub(super) fn forget(&self, tgid: u32) {
        if let Some(entry) = self.entry(tgid) {
            entry.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |old| Some(table::forgotten(old))).ok();
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

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: u32 = 1;
    const SKIP: u32 = 2;

    /// A table that no kernel side shares.
    fn table() -> Processes {
        let length = 4096;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new mapping of nothing.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), length, protection, flags, -1, 0) };
        Processes { start: NonNull::new(start.cast()).unwrap(), length }
    }

    fn byte(table: &Processes, tgid: u32) -> u8 {
        table.entry(tgid).unwrap().load(Ordering::Relaxed)
    }

    /// What the kernel side does at an exec.
    fn exec(table: &Processes, tgid: u32) -> u8 {
        let next = table::next(byte(table, tgid), 0);
        table.entry(tgid).unwrap().store(next, Ordering::Relaxed);
        table::generation(next)
    }

    #[test]
    fn a_decision_about_an_image_that_is_gone_is_void() {
        let table = table();
        let first = exec(&table, 7);
        let second = exec(&table, 7);
        assert_ne!(first, second);
        assert!(table.decide(7, SKIP, Existing::Update(Some(first))));
        assert_eq!(table::decision(byte(&table, 7)), Some(0), "the second image is undecided");
        assert!(table.decide(7, TRACE, Existing::Update(Some(second))));
        assert_eq!(table::decision(byte(&table, 7)), Some(TRACE));
        assert_eq!(table.generation(7), Some(second));
        assert!(table.decide(7, SKIP, Existing::Update(None)));
        assert_eq!(table::decision(byte(&table, 7)), Some(SKIP), "where the image is not known");
    }

    #[test]
    fn a_generation_outlives_its_process() {
        let table = table();
        let first = exec(&table, 7);
        table.forget(7);
        assert_eq!(table.generation(7), None);
        for existing in [Existing::Update(Some(first)), Existing::Update(None)] {
            assert!(table.decide(7, SKIP, existing));
            assert_eq!(table::decision(byte(&table, 7)), None, "gone");
        }
        assert_ne!(exec(&table, 7), first);
        assert!(table.decide(7, SKIP, Existing::Keep));
        assert_eq!(table::decision(byte(&table, 7)), Some(0), "the kernel side was faster");
    }

    #[test]
    fn generations_go_around() {
        let table = table();
        let first = exec(&table, 7);
        assert!((1..64).all(|_| exec(&table, 7) != first));
        assert_eq!(exec(&table, 7), first);
        assert_eq!((byte(&table, 6), byte(&table, 8)), (0, 0), "the neighbours");
    }

    #[test]
    fn an_id_beyond_the_table_is_refused() {
        let table = table();
        assert!(!table.decide(4096, TRACE, Existing::Replace));
        assert_eq!(table.generation(4096), None);
    }
}
