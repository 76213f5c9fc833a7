//! Whether the agent sees the whole machine: the kernel side speaks of processes by their ids in the initial
//! PID namespace, and BPF asks for capabilities in the initial user namespace.

use super::Root;

/// `PROC_PID_INIT_INO` of `include/linux/proc_ns.h`: the inode of the initial PID namespace, an ABI constant.
const INITIAL_PID: u32 = 0xEFFF_FFFC;
/// `PROC_USER_INIT_INO`.
const INITIAL_USER: u32 = 0xEFFF_FFFD;

/// Why the agent cannot work where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NamespaceError {
    #[error(
        "spandrel runs in a PID namespace of its own (pid:[{0}]) and would take the kernel's process ids for \
         others: run the container with --pid=host (Kubernetes: hostPID: true)"
    )]
    Pid(u32),
    #[error(
        "spandrel runs in a user namespace of its own (user:[{0}]), in which the kernel refuses BPF whatever \
         the capabilities: run it outside, as the machine's root (not rootless, no userns remapping)"
    )]
    User(u32),
    #[error("/proc/self/ns/{0} cannot be read: is /proc mounted?")]
    Unreadable(&'static str),
}

/// Refuses any but the initial PID and user namespaces.
pub fn check(root: &Root) -> Result<(), NamespaceError> {
    match root.namespace("self", "pid") {
        Some(INITIAL_PID) => {}
        Some(inode) => return Err(NamespaceError::Pid(inode)),
        None => return Err(NamespaceError::Unreadable("pid")),
    }
    match root.namespace("self", "user") {
        Some(INITIAL_USER) => Ok(()),
        Some(inode) => Err(NamespaceError::User(inode)),
        // A kernel without user namespaces has no such link.
        None => Ok(()),
    }
}
