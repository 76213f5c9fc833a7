//! Programs that run now and cannot be traced, or not wholly, or are left to trace themselves.

use super::{Check, instrumented};
use crate::{
    privileges,
    process::{Root, Seen, is_32_bit},
};

/// Names that are listed; the rest is counted.
const LISTED: usize = 5;

/// `seen`: what an agent saw sending traces.
pub(super) fn checks(root: &Root, seen: &Result<Vec<Seen>, String>) -> Vec<Check> {
    if !privileges::may_look_at_processes(root) {
        let unknown = |name| {
            Check::note(name, "not looked at: without CAP_SYS_PTRACE the programs of others cannot be")
        };
        return vec![unknown("32-bit"), unknown("io_uring"), unknown("instrumented")];
    }
    let (mut old, mut rings) = (Vec::new(), Vec::new());
    let pids = root.pids();
    for &pid in &pids {
        if is_32_bit(&root.of(pid, "exe")) {
            old.push(pid);
        }
        if root.uses_io_uring(pid) {
            rings.push(pid);
        }
    }
    let mut checks = vec![
        match list(root, &old) {
            None => Check::ok("32-bit", "no 32-bit program runs"),
            Some(names) => Check::note("32-bit", format!("32-bit programs are not traced: {names}"))
                .with_remedy("install their 64-bit builds"),
        },
        match list(root, &rings) {
            None => Check::ok("io_uring", "no program uses io_uring"),
            Some(names) => Check::note(
                "io_uring",
                format!("bytes that go through io_uring are not seen and are counted as gaps: {names}"),
            )
            .with_remedy("if a program's requests are missing, configure it not to use io_uring"),
        },
        instrumented_check(root, &pids, seen.as_deref().unwrap_or_default()),
    ];
    if let Err(why) = seen {
        checks.push(Check::note("status", format!("which programs an agent saw sending traces: {why}")));
    }
    checks
}

fn instrumented_check(root: &Root, pids: &[u32], seen: &[Seen]) -> Check {
    let seen = instrumented::running(root, seen);
    let mut seeming = instrumented::find(root, pids);
    seeming.retain(|pid| !seen.contains(pid));
    let seen = list(root, &seen).map(|names| {
        format!(
            "these were seen to send traces themselves; their spans are left to them, unless \
             `instrumented: both` is configured: {names}"
        )
    });
    let seeming = list(root, &seeming).map(|names| {
        format!(
            "these seem to send traces themselves (connected to port 4317 or 4318, or \
             OTEL_EXPORTER_OTLP_ENDPOINT is set); once they are seen to, their spans are left to them: {names}"
        )
    });
    let findings: Vec<String> = seen.into_iter().chain(seeming).collect();
    if findings.is_empty() {
        return Check::ok("instrumented", "no program seems to send traces itself");
    }
    Check::note("instrumented", findings.join("; "))
        .with_remedy("to have spans of both, configure `instrumented: both`")
}

/// `name (pid), ... and 3 more`.
fn list(root: &Root, pids: &[u32]) -> Option<String> {
    let name = |pid: &u32| {
        let path = root.executable(*pid).unwrap_or_default();
        format!("{} ({pid})", path.rsplit('/').next().unwrap_or_default())
    };
    let names: Vec<String> = pids.iter().take(LISTED).map(name).collect();
    let more = pids.len().saturating_sub(LISTED);
    match (names.is_empty(), more) {
        (true, _) => None,
        (false, 0) => Some(names.join(", ")),
        (false, more) => Some(format!("{} and {more} more", names.join(", "))),
    }
}
