//! The `bpf` system call, for the two commands that aya does not offer.

use std::io;

/// Calls `bpf(command, attributes)`.
///
/// # Safety
/// `attributes` must have the layout of the kernel's `union bpf_attr` for `command`, and the addresses in it must
/// be those of live buffers of the stated lengths.
pub(super) unsafe fn bpf<T>(command: libc::c_int, attributes: &mut T) -> io::Result<()> {
    // SAFETY: passed on from the caller.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attributes, size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}
