//! Attaches the programs to their hooks.

use std::{fs, io, path::Path};

use abi::settings::call;
use anyhow::{Context as _, Result};
use aya::{
    Ebpf,
    programs::{BtfTracePoint, RawTracePoint, TracePoint},
};

use super::{
    arch,
    flavour::{self, Flavour},
};

const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Attaches everything. Exits go first: a call that is entered before its exit is hooked would stay in the table
/// of calls, one that exits unseen does not.
pub(super) fn attach(ebpf: &mut Ebpf, flavour: Flavour) -> Result<()> {
    with_tracefs(|| attach_all(ebpf, flavour))
}

/// Hooks what connections need whose positions are counted, where the sockets' tracepoints are used: only the entries
/// tell whether calls overlap.
pub(super) fn attach_counted(ebpf: &mut Ebpf, flavour: Flavour) -> Result<()> {
    with_tracefs(|| {
        transfers(ebpf, call::is_evented)?;
        if flavour == Flavour::Sockets {
            // The other program at the same entries does its work.
            system_call_program(ebpf, "send_enter")?.unload()?;
        }
        Ok(())
    })
}

fn with_tracefs(attach: impl FnOnce() -> Result<()> + Send) -> Result<()> {
    // On a thread of its own: where tracefs is not mounted it is mounted in a mount namespace that only
    // this thread has, and goes with it.
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                if !TRACEFS.iter().any(|path| Path::new(path).join("events").is_dir()) {
                    mount_tracefs().with_context(|| {
                        format!(
                            "cannot mount tracefs: mount it with `mount -t tracefs tracefs {}`",
                            TRACEFS[0]
                        )
                    })?;
                }
                attach()
            })
            .join()
            .unwrap_or_else(|_| anyhow::bail!("attaching the probes failed unexpectedly"))
    })
}

fn attach_all(ebpf: &mut Ebpf, flavour: Flavour) -> Result<()> {
    for (program, event) in [
        ("process_fork", "sched_process_fork"),
        ("process_exec", "sched_process_exec"),
        ("process_exit", "sched_process_exit"),
        ("socket_state", "inet_sock_set_state"),
        ("socket_destroy", "tcp_destroy_sock"),
    ] {
        raw(ebpf, program, event)?;
    }
    if let Err(error) = raw(ebpf, "ring_create", "io_uring_create") {
        tracing::info!(%error, "processes that use io_uring cannot be named on this kernel");
    }
    if flavour != Flavour::Calls {
        // What sockets move adds up: it is seen before anything is opened.
        typed(ebpf, "received")?;
        typed(ebpf, "sent")?;
    }
    if flavour == Flavour::Sends {
        typed(ebpf, "sending")?;
    }
    for name in ["accept", "accept4"] {
        system_call(ebpf, "accept_exit", "exit", name)?;
    }
    system_call(ebpf, "connect_enter", "enter", "connect")?;
    transfers(ebpf, |kind| flavour == Flavour::Calls || !call::is_evented(kind))?;
    if flavour == Flavour::Sockets {
        for call in
            arch::CALLS.iter().filter(|call| call::is_evented(call.kind) && !call::receives(call.kind))
        {
            system_call(ebpf, "send_enter", "enter", call.name)?;
        }
    }
    Ok(())
}

/// Hooks the calls of some kinds.
fn transfers(ebpf: &mut Ebpf, hooked: impl Fn(u8) -> bool) -> Result<()> {
    for call in arch::CALLS.iter().filter(|call| hooked(call.kind)) {
        system_call(ebpf, "transfer_exit", "exit", call.name)?;
    }
    for (program, name) in [("shutdown_enter", "shutdown"), ("close_enter", "close")] {
        if hooked(call::CLOSE) {
            system_call(ebpf, program, "enter", name)?;
        }
    }
    for call in arch::CALLS.iter().filter(|call| hooked(call.kind)) {
        system_call(ebpf, "transfer_enter", "enter", call.name)?;
    }
    Ok(())
}

fn raw(ebpf: &mut Ebpf, program: &str, event: &str) -> Result<()> {
    let found = ebpf.program_mut(program);
    let found: &mut RawTracePoint =
        found.with_context(|| format!("the BPF object has no program `{program}`"))?.try_into()?;
    found.attach(event).with_context(|| format!("cannot attach `{program}` to the tracepoint {event}"))?;
    Ok(())
}

/// Attaches a program to the tracepoint that it was loaded for.
fn typed(ebpf: &mut Ebpf, program: &str) -> Result<()> {
    let found = ebpf.program_mut(program);
    let found: &mut BtfTracePoint =
        found.with_context(|| format!("the BPF object has no program `{program}`"))?.try_into()?;
    found.attach().with_context(|| {
        format!("cannot attach `{program}` to the tracepoint {}", flavour::event(program))
    })?;
    Ok(())
}

fn system_call(ebpf: &mut Ebpf, program: &str, way: &str, name: &str) -> Result<()> {
    let event = format!("sys_{way}_{name}");
    system_call_program(ebpf, program)?
        .attach("syscalls", &event)
        .with_context(|| format!("cannot attach `{program}` to the tracepoint syscalls/{event}"))?;
    Ok(())
}

fn system_call_program<'a>(ebpf: &'a mut Ebpf, program: &str) -> Result<&'a mut TracePoint> {
    let found = ebpf.program_mut(program);
    Ok(found.with_context(|| format!("the BPF object has no program `{program}`"))?.try_into()?)
}

fn mount_tracefs() -> io::Result<()> {
    let check = |result: libc::c_int| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: all strings are literals that end with NUL; the namespace is this thread's alone.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        // Nothing that is mounted here may spread to the rest of the system.
        check(libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_REC | libc::MS_PRIVATE,
            std::ptr::null(),
        ))?;
        check(libc::mount(
            c"tracefs".as_ptr(),
            c"/sys/kernel/tracing".as_ptr(),
            c"tracefs".as_ptr(),
            0,
            std::ptr::null(),
        ))
    }
}

/// The threads that are inside a call that moves bytes and whose exit is hooked, as keys of the map `BLOCKED` (`tgid << 32 | tid`).
pub(super) fn threads_in_calls(flavour: Flavour) -> Vec<u64> {
    let own = std::process::id();
    let kinds = arch::kinds();
    let mut found = Vec::new();
    for process in numbers(Path::new("/proc")) {
        if process == own {
            continue;
        }
        let tasks = format!("/proc/{process}/task");
        for thread in numbers(Path::new(&tasks)) {
            // `running`, or the number and arguments of the call the thread is blocked in.
            let Ok(state) = fs::read_to_string(format!("{tasks}/{thread}/syscall")) else { continue };
            let number = state.split(' ').next().and_then(|number| number.parse::<usize>().ok());
            let kind = number.and_then(|number| kinds.get(number).copied());
            if kind.is_some_and(|kind| {
                kind != call::NONE && (flavour == Flavour::Calls || !call::is_evented(kind))
            }) {
                found.push(u64::from(process) << 32 | u64::from(thread));
            }
        }
    }
    found
}

/// Whether the thread of such a key still is.
pub(super) fn is_alive(thread: u64) -> bool {
    let (process, thread) = (thread >> 32, thread & u64::from(u32::MAX));
    Path::new(&format!("/proc/{process}/task/{thread}")).exists()
}

fn numbers(directory: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}
