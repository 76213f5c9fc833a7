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

/// Flags of a task that runs no program's code (include/linux/sched.h): PF_IO_WORKER, PF_USER_WORKER, PF_KTHREAD.
const WORKER: u32 = 0x10 | 0x4000 | 0x20_0000;

/// What the register of the result holds while the call's own code runs.
const ENOSYS: i64 = 38;

/// Number and first four arguments of the system call that the current thread is in; `None` if it is in none of a
/// 64-bit program's, or its result is there already: what is done then, io_uring's work for one, is not the call's.
#[inline(always)]
pub(crate) fn current() -> Option<(i64, [u64; 4])> {
    let (flags, status) = (offset!(task_flags), offset!(task_status));
    let compat = setting!(offsets.status_compat);
    let (number, result) = (offset!(registers_number), offset!(registers_result));
    // SAFETY: the verifier knows the types of these pointers and lets them be followed; a bad one reads as 0. Both
    // helpers are offered where this is used: user space asked.
    unsafe {
        let task = bpf_get_current_task_btf();
        let start = task.cast::<u8>().cast_const();
        let flags = start.add(flags).cast::<u32>().read_volatile();
        let status = start.add(status).cast::<u32>().read_volatile();
        if flags & WORKER != 0 || status & compat != 0 {
            return None;
        }
        let base = (bpf_task_pt_regs(task) as *const u8).cast::<u8>();
        if base.add(result).cast::<i64>().read_volatile() != -ENOSYS {
            return None;
        }
        let number = base.add(number).cast::<i32>().read_volatile();
        if number < 0 || number as usize >= abi::limit::SYSCALLS_MAX {
            return None;
        }
        let arguments = [
            base.add(argument_offset::<0>()).cast::<u64>().read_volatile(),
            base.add(argument_offset::<1>()).cast::<u64>().read_volatile(),
            base.add(argument_offset::<2>()).cast::<u64>().read_volatile(),
            base.add(argument_offset::<3>()).cast::<u64>().read_volatile(),
        ];
        Some((number.into(), arguments))
    }
}

/// Argument `INDEX` of the call, from saved registers at `base`.
#[inline(always)]
pub(crate) fn argument<const INDEX: usize>(base: u64) -> Result<u64, ProbeError> {
    memory::kernel(base, argument_offset::<INDEX>()).map_err(|_| ProbeError::Registers)
}

#[inline(always)]
fn argument_offset<const INDEX: usize>() -> usize {
    // SAFETY: a constant index below the table's length of six; see `setting!`.
    let offset = unsafe {
        core::ptr::read_volatile(
            (&raw const (*crate::settings::pointer()).offsets.registers).cast::<u32>().add(INDEX),
        )
    };
    offset as usize
}
