//! Calls between entry and exit, and the threads that were inside one when the agent attached.

use core::mem::MaybeUninit;

use abi::{
    counter,
    settings::{call, control, counted, recover},
};
use aya_ebpf::{
    helpers::bpf_ktime_get_ns,
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
    /// A tracepoint of the socket told of it.
    pub(crate) const TOLD: u16 = 1 << 5;
}

/// By thread. Plain: an evicted call would lose bytes silently. An entry stays until its thread ends, so that a call
/// costs two look-ups and no allocation; between calls its `kind` is [`call::NONE`].
#[map]
static CALLS: HashMap<u64, Call> = HashMap::with_max_entries(16_384, 0);

/// Threads that were inside a call of interest when the agent attached; filled by user space.
#[map]
static BLOCKED: HashMap<u64, u8> = HashMap::with_max_entries(65_536, 0);

/// See [`control`].
#[map]
static CONTROL: Array<u32> = Array::with_max_entries(control::COUNT, 0);

/// Bit of [`Call::kind`]: only the time of the entry is known, the rest is told by the socket's tracepoint. The entry
/// is not taken away at the exit.
const TIMED: u8 = 1 << 7;

/// Remembers when a call was entered, with its first two arguments.
#[inline(always)]
pub(crate) fn enter_timed(
    thread: Thread,
    kind: u8,
    time: u64,
    arguments: [u64; 2],
) -> Result<(), ProbeError> {
    let [descriptor, pointer] = arguments;
    if CALLS.get_ptr_mut(thread.key()).is_none() {
        insert_timed(thread, 0, kind | TIMED, time)?;
    }
    if let Some(slot) = CALLS.get_ptr_mut(thread.key()) {
        // SAFETY: only this thread uses its slot.
        let slot = unsafe { &mut *slot };
        drop_stale(slot, thread);
        slot.kind = kind | TIMED;
        slot.enter = time;
        slot.sk = descriptor;
        slot.pointer = pointer;
    }
    Ok(())
}

/// When the thread entered the call of this kind and these arguments that it is in; `None` if that was not seen.
#[inline(always)]
pub(crate) fn entered(thread: Thread, kind: u8, descriptor: u64, pointer: u64) -> Option<u64> {
    let slot = CALLS.get_ptr_mut(thread.key())?;
    // SAFETY: only this thread uses its slot.
    let slot = unsafe { &*slot };
    (slot.kind == kind | TIMED && slot.sk == descriptor && slot.pointer == pointer).then_some(slot.enter)
}

/// A socket begins to send for the thread, or goes on. What the exit of a call is hooked for has its entry already.
#[inline(always)]
pub(crate) fn begins(thread: Thread, sk: u64) -> Result<(), ProbeError> {
    let slot = CALLS.get_ptr_mut(thread.key());
    if let Some(slot) = slot {
        // SAFETY: only this thread uses its slot.
        let slot = unsafe { &mut *slot };
        if slot.kind != call::NONE && (slot.kind & TIMED == 0 || slot.sk == sk) {
            return Ok(());
        }
        slot.sk = sk;
        slot.kind = TIMED;
        // SAFETY: the helper only reads the clock.
        slot.enter = unsafe { bpf_ktime_get_ns() };
        return Ok(());
    }
    // SAFETY: as above.
    insert_timed(thread, sk, TIMED, unsafe { bpf_ktime_get_ns() })
}

/// Takes the time at which the socket began to send for the thread; `None` if that was not seen.
#[inline(always)]
pub(crate) fn began(thread: Thread, sk: u64) -> Option<u64> {
    let slot = CALLS.get_ptr_mut(thread.key())?;
    // SAFETY: only this thread uses its slot.
    let slot = unsafe { &mut *slot };
    if slot.kind != TIMED {
        return None;
    }
    slot.kind = call::NONE;
    (slot.sk == sk).then_some(slot.enter)
}

#[inline(always)]
fn insert_timed(thread: Thread, sk: u64, kind: u8, enter: u64) -> Result<(), ProbeError> {
    if insert_call(thread.key(), sk, u64::from(kind), enter) == 0 {
        Err(ProbeError::InflightFull)
    } else {
        Ok(())
    }
}

/// A global function: rare, and an entry is a large part of the stack that 5.10 allows. Whether it was stored.
#[unsafe(no_mangle)]
#[inline(never)]
#[expect(clippy::needless_borrows_for_generic_args, reason = "by value it would lie on the stack twice")]
extern "C" fn insert_call(thread: u64, sk: u64, kind: u64, enter: u64) -> u64 {
    let mut call = MaybeUninit::<Call>::uninit();
    // Word by word: of an assignment the compiler makes a call to memset, which is one function too deep.
    let mut word = 0;
    while word < size_of::<Call>() / 8 {
        // SAFETY: inside; a call is whole aligned words, see above.
        unsafe { call.as_mut_ptr().cast::<u64>().add(word).write_volatile(0) };
        word += 1;
    }
    // SAFETY: zeroes are a call.
    let call = unsafe { call.assume_init_mut() };
    call.sk = sk;
    call.enter = enter;
    call.kind = kind as u8;
    u64::from(CALLS.insert(thread, &*call, 0).is_ok())
}

/// Whether the thread is in a call of this kind on this socket whose exit is hooked.
#[inline(always)]
pub(crate) fn awaits_exit(thread: Thread, kind: u8, sk: u64) -> bool {
    let Some(slot) = CALLS.get_ptr_mut(thread.key()) else { return false };
    // SAFETY: only this thread uses its slot.
    let slot = unsafe { &*slot };
    slot.kind == kind && slot.sk == sk
}

/// Remembers a call.
#[inline(always)]
pub(crate) fn enter(thread: Thread, call: &Call) -> Result<(), ProbeError> {
    if let Some(slot) = CALLS.get_ptr_mut(thread.key()) {
        // SAFETY: only this thread uses its slot.
        let slot = unsafe { &mut *slot };
        drop_stale(slot, thread);
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
        drop_stale(unsafe { &mut *slot }, thread);
    }
}

/// A call whose exit was not seen: the kernel leaves out tracepoint programs on a processor where a task was taken off
/// inside a map operation. What it moved is not known: where nothing else tells, no position is from there on.
#[inline(always)]
fn drop_stale(slot: &mut Call, thread: Thread) {
    if slot.kind != call::NONE && slot.kind & TIMED == 0 {
        connections::give_up(slot, thread);
        counters::add(counter::INFLIGHT_STALE, 1);
    }
    slot.kind = call::NONE;
}

/// Takes the remembered call of this kind. Whether there is one.
#[inline(always)]
pub(crate) fn exit(thread: Thread, kind: u8, call: &mut Call) -> bool {
    let Some(slot) = CALLS.get_ptr_mut(thread.key()) else { return false };
    // SAFETY: only this thread uses its slot.
    let slot = unsafe { &mut *slot };
    if slot.kind != kind {
        drop_stale(slot, thread);
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

/// A connection is announced whose positions are counted. Whether it is the first.
#[inline(always)]
pub(crate) fn note_counted() -> bool {
    let Some(state) = CONTROL.get_ptr_mut(control::COUNTED) else { return false };
    // SAFETY: an aligned number in a map, which user space reads and writes, hence volatile.
    unsafe {
        let first = state.read_volatile() == counted::NONE;
        if first {
            state.write_volatile(counted::ANNOUNCED);
        }
        first
    }
}

/// Whether connections are not to be followed whose positions are counted.
#[inline(always)]
pub(crate) fn refuses_counted() -> bool {
    // SAFETY: as above.
    CONTROL
        .get(control::COUNTED)
        .is_some_and(|state| unsafe { core::ptr::read_volatile(state) } == counted::REFUSED)
}

/// A thread ended.
#[inline(always)]
pub(crate) fn forget(thread: Thread) {
    // Most threads never used a socket.
    CALLS.remove(thread.key()).ok();
}

/// Whether hooks are still being attached: sums of what moves could not be complete.
#[inline(always)]
pub(crate) fn attaching() -> bool {
    // SAFETY: an aligned number in a map; user space changes it, hence volatile.
    CONTROL
        .get(control::RECOVER)
        .is_some_and(|state| unsafe { core::ptr::read_volatile(state) } == recover::ALL)
}

/// Whether an exit without a seen entry is to be followed.
#[inline(always)]
pub(crate) fn recovers(thread: Thread) -> bool {
    let Some(control) = CONTROL.get(control::RECOVER) else { return false };
    // SAFETY: an aligned number in a map; user space changes it, hence volatile.
    match unsafe { core::ptr::read_volatile(control) } {
        recover::NONE => false,
        recover::ALL => true,
        // Looked up first: nearly every thread is not there, and a failing removal takes a lock.
        _ => BLOCKED.get_ptr(thread.key()).is_some() && BLOCKED.remove(thread.key()).is_ok(),
    }
}
