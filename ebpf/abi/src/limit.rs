//! Sizes that both sides must agree on, each with its reason.

/// Payload bytes that one data record can carry. Two pieces and a record header must fit a per-CPU
/// array value, which the kernel bounds at 32,768 bytes (`PCPU_MIN_UNIT_SIZE`).
pub const PIECE_MAX: usize = 16_128;

/// Largest copy limit per call that may be configured: four full pieces and a little.
pub const COPY_LIMIT_MAX: u32 = 64 * 1024;

/// Default copy limit per call: longer than any header block a server accepts by default.
pub const COPY_LIMIT_DEFAULT: u32 = 32 * 1024;

/// Bytes copied of one call where HTTP/2 frames are followed: content is left out there, and header blocks are whole.
pub const FRAMED_COPY_LIMIT: u32 = 1024 * 1024;

/// Bytes copied of one call where frames are searched: headers of several, of the longest payload that is usual.
pub const SEARCHED_COPY_LIMIT: u32 = 256 * 1024;

/// Calls of which that many are, for one order to do so.
pub const SEARCHED_CALLS: u8 = u8::MAX;

/// Longest Unix socket address (`sun_path`).
pub const UNIX_PATH_MAX: usize = 108;

/// Bytes of an executable's file name that an exec record carries.
pub const FILENAME_MAX: usize = 256;

/// Bytes of arguments that an exec record carries.
pub const ARGUMENTS_MAX: usize = 1024;

/// Bytes of `OTEL_*` variables that an exec record carries.
pub const ENVIRONMENT_MAX: usize = 2048;

/// Bytes at the start of a call that the kernel side looks at to decide that its connection cannot be HTTP. A longer
/// method leaves the question open.
pub const JUDGED_MAX: usize = 32;

/// Calls on a connection older than the agent that may pass without one that starts like a message,
/// before the connection is given up.
pub const UNJUDGED_CALLS_MAX: u16 = 256;

/// System call numbers that the kind table spans. The numbers of x86-64 and arm64 end below 512.
pub const SYSCALLS_MAX: usize = 512;
