//! Hooks: one file a subject. An entry function turns an error into a counter, a `try_` function does the
//! work. Above each hook stands the prototype that it relies on, in a form that `cargo xtask tidy` checks.
//!
//! System calls are hooked by their classic tracepoints: they run with preemption disabled, so that the
//! per-CPU buffers are safe, and on 7.2 they lose no runs (`tp_btf` on `sys_enter` does). They do not fire for
//! 32-bit and x32 tasks (`arch_trace_is_compat_syscall`), whose call numbers mean something else. The other
//! events use raw tracepoints, which are not skipped when they interrupt one of our own programs; those of sockets in their
//! typed form (`tp_btf`), which is used only where they are not preempted.

mod close;
mod moved;
mod open;
mod order;
mod process;
mod transfer;

use aya_ebpf::programs::TracePointContext;

/// Layout of the context of `syscalls/sys_enter_*`: number at 8, arguments from 16.
const NUMBER: usize = 8;
const ARGUMENTS: usize = 16;
/// Layout of the context of `syscalls/sys_exit_*`: return value at 16.
const RETURNED: usize = 16;

/// include/linux/socket.h
pub(crate) const MSG_OOB: u64 = 0x1;

/// The system call's number.
#[inline(always)]
fn number(ctx: &TracePointContext) -> i64 {
    context::<i32>(ctx, NUMBER).into()
}

/// An argument, at entry.
#[inline(always)]
fn argument(ctx: &TracePointContext, index: usize) -> u64 {
    context(ctx, ARGUMENTS + index * 8)
}

/// An argument that not every call of the program has, at entry. Read as memory: direct reads count towards what
/// an event must offer for the program to be attached.
#[inline(always)]
fn late_argument(ctx: &TracePointContext, index: usize) -> u64 {
    // SAFETY: the context has room for six arguments (struct syscall_tp_t in kernel/trace/trace_syscalls.c).
    unsafe { ctx.read_at(ARGUMENTS + index * 8) }.unwrap_or(0)
}

/// The return value, at exit.
#[inline(always)]
fn returned(ctx: &TracePointContext) -> i64 {
    context(ctx, RETURNED)
}

#[inline(always)]
fn context<T: Copy>(ctx: &TracePointContext, offset: usize) -> T {
    use aya_ebpf::EbpfContext as _;
    // SAFETY: the offsets are inside the context of the system call tracepoints, which the verifier checks.
    unsafe { ctx.as_ptr().byte_add(offset).cast::<T>().read() }
}
