//! Ids of the kernel side's counters. A number is never reused.

macro_rules! counters {
    ($($(#[$doc:meta])* $id:ident = $number:literal, $name:literal;)*) => {
        $($(#[$doc])* pub const $id: u32 = $number;)*
        /// Number of counters: the size of the per-CPU array.
        pub const COUNT: u32 = [$($number),*].len() as u32;
        /// Names of the counters by id, for logs and metrics.
        pub const NAMES: [&str; COUNT as usize] = [$($name),*];
        const _: () = { let ids = [$($number),*]; let mut i = 0; while i < ids.len() { assert!(ids[i] == i); i += 1; } };
    };
}

counters! {
    /// Records that did not fit the ring.
    RING_FULL = 0, "ring_full";
    /// Payload bytes in records that did not fit the ring.
    RING_FULL_BYTES = 1, "ring_full_bytes";
    /// Calls not followed because the table of calls in flight was full.
    INFLIGHT_FULL = 2, "inflight_full";
    /// Connections not followed because their table was full.
    CONNECTIONS_FULL = 3, "connections_full";
    /// Processes whose decision could not be stored.
    PROCESSES_FULL = 4, "processes_full";
    /// Connections left alone because their first bytes cannot be HTTP.
    NOT_HTTP = 5, "connections_not_http";
    /// Connections older than the agent that never showed a message start.
    NEVER_JUDGED = 6, "connections_never_judged";
    /// Bytes that passed a socket without a call that was seen (io_uring, aio, a missed call).
    UNSEEN_BYTES = 7, "unseen_bytes";
    /// Calls of several threads on one direction that could not be ordered.
    AMBIGUOUS_CALLS = 8, "ambiguous_calls";
    /// Bytes of such calls.
    AMBIGUOUS_BYTES = 9, "ambiguous_bytes";
    /// User memory that could not be read at the exit of a call.
    UNREADABLE = 10, "unreadable_user_memory";
    /// Kernel memory that could not be read.
    KERNEL_UNREADABLE = 11, "unreadable_kernel_memory";
    /// Bytes not copied because user space ordered them skipped (bodies).
    SKIPPED_BYTES = 12, "skipped_bytes";
    /// Bytes copied to user space.
    COPIED_BYTES = 13, "copied_bytes";
    /// Bytes beyond the copy limit of a call, or beyond the vectors that are walked.
    UNCOPIED_BYTES = 14, "uncopied_bytes";
    /// Exits whose entry was not seen: threads blocked when the agent attached.
    RECOVERED_CALLS = 15, "recovered_calls";
    /// Exits without a seen entry whose saved registers could not be read.
    UNRECOVERED_CALLS = 16, "unrecovered_calls";
    /// Data records submitted.
    DATA_RECORDS = 17, "data_records";
    /// Rings of io_uring created by traced processes.
    IO_URING = 18, "io_uring_rings";
    /// Calls whose exit was not seen.
    INFLIGHT_STALE = 19, "inflight_stale";
}
