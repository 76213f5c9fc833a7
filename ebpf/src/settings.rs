//! Typed access to the settings that user space wrote before load.

use core::mem::MaybeUninit;

use abi::Settings;

/// In `.rodata`, frozen before load: the verifier folds each load to a constant, so that branches on
/// settings cost nothing and pointers with offsets from here stay checkable.
#[unsafe(no_mangle)]
static SETTINGS: MaybeUninit<Settings> = MaybeUninit::zeroed();

/// The settings, to be read field by field through [`load`].
#[inline(always)]
pub(crate) fn pointer() -> *const Settings {
    SETTINGS.as_ptr()
}

/// Reads one field. A macro, because the whole structure does not fit the BPF stack.
macro_rules! setting {
    ($($field:ident).+) => {
        // SAFETY: the static is initialised (zeroes, or what user space wrote) and never changes; volatile
        // keeps the compiler from believing the zeroes.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::settings::pointer()).$($field).+) }
    };
}
pub(crate) use setting;

/// The offset of a kernel structure's member, in bytes.
macro_rules! offset {
    ($field:ident) => {
        $crate::settings::setting!(offsets.$field) as usize
    };
}
pub(crate) use offset;

/// What a system call does to a socket ([`abi::settings::call`]).
#[inline(always)]
pub(crate) fn call_kind(number: i64) -> u8 {
    let index = (number as usize) & (abi::limit::SYSCALLS_MAX - 1);
    // SAFETY: the index is masked to the length of the table; initialised and constant as above.
    unsafe { core::ptr::read_volatile((&raw const (*pointer()).calls).cast::<u8>().add(index)) }
}
