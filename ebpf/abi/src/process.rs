//! What the kernel side knows about a process.

/// The table of processes is an array of words that user space maps: a byte for each process id. Both sides change
/// a byte by one store, so that neither disturbs its neighbours.
///
/// The low two bits are the decision. The others count the images that were started under the id
/// ([`generation`](table::generation)): user space decides about an image some milliseconds after its start, when the
/// next one may run already.
pub mod table {
    /// Process ids in a word.
    pub const IN_WORD: u32 = 8;
    const DECISION: u8 = 3;

    /// The decision; `None`: the process is not known.
    pub const fn decision(byte: u8) -> Option<u32> {
        (byte as u32 & DECISION as u32).checked_sub(1)
    }

    /// Which of the images it is about, modulo 64.
    pub const fn generation(byte: u8) -> u8 {
        byte >> 2
    }

    /// The byte with a decision about the same image.
    pub const fn decided(byte: u8, decision: u32) -> u8 {
        byte & !DECISION | (decision as u8 + 1) & DECISION
    }

    /// The byte with a decision about the next image.
    pub const fn next(byte: u8, decision: u32) -> u8 {
        decided(byte, decision).wrapping_add(DECISION + 1)
    }

    /// The byte of a process that ended.
    pub const fn forgotten(byte: u8) -> u8 {
        byte & !DECISION
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
