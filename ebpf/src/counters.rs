//! Per-CPU counters; ids are in `abi::counter`.

use abi::counter;
use aya_ebpf::{macros::map, maps::PerCpuArray};

use crate::error::ProbeError;

#[map]
static COUNTERS: PerCpuArray<u64> = PerCpuArray::with_max_entries(counter::COUNT, 0);

/// Adds to a counter.
#[inline(always)]
pub(crate) fn add(id: u32, amount: u64) {
    if let Some(value) = COUNTERS.get_ptr_mut(id) {
        // SAFETY: the pointer is to this CPU's element and lives as long as the program runs.
        unsafe { *value = (*value).wrapping_add(amount) };
    }
}

/// Adds one to a counter. The sum on this processor.
#[inline(always)]
pub(crate) fn next(id: u32) -> u64 {
    let Some(value) = COUNTERS.get_ptr_mut(id) else { return 0 };
    // SAFETY: as above.
    unsafe {
        *value = (*value).wrapping_add(1);
        *value
    }
}

/// Turns a hook's error into its counter.
#[inline(always)]
pub(crate) fn note(result: Result<(), ProbeError>) {
    if let Err(error) = result {
        add(error.counter(), 1);
    }
}
