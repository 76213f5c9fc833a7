//! How the bytes that calls move are seen, by what the running kernel offers.

use aya::{programs::ProgramType, sys::BpfHelper};

use super::{arch, btf::Btf};

/// How the bytes that calls move are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// At the entries and exits of system calls.
    Calls,
    /// By the tracepoints of sockets (`ebpf/src/hook/moved.rs`).
    Sockets,
    /// The same, and by one that tells when TCP begins to send.
    Sends,
}

impl Flavour {
    /// The programs of the others, which this one does without.
    pub(super) fn without(self) -> &'static [&'static str] {
        match self {
            Self::Calls => &["received", "sent", "sending", "send_enter"],
            Self::Sockets => &["sending"],
            Self::Sends => &["send_enter"],
        }
    }

    /// Its name, for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Calls => "syscall",
            Self::Sockets | Self::Sends => "socket",
        }
    }
}

/// A flavour, and why it is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    pub flavour: Flavour,
    pub reason: &'static str,
}

/// The tracepoint of a program that is told the kernel's types.
pub(super) fn event(program: &str) -> &'static str {
    match program {
        "received" => "sock_recv_length",
        "sent" => "sock_send_length",
        _ => "tcp_sendmsg_locked",
    }
}

/// Chooses for the running kernel. Nothing is told by its version.
pub(super) fn choose(btf: &Btf<'_>, system_calls: bool) -> Choice {
    if system_calls {
        return Choice { flavour: Flavour::Calls, reason: "it was asked for" };
    }
    let helpers = [BpfHelper::BPF_FUNC_get_current_task_btf, BpfHelper::BPF_FUNC_task_pt_regs];
    let helpers = helpers
        .into_iter()
        .all(|helper| aya::sys::is_helper_supported(ProgramType::RawTracePoint, helper).unwrap_or(false));
    by(btf, helpers)
}

fn by(btf: &Btf<'_>, helpers: bool) -> Choice {
    let calls = |reason| Choice { flavour: Flavour::Calls, reason };
    if !arch::SOCKETS_TELL {
        return calls("what sockets tell is not enough on this architecture");
    }
    if !btf.has_tracepoint("sock_recv_length") || !btf.has_tracepoint("sock_send_length") {
        return calls("this kernel has no tracepoints that tell what sockets move");
    }
    if btf.offset("proto_ops", "sendpage").is_ok() {
        return calls("on this kernel sendfile passes by the sockets' tracepoints");
    }
    if !helpers {
        return calls(
            "on this kernel programs at the sockets' tracepoints cannot ask for the call they are in",
        );
    }
    if runs_preemptible(btf) {
        return calls(
            "on this kernel programs at the sockets' tracepoints can be interrupted by each other, and lose runs",
        );
    }
    if btf.has_tracepoint("tcp_sendmsg_locked") {
        return Choice {
            flavour: Flavour::Sends,
            reason: "this kernel's sockets tell when they begin to send and what they move",
        };
    }
    Choice { flavour: Flavour::Sockets, reason: "this kernel's sockets tell what they move" }
}

/// Whether programs at tracepoints run with preemption enabled: their tables are then protected by an SRCU of their
/// own. The one of the same name on older kernels was for idle processors; it went when tracepoints got an extension,
/// and came back with another purpose.
fn runs_preemptible(btf: &Btf<'_>) -> bool {
    btf.has_structure("tracepoint_ext") && btf.has_variable("tracepoint_srcu_srcu_data")
}
