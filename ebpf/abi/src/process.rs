//! What the kernel side knows about a process.

/// Decisions in the table of processes.
pub mod decision {
    /// Not decided: records are made, user space holds them.
    pub const UNDECIDED: u32 = 0;
    /// Traced.
    pub const TRACE: u32 = 1;
    /// Not traced: no records.
    pub const SKIP: u32 = 2;
}
