//! Calls between entry and exit, and the threads that were inside one when the agent attached.

use abi::{
    counter,
    settings::{call, recover},
};
use aya_ebpf::{
    macros::map,
    maps::{Array, HashMap},
};

use crate::{connections, counters, error::ProbeError, filter::Thread};

/// What is known of a call from its entry.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Call {
    pub(crate) sk: u64,
    pub(crate) inode: u64,
    pub(crate) enter: u64,
    /// Buffer, vector or message, by the kind of the call.
    pub(crate) pointer: u64,
    /// Length of the vector.
    pub(crate) count: u32,
    /// TCP: sequence number of the direction at entry. Else: entries into the direction, this one included.
    pub(crate) mark: u32,
    pub(crate) family: u16,
    pub(crate) protocol: u16,
    /// See [`flag`].
    pub(crate) flags: u16,
    /// [`abi::settings::call`].
    pub(crate) kind: u8,
    /// [`abi::conn::direction`].
    pub(crate) direction: u8,
}

const _: () = assert!(size_of::<Call>().is_multiple_of(8) && align_of::<Call>() == 8);

pub(crate) mod flag {
    /// `mark` is valid.
    pub(crate) const MARKED: u16 = 1;
    /// Moves nothing: MSG_PEEK, MSG_ERRQUEUE, MSG_OOB.
    pub(crate) const MOVES_NOTHING: u16 = 1 << 1;
    /// Moves bytes that are not in the buffer: MSG_TRUNC on TCP.
    pub(crate) const UNCOPYABLE: u16 = 1 << 2;
    /// Another call was inside the same direction at entry (sockets without counters).
    pub(crate) const OVERLAPPED: u16 = 1 << 3;
    /// The entry was not seen.
    pub(crate) const ENTRY_UNSEEN: u16 = 1 << 4;
}

/// By thread. Plain: an evicted call would lose bytes silently. An entry stays until its thread ends, so that a call
/// costs two look-ups and no allocation; between calls its `kind` is [`call::NONE`].
#[map]
static CALLS: HashMap<u64, Call> = HashMap::with_max_entries(16_384, 0);

/// Threads that were inside a call of interest when the agent attached; filled by user space.
#[map]
static BLOCKED: HashMap<u64, u8> = HashMap::with_max_entries(65_536, 0);

/// One element, see [`recover`].
#[map]
static CONTROL: Array<u32> = Array::with_max_entries(1, 0);

/// Remembers a call.
#[inline(always)]
pub(crate) fn enter(thread: Thread, call: &Call) -> Result<(), ProbeError> {
    if let Some(slot) = CALLS.get_ptr_mut(thread.key()) {
        // SAFETY: only this thread uses its slot.
        let slot = unsafe { &mut *slot };
        drop_stale(slot);
        *slot = *call;
        return Ok(());
    }
    CALLS.insert(thread.key(), call, 0).map_err(|_| ProbeError::InflightFull)
}

/// The thread entered a call that is not followed.
#[inline(always)]
pub(crate) fn enter_nothing(thread: Thread) {
    if let Some(slot) = CALLS.get_ptr_mut(thread.key()) {
        // SAFETY: only this thread uses its slot.
        drop_stale(unsafe { &mut *slot });
    }
}

/// A call whose exit was not seen: the kernel leaves out tracepoint programs on a processor where a task was taken off
/// inside a map operation.
#[inline(always)]
fn drop_stale(slot: &mut Call) {
    if slot.kind != call::NONE {
        connections::unmark(slot);
        counters::add(counter::INFLIGHT_STALE, 1);
        slot.kind = call::NONE;
    }
}

/// Takes the remembered call of this kind. Whether there is one.
#[inline(always)]
pub(crate) fn exit(thread: Thread, kind: u8, call: &mut Call) -> bool {
    let Some(slot) = CALLS.get_ptr_mut(thread.key()) else { return false };
    // SAFETY: only this thread uses its slot.
    let slot = unsafe { &mut *slot };
    if slot.kind != kind {
        drop_stale(slot);
        return false;
    }
    // Word by word: of an assignment the compiler makes a call to memmove, which goes byte by byte.
    let (from, to) = ((&raw const *slot).cast::<u64>(), (&raw mut *call).cast::<u64>());
    let mut word = 0;
    while word < size_of::<Call>() / 8 {
        // SAFETY: inside both; a call is whole aligned words, see below.
        unsafe { to.add(word).write_volatile(from.add(word).read_volatile()) };
        word += 1;
    }
    slot.kind = call::NONE;
    true
}

/// A thread ended.
#[inline(always)]
pub(crate) fn forget(thread: Thread) {
    // Most threads never used a socket.
    CALLS.remove(thread.key()).ok();
}

/// Whether an exit without a seen entry is to be followed.
#[inline(always)]
pub(crate) fn recovers(thread: Thread) -> bool {
    let Some(control) = CONTROL.get(0) else { return false };
    // SAFETY: an aligned number in a map; user space changes it, hence volatile.
    match unsafe { core::ptr::read_volatile(control) } {
        recover::NONE => false,
        recover::ALL => true,
        // Looked up first: nearly every thread is not there, and a failing removal takes a lock.
        _ => BLOCKED.get_ptr(thread.key()).is_some() && BLOCKED.remove(thread.key()).is_ok(),
    }
}
