//! The capabilities that tracing needs, and which of them the agent does not have.

use crate::process::Root;

/// A capability, and what it is for.
struct Need {
    name: &'static str,
    purpose: &'static str,
    /// Numbers of `include/uapi/linux/capability.h`: any one of them does.
    any_of: &'static [u32],
}

const DAC_OVERRIDE: u32 = 1;
const DAC_READ_SEARCH: u32 = 2;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;
const SYS_RESOURCE: u32 = 24;
const PERFMON: u32 = 38;
const BPF: u32 = 39;

const NEEDS: &[Need] = &[
    Need { name: "CAP_BPF", purpose: "load BPF programs", any_of: &[BPF, SYS_ADMIN] },
    Need {
        name: "CAP_PERFMON",
        purpose: "attach them to the kernel's tracepoints",
        any_of: &[PERFMON, SYS_ADMIN],
    },
    Need { name: "CAP_SYS_PTRACE", purpose: "look at the processes of others", any_of: &[SYS_PTRACE] },
    Need {
        name: "CAP_DAC_READ_SEARCH",
        purpose: "read tracefs and the executables of others",
        any_of: &[DAC_READ_SEARCH, DAC_OVERRIDE],
    },
];

/// What is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("tracing needs capabilities that spandrel does not have: {}. Run it as root (sudo spandrel ...)", .0.join(", "))]
pub struct MissingCapabilities(pub Vec<&'static str>);

/// Refuses with the list of what is missing: before anything else is tried.
pub fn check() -> Result<(), MissingCapabilities> {
    let missing = missing();
    if missing.is_empty() { Ok(()) } else { Err(MissingCapabilities(missing)) }
}

/// The capabilities that this process does not have.
pub fn missing() -> Vec<&'static str> {
    missing_in(&Root::new("/")).map(|need| need.name).collect()
}

/// [`missing`] with the file system tree as an argument, each with what it is for.
pub(crate) fn explained(root: &Root) -> Vec<String> {
    missing_in(root).map(|need| format!("{} (to {})", need.name, need.purpose)).collect()
}

/// Whether the files of other users' processes can be read.
pub(crate) fn may_look_at_processes(root: &Root) -> bool {
    effective(root) & bit(SYS_PTRACE) != 0
}

/// Whether the limit of locked memory can be raised: needed before Linux 5.11 only.
pub(crate) fn may_lock_memory(root: &Root) -> bool {
    effective(root) & bit(SYS_RESOURCE) != 0
}

/// Whether the file systems of the kernel can be mounted.
pub(crate) fn may_mount(root: &Root) -> bool {
    effective(root) & bit(SYS_ADMIN) != 0
}

fn missing_in(root: &Root) -> impl Iterator<Item = &'static Need> {
    let effective = effective(root);
    NEEDS.iter().filter(move |need| !need.any_of.iter().any(|&number| effective & bit(number) != 0))
}

fn bit(number: u32) -> u64 {
    1 << number
}

/// The effective set of this process (proc_pid_status(5)); none if it cannot be read.
fn effective(root: &Root) -> u64 {
    let status = root.text("proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    set.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(effective: u64) -> Vec<&'static str> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("proc/self")).unwrap();
        let status = format!("Name:\tspandrel\nCapPrm:\tffffffffffffffff\nCapEff:\t{effective:016x}\n");
        std::fs::write(root.path().join("proc/self/status"), status).unwrap();
        missing_in(&Root::new(root.path())).map(|need| need.name).collect()
    }

    #[test]
    fn exactly_what_is_missing_is_named() {
        let all = ["CAP_BPF", "CAP_PERFMON", "CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"];
        assert_eq!(missing(0), all);
        assert!(missing(u64::MAX).is_empty());
        let least = bit(BPF) | bit(PERFMON) | bit(SYS_PTRACE) | bit(DAC_READ_SEARCH);
        assert!(missing(least).is_empty());
        assert_eq!(missing(least & !bit(PERFMON)), ["CAP_PERFMON"]);
        assert_eq!(missing(bit(SYS_ADMIN)), ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"]);
    }

    #[test]
    fn without_proc_nothing_is_granted() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(explained(&Root::new(root.path())).len(), NEEDS.len());
    }

    #[test]
    fn the_message_says_what_to_do() {
        let message = MissingCapabilities(vec!["CAP_BPF", "CAP_PERFMON"]).to_string();
        assert!(message.contains("CAP_BPF, CAP_PERFMON") && message.contains("sudo"), "{message}");
    }
}
