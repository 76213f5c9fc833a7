//! Helpers that exist only to convince the verifier, each with the kernel that needs it.

/// `value`, at most `max`, in a form whose bound every verifier sees.
///
/// 5.10 and 6.1 learn a bound only from a comparison of the very register with a constant. From `min(a, b)` and the like
/// the compiler makes comparisons between registers, and drops a comparison with a constant that it finds redundant; it
/// cannot look through the assembly here.
#[inline(always)]
pub(crate) fn at_most(value: u32, max: u32) -> u32 {
    let mut opaque = u64::from(value);
    // An instruction that does nothing; without any, two source lines would stand at one instruction, which kernels
    // refuse ("Invalid line_info").
    // SAFETY: the operand stays what it is.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) opaque, options(pure, nomem, nostack)) };
    if opaque > u64::from(max) { max } else { opaque as u32 }
}
