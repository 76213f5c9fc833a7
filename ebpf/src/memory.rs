//! Every read of memory that is not the program's own: bounded, and an error instead of a fault.

use aya_ebpf::helpers::generated::{bpf_probe_read_kernel, bpf_probe_read_user};

use crate::error::ProbeError;

/// Reads a value from kernel memory at `base + offset`.
#[inline(always)]
pub(crate) fn kernel<T: Copy>(base: u64, offset: usize) -> Result<T, ProbeError> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes exactly `size_of::<T>()` bytes or fails.
    let result = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset as u64) as *const _,
        )
    };
    if result == 0 {
        // SAFETY: written by the helper; T is plain data at every caller.
        Ok(unsafe { value.assume_init() })
    } else {
        Err(ProbeError::Kernel)
    }
}

/// Reads two members of a structure, with one read where they lie within `N` words of each other. Which it is
/// is known at load: the verifier drops the other branch.
#[inline(always)]
pub(crate) fn kernel_pair<const N: usize>(
    base: u64,
    one: usize,
    other: usize,
) -> Result<(u64, u64), ProbeError> {
    let low = if one < other { one } else { other };
    let (one_at, other_at) = (one - low, other - low);
    if one_at % 8 != 0 || other_at % 8 != 0 || one_at > (N - 1) * 8 || other_at > (N - 1) * 8 {
        return Ok((kernel(base, one)?, kernel(base, other)?));
    }
    let window: [u64; N] = kernel(base, low)?;
    let pointer = (&raw const window).cast::<u8>();
    // SAFETY: both places are whole words inside the window, checked above.
    unsafe { Ok((pointer.add(one_at).cast::<u64>().read(), pointer.add(other_at).cast::<u64>().read())) }
}

/// Reads kernel memory at `base + offset` into `target`, without a copy on the stack.
#[inline(always)]
pub(crate) fn kernel_into<T>(base: u64, offset: usize, target: *mut T) -> Result<(), ProbeError> {
    // SAFETY: the helper writes exactly `size_of::<T>()` bytes or fails; every caller's T is plain bytes that it owns.
    let result = unsafe {
        bpf_probe_read_kernel(
            target.cast(),
            size_of::<T>() as u32,
            base.wrapping_add(offset as u64) as *const _,
        )
    };
    if result == 0 { Ok(()) } else { Err(ProbeError::Kernel) }
}

/// Reads a value from user memory.
#[inline(always)]
pub(crate) fn user<T: Copy>(address: u64) -> Result<T, ProbeError> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes exactly `size_of::<T>()` bytes or fails.
    let result =
        unsafe { bpf_probe_read_user(value.as_mut_ptr().cast(), size_of::<T>() as u32, address as *const _) };
    if result == 0 {
        // SAFETY: written by the helper; T is plain data at every caller.
        Ok(unsafe { value.assume_init() })
    } else {
        Err(ProbeError::User)
    }
}
