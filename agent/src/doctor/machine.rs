//! What the kernel and the agent's rights allow.

use super::Check;
use crate::{
    privileges,
    process::{Root, namespace},
};

pub(super) fn checks(root: &Root, ring: u32) -> Vec<Check> {
    let mut checks = vec![capabilities(root), namespaces(root)];
    checks.push(Check::ok("kernel", format!("Linux {} ({})", release(root), std::env::consts::ARCH)));
    checks.push(types(root));
    checks.push(lockdown(root));
    checks.push(tracefs(root));
    checks.extend(locked_memory(root, ring));
    checks.extend(compiler(root));
    checks.extend(paranoia(root));
    checks.push(Check::note(
        "fentry",
        "the flavour `fentry`, which would also see io_uring, is not part of this version",
    ));
    checks
}

/// The kernel's own name of its version.
pub(super) fn release(root: &Root) -> String {
    root.text("proc/sys/kernel/osrelease")
        .map_or_else(|| "of unknown version".to_owned(), |text| text.trim().to_owned())
}

fn capabilities(root: &Root) -> Check {
    const NAME: &str = "privileges";
    let missing = privileges::explained(root);
    if missing.is_empty() {
        return Check::ok(NAME, "every capability that tracing needs is there");
    }
    Check::missing(
        NAME,
        format!("these capabilities are missing: {}", missing.join(", ")),
        "run spandrel as root (sudo spandrel ...), or grant the capabilities to its service or container",
    )
}

fn namespaces(root: &Root) -> Check {
    const NAME: &str = "namespaces";
    match namespace::check(root) {
        Ok(()) => Check::ok(NAME, "spandrel sees the whole machine (initial PID and user namespaces)"),
        Err(error) => {
            let text = error.to_string();
            let (finding, remedy) =
                text.split_once(": ").unwrap_or((&text, "run spandrel outside the container"));
            Check::missing(NAME, finding, remedy)
        }
    }
}

fn types(root: &Root) -> Check {
    const NAME: &str = "btf";
    if root.join("sys/kernel/btf/vmlinux").is_file() {
        return Check::ok(NAME, "the kernel describes its own types (/sys/kernel/btf/vmlinux)");
    }
    Check::missing(
        NAME,
        "/sys/kernel/btf/vmlinux does not exist: without it no structure of this kernel can be read",
        "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (Debian, Ubuntu, Fedora, RHEL 8.2 and later have it); in \
         a container, mount the host's /sys",
    )
}

fn lockdown(root: &Root) -> Check {
    const NAME: &str = "lockdown";
    let modes = root.text("sys/kernel/security/lockdown").unwrap_or_default();
    match modes.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map(|(mode, _)| mode) {
        Some("confidentiality") => Check::missing(
            NAME,
            "the kernel is locked down for confidentiality: BPF programs may not read its memory",
            "boot with lockdown=integrity or without lockdown",
        ),
        Some("none") => Check::ok(NAME, "the kernel is not locked down"),
        Some(mode) => {
            Check::ok(NAME, format!("the kernel is locked down for {mode}, which allows all that is needed"))
        }
        None => Check::ok(NAME, "the kernel reports no lockdown"),
    }
}

fn tracefs(root: &Root) -> Check {
    const NAME: &str = "tracefs";
    const MOUNT: &str = "mount -t tracefs tracefs /sys/kernel/tracing";
    for path in ["sys/kernel/tracing", "sys/kernel/debug/tracing"] {
        let events = root.join(path).join("events");
        if !events.is_dir() {
            continue;
        }
        if ["raw_syscalls/sys_enter", "sched/sched_process_exec"]
            .iter()
            .all(|event| events.join(event).is_dir())
        {
            return Check::ok(NAME, format!("tracepoints are listed in /{path}"));
        }
        return Check::missing(
            NAME,
            format!("/{path} has no tracepoints for system calls"),
            "boot a kernel built with CONFIG_FTRACE_SYSCALLS=y",
        );
    }
    let known = root.text("proc/filesystems").unwrap_or_default();
    let known = known.lines().any(|line| line.split_ascii_whitespace().last() == Some("tracefs"));
    match (known, privileges::may_mount(root)) {
        (true, true) => {
            Check::ok(NAME, "tracefs is not mounted; spandrel mounts it for itself when it starts")
        }
        (true, false) => {
            Check::missing(NAME, "tracefs is not mounted or may not be read", format!("as root: {MOUNT}"))
        }
        (false, _) => Check::missing(
            NAME,
            "this kernel has no tracefs",
            "boot a kernel built with CONFIG_TRACING=y and CONFIG_FTRACE_SYSCALLS=y",
        ),
    }
}

/// Before 5.11 BPF maps count against the limit of locked memory.
fn locked_memory(root: &Root, ring: u32) -> Option<Check> {
    const NAME: &str = "memory";
    let release = release(root);
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    if version >= (5, 11) || privileges::may_lock_memory(root) {
        return None;
    }
    // Twice the ring: the tables need about as much.
    let need = u64::from(ring) * 2;
    let limits = root.text("proc/self/limits")?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    let limit = limit.split_ascii_whitespace().next()?;
    let enough = limit == "unlimited" || limit.parse::<u64>().is_ok_and(|limit| limit >= need);
    Some(if enough {
        Check::ok(NAME, format!("{limit} bytes of memory may be locked"))
    } else {
        Check::missing(
            NAME,
            format!(
                "this kernel counts BPF memory as locked, of which {limit} bytes are allowed and {need} needed"
            ),
            "ulimit -l unlimited (systemd: LimitMEMLOCK=infinity), or grant CAP_SYS_RESOURCE",
        )
    })
}

fn compiler(root: &Root) -> Option<Check> {
    let setting = root.text("proc/sys/net/core/bpf_jit_enable")?;
    (setting.trim() == "0").then(|| {
        Check::note("jit", "BPF programs are interpreted, not compiled: tracing costs several times more")
            .with_remedy("sysctl net.core.bpf_jit_enable=1")
    })
}

/// Levels above 2 exist in some distributions' kernels only, which ask for more than `CAP_PERFMON`.
fn paranoia(root: &Root) -> Option<Check> {
    let level = root.text("proc/sys/kernel/perf_event_paranoid")?;
    let strict = level.trim().parse::<i32>().is_ok_and(|level| level > 2);
    (strict && !privileges::may_mount(root)).then(|| {
        let finding =
            format!("kernel.perf_event_paranoid is {}: attaching may ask for CAP_SYS_ADMIN", level.trim());
        Check::note("perf events", finding)
            .with_remedy("sysctl kernel.perf_event_paranoid=2, or grant CAP_SYS_ADMIN")
    })
}
