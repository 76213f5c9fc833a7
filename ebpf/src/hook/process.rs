//! Processes start, fork and end.

use abi::{limit, process::decision, record::kind};
use aya_ebpf::{
    helpers::generated::{bpf_probe_read_kernel_str, bpf_probe_read_user, bpf_probe_read_user_str},
    macros::raw_tracepoint,
    programs::RawTracePointContext,
};

use super::close::raw_argument;
use crate::{
    counters,
    error::ProbeError,
    filter::{self, Thread},
    inflight, memory,
    output::{self, ExecEntry},
    settings::{offset, setting},
};

/// Variables of the environment that are looked at.
const VARIABLES: usize = 512;
const FILENAME: usize = 0;
const ARGUMENTS: usize = FILENAME + limit::FILENAME_MAX;
const ENVIRONMENT: usize = ARGUMENTS + limit::ARGUMENTS_MAX;
/// Longest variable that is kept whole.
const VARIABLE: u32 = 1024;

/// hooks: raw_tracepoint sched_process_fork(struct task_struct *parent, struct task_struct *child)
#[raw_tracepoint(tracepoint = "sched_process_fork")]
pub(crate) fn process_fork(ctx: RawTracePointContext) -> i32 {
    counters::note(try_fork(&ctx));
    0
}

#[inline(always)]
fn try_fork(ctx: &RawTracePointContext) -> Result<(), ProbeError> {
    let child = raw_argument(ctx, 1);
    let tgid: u32 = memory::kernel(child, offset!(task_tgid))?;
    let tid: u32 = memory::kernel(child, offset!(task_pid))?;
    // A new thread belongs to a process that is known.
    if tgid != tid {
        return Ok(());
    }
    let parent = Thread::current().tgid;
    let inherited = filter::decision_of(parent);
    if inherited == decision::SKIP && setting!(exec_decides) == 0 {
        return Ok(());
    }
    let generation = filter::decide_next(tgid, inherited)?;
    output::process(kind::FORK, tgid, parent, generation)
}

/// hooks: raw_tracepoint sched_process_exit(struct task_struct *task)
#[raw_tracepoint(tracepoint = "sched_process_exit")]
pub(crate) fn process_exit(ctx: RawTracePointContext) -> i32 {
    counters::note(try_exit(&ctx));
    0
}

#[inline(always)]
fn try_exit(ctx: &RawTracePointContext) -> Result<(), ProbeError> {
    inflight::forget(Thread::current());
    let task = raw_argument(ctx, 0);
    let signal: u64 = memory::kernel(task, offset!(task_signal))?;
    // Counted down before the event: 0 at the last thread (kernel/exit.c, do_exit).
    let live: u32 = memory::kernel(signal, offset!(signal_live))?;
    if live != 0 {
        return Ok(());
    }
    let thread = Thread::current();
    if filter::forget(thread.tgid) {
        return output::process(kind::EXIT, thread.tgid, 0, 0);
    }
    Ok(())
}

/// hooks: raw_tracepoint io_uring_create(int fd, void *ctx, u32 sq_entries, u32 cq_entries, u32 flags)
#[raw_tracepoint(tracepoint = "io_uring_create")]
pub(crate) fn ring_create(_ctx: RawTracePointContext) -> i32 {
    let thread = Thread::current();
    if filter::admits(thread) {
        counters::add(abi::counter::IO_URING, 1);
        counters::note(output::process(kind::IO_URING, thread.tgid, 0, 0));
    }
    0
}

/// hooks: raw_tracepoint sched_process_exec(struct task_struct *p, pid_t old_pid, struct linux_binprm *bprm)
#[raw_tracepoint(tracepoint = "sched_process_exec")]
pub(crate) fn process_exec(ctx: RawTracePointContext) -> i32 {
    counters::note(try_exec(&ctx));
    0
}

#[inline(always)]
fn try_exec(ctx: &RawTracePointContext) -> Result<(), ProbeError> {
    let thread = Thread::current();
    let mut generation = 0;
    if setting!(exec_decides) != 0 {
        if thread.tgid == setting!(own_tgid) {
            return Ok(());
        }
        generation = filter::decide_next(thread.tgid, setting!(unknown_process))?;
    } else if filter::decision_of(thread.tgid) == decision::SKIP {
        return Ok(());
    }
    let task = raw_argument(ctx, 0);
    let binary = raw_argument(ctx, 2);
    output::exec(thread.tgid, generation, |entry| fill(entry, task, binary))
}

#[inline(always)]
fn fill(entry: &mut ExecEntry, task: u64, binary: u64) -> Result<(), ProbeError> {
    let parent: u64 = memory::kernel(task, offset!(task_real_parent))?;
    entry.record.parent = memory::kernel(parent, offset!(task_tgid))?;
    let text = (&raw mut entry.text).cast::<u8>();
    let filename: u64 = memory::kernel(binary, offset!(binprm_filename))?;
    // SAFETY: the area is FILENAME_MAX bytes long.
    let length =
        unsafe { bpf_probe_read_kernel_str(text.cast(), limit::FILENAME_MAX as u32, filename as *const _) };
    if length > 0 {
        // The length counts the NUL.
        entry.record.filename_length = (length as u16).wrapping_sub(1);
    }
    let mm: u64 = memory::kernel(task, offset!(task_mm))?;
    if mm == 0 {
        return Ok(());
    }
    let start: u64 = memory::kernel(mm, offset!(mm_argument_start))?;
    let end: u64 = memory::kernel(mm, offset!(mm_argument_end))?;
    let mut length = end.wrapping_sub(start);
    if length > limit::ARGUMENTS_MAX as u64 {
        length = limit::ARGUMENTS_MAX as u64;
    }
    // SAFETY: the area is ARGUMENTS_MAX bytes long.
    let read = unsafe { bpf_probe_read_user(text.add(ARGUMENTS).cast(), length as u32, start as *const _) };
    if read == 0 {
        entry.record.arguments_length = length as u16;
    }
    environment(entry, mm)
}

/// Keeps the variables that start with `OTEL_`.
#[inline(always)]
fn environment(entry: &mut ExecEntry, mm: u64) -> Result<(), ProbeError> {
    entry.cursor = memory::kernel(mm, offset!(mm_environment_start))?;
    let end: u64 = memory::kernel(mm, offset!(mm_environment_end))?;
    entry.used = 0;
    entry.inside = 0;
    let text = (&raw mut entry.text).cast::<u8>();
    let mut index = 0;
    while index < VARIABLES {
        index += 1;
        // SAFETY: fields of the entry; volatile keeps them in memory (see `ExecEntry`).
        let (cursor, used) =
            unsafe { ((&raw const entry.cursor).read_volatile(), (&raw const entry.used).read_volatile()) };
        if cursor >= end || used > (limit::ENVIRONMENT_MAX as u32 - VARIABLE) {
            break;
        }
        // SAFETY: `used` is below ENVIRONMENT_MAX - VARIABLE, the area twice ENVIRONMENT_MAX.
        let target = unsafe { text.add(ENVIRONMENT + used as usize) };
        // SAFETY: at most VARIABLE bytes from there.
        let length = unsafe { bpf_probe_read_user_str(target.cast(), VARIABLE, cursor as *const _) };
        if length <= 0 {
            break;
        }
        let length = length as u32;
        let cut = length >= VARIABLE;
        // SAFETY: as above; five bytes of the area.
        let name = unsafe { target.cast::<[u8; 5]>().read() };
        // The continuation of a cut variable is not the start of one.
        let inside = entry.inside != 0;
        if name == *b"OTEL_" && !inside && !cut {
            entry.used = used + length;
        }
        entry.inside = u32::from(cut);
        // A cut string is NUL-terminated in the copy: the byte under the NUL comes next.
        entry.cursor = cursor.wrapping_add(u64::from(if cut { length - 1 } else { length }));
    }
    entry.record.environment_length = entry.used as u16;
    Ok(())
}
