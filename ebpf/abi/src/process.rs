//! What the kernel side knows about a process.

/// The table of processes is an array of words that user space maps: a byte for each process id. Both sides change
/// a byte by one store, so that neither disturbs its neighbours.
pub mod table {
    /// Process ids in a word.
    pub const IN_WORD: u32 = 8;
    /// The byte of a process that is not known.
    pub const UNKNOWN: u8 = 0;

    /// The byte that stands for a decision.
    pub const fn byte(decision: u32) -> u8 {
        decision as u8 + 1
    }
}

/// Decisions in the table of processes.
pub mod decision {
    /// Not decided: records are made, user space holds them.
    pub const UNDECIDED: u32 = 0;
    /// Traced.
    pub const TRACE: u32 = 1;
    /// Not traced: no records.
    pub const SKIP: u32 = 2;
}
