//! Why a hook did not do its work: each variant is a counter.

use abi::counter;

/// An error of a hook.
#[derive(Clone, Copy)]
pub(crate) enum ProbeError {
    /// Kernel memory could not be read.
    Kernel,
    /// User memory could not be read.
    User,
    /// The table of calls in flight is full.
    InflightFull,
    /// The table of connections is full.
    ConnectionsFull,
    /// The table of processes is full.
    ProcessesFull,
    /// The saved registers of a blocked call could not be read.
    Registers,
    /// A per-CPU buffer is missing: cannot happen, but the verifier wants to hear it.
    Scratch,
}

impl ProbeError {
    pub(crate) fn counter(self) -> u32 {
        match self {
            Self::Kernel | Self::Scratch => counter::KERNEL_UNREADABLE,
            Self::User => counter::UNREADABLE,
            Self::InflightFull => counter::INFLIGHT_FULL,
            Self::ConnectionsFull => counter::CONNECTIONS_FULL,
            Self::ProcessesFull => counter::PROCESSES_FULL,
            Self::Registers => counter::UNRECOVERED_CALLS,
        }
    }
}
