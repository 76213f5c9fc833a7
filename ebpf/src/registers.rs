//! The system call arguments of the current thread as the kernel saved them, for calls whose entry was
//! not seen.

use aya_ebpf::helpers::{
    bpf_get_current_task,
    generated::{bpf_get_current_task_btf, bpf_task_pt_regs},
};

use crate::{
    error::ProbeError,
    memory,
    settings::{offset, setting},
};

/// Address of the saved registers.
#[inline(always)]
pub(crate) fn saved() -> Result<u64, ProbeError> {
    if setting!(registers_helper) != 0 {
        // SAFETY: both helpers are offered to tracepoint programs on this kernel; user space asked.
        Ok(unsafe { bpf_task_pt_regs(bpf_get_current_task_btf()) } as u64)
    } else {
        // Kernels without the helper (before 5.15) keep the registers at the very end of the stack.
        // SAFETY: the helper only returns the address of the current task.
        let task = unsafe { bpf_get_current_task() };
        let stack: u64 = memory::kernel(task, offset!(task_stack)).map_err(|_| ProbeError::Registers)?;
        Ok(stack + u64::from(setting!(offsets.stack_size)) - u64::from(setting!(offsets.registers_size)))
    }
}

/// Argument `INDEX` of the call, from saved registers at `base`.
#[inline(always)]
pub(crate) fn argument<const INDEX: usize>(base: u64) -> Result<u64, ProbeError> {
    // SAFETY: a constant index below the table's length of six; see `setting!`.
    let offset = unsafe {
        core::ptr::read_volatile(
            (&raw const (*crate::settings::pointer()).offsets.registers).cast::<u32>().add(INDEX),
        )
    };
    memory::kernel(base, offset as usize).map_err(|_| ProbeError::Registers)
}
