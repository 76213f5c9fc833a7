//! The records in the ring.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::{conn::ConnectionId, limit};

/// The kind of a record. Numbers, not an enum: the ring's bytes are checked before they are believed.
pub type Kind = u16;
/// Numbers of the record kinds.
pub mod kind {
    use super::Kind;
    /// [`super::OpenRecord`]: a connection, before its first data; again when more became known of it.
    pub const OPEN: Kind = 1;
    /// [`super::DataRecord`] and the copied bytes.
    pub const DATA: Kind = 2;
    /// [`super::EndRecord`]: a direction or the connection ended.
    pub const END: Kind = 3;
    /// [`super::ProcessRecord`], the file name, the arguments and the environment: an image started.
    pub const EXEC: Kind = 4;
    /// [`super::ProcessRecord`]: a process was created; `parent` is its creator.
    pub const FORK: Kind = 5;
    /// [`super::ProcessRecord`]: the last thread of a process ended.
    pub const EXIT: Kind = 6;
    /// [`super::ProcessRecord`]: an unknown process used a socket.
    pub const SEEN: Kind = 7;
    /// [`super::ProcessRecord`]: the process created an io_uring, whose transfers pass unseen.
    pub const IO_URING: Kind = 8;
    /// [`super::QuietRecord`]: frames of HTTP/2 passed without records of their own.
    pub const QUIET: Kind = 9;
}

/// What every record starts with.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct RecordHeader {
    pub kind: Kind,
    /// Per kind; see [`data_flag`].
    pub flags: u16,
    /// Bytes of the whole record, this header included.
    pub length: u32,
    /// When the record was made: for data, the exit of the call.
    pub time: u64,
}
const _: () = assert!(size_of::<RecordHeader>() == 16);

/// A connection appeared.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct OpenRecord {
    pub header: RecordHeader,
    pub conn: ConnectionId,
    /// The process that made the call which showed the connection.
    pub tgid: u32,
    pub tid: u32,
    /// Inode of the network namespace.
    pub netns: u32,
    /// `AF_INET`, `AF_INET6` or `AF_UNIX`.
    pub family: u16,
    /// [`crate::conn::flag`]s.
    pub flags: u16,
    /// In network order; IPv4 in the first four bytes.
    pub local_address: [u8; 16],
    pub remote_address: [u8; 16],
    /// In host order.
    pub local_port: u16,
    pub remote_port: u16,
    /// `sk_protocol`: 6 TCP, 262 MPTCP, 0 Unix.
    pub protocol: u16,
    /// [`crate::conn::role`].
    pub role: u8,
    /// Bytes of `path` that are valid.
    pub path_length: u8,
    /// Initial sequence numbers, valid with [`crate::conn::flag::ISN_KNOWN`].
    pub isn_sent: u32,
    pub isn_received: u32,
    /// Unix: the peer's `struct sock`, or 0.
    pub peer_sock: u64,
    /// Unix: the address bound on either end (`sun_path`; abstract names start with NUL).
    pub path: [u8; limit::UNIX_PATH_MAX],
    pub padding: [u8; 4],
}
const _: () = assert!(size_of::<OpenRecord>() == 216);

/// Flags of a data record.
pub mod data_flag {
    /// The entry of the call was not seen: `enter` equals the exit time.
    pub const ENTRY_UNSEEN: u16 = 1;
    /// Calls overlapped: the bytes of this call lie somewhere up to `position + covered`, in unknown
    /// order; none are copied.
    pub const AMBIGUOUS: u16 = 1 << 1;
    /// The call moves bytes that cannot be copied (sendfile, splice, MSG_TRUNC).
    pub const UNCOPYABLE: u16 = 1 << 2;
    /// User memory could not be read.
    pub const UNREADABLE: u16 = 1 << 3;
    /// The kernel side knows where the HTTP/2 frames of this direction begin: content of DATA may be left out
    /// without a record, and `frame` is valid.
    pub const FRAMED: u16 = 1 << 4;
}

/// A piece of the bytes that one call moved. `copied` bytes follow the record.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct DataRecord {
    pub header: RecordHeader,
    pub conn: ConnectionId,
    /// When the call was entered.
    pub enter: u64,
    /// What executes the code: the thread id until an adapter knows better.
    pub task: u64,
    /// Stream position of the piece's first byte; 0 is the first byte of the connection if its opening
    /// was seen or its initial sequence numbers are known, else the first byte seen.
    pub position: u64,
    pub tgid: u32,
    pub tid: u32,
    /// Bytes that the whole call moved.
    pub call_length: u32,
    /// Offset of this piece in the call; 0 marks the first byte of a call.
    pub call_offset: u32,
    /// Bytes of the stream that the piece stands for, from `position`.
    pub covered: u32,
    /// Of these, bytes that are copied behind the record; the rest is a gap.
    pub copied: u32,
    /// [`crate::conn::direction`].
    pub direction: u8,
    pub padding: [u8; 3],
    /// Offset from `position` of the first frame header that begins in the copied bytes, or [`NO_FRAME`]; valid with
    /// [`data_flag::FRAMED`].
    pub frame: u32,
}
const _: () = assert!(size_of::<DataRecord>() == 88);

/// Value of [`DataRecord::frame`].
pub const NO_FRAME: u32 = u32::MAX;

/// Frames of HTTP/2 that passed in a row without records of their own, since they tell nothing: WINDOW_UPDATE, PING and
/// PRIORITY, and DATA of one stream that neither ends it nor is padded. Made before the record of what follows them, and
/// before that of the end of their direction, which may have cut the last one off.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct QuietRecord {
    pub header: RecordHeader,
    pub conn: ConnectionId,
    /// Stream position of the first one's header.
    pub position: u64,
    pub tgid: u32,
    pub tid: u32,
    /// Bytes of all of them.
    pub length: u32,
    /// Of these, the content of `stream`.
    pub content: u32,
    /// The stream of the DATA frames, 0 if there are none.
    pub stream: u32,
    /// [`crate::conn::direction`].
    pub direction: u8,
    pub padding: [u8; 3],
}
const _: () = assert!(size_of::<QuietRecord>() == 64);

/// How a connection or a direction ended.
pub mod end {
    /// A read returned 0: the peer sent all it had to send.
    pub const EOF: u8 = 1;
    /// `shutdown` for writing: we sent all we had to send.
    pub const SHUTDOWN: u8 = 2;
    /// The socket was closed in good order.
    pub const CLOSED: u8 = 3;
    /// The socket ended with an error; see `error`.
    pub const FAILED: u8 = 4;
    /// Found gone by a sweep; when it ended is not known.
    pub const SWEPT: u8 = 5;
    /// A call failed with an error; see `error`. The connection may live on.
    pub const CALL_FAILED: u8 = 6;
}

/// A direction or a whole connection ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct EndRecord {
    pub header: RecordHeader,
    pub conn: ConnectionId,
    pub tgid: u32,
    pub tid: u32,
    /// Stream positions by direction when it ended, as far as they are known.
    pub positions: [u64; 2],
    /// `sk_err` or the call's errno, positive; 0 if none.
    pub error: u32,
    /// Bit mask: 1 << [`crate::conn::direction`]; both bits for the connection.
    pub directions: u8,
    /// See [`end`].
    pub how: u8,
    pub padding: [u8; 2],
}
const _: () = assert!(size_of::<EndRecord>() == 64);

/// Something happened to a process. For [`kind::EXEC`] three areas follow: the file name
/// ([`limit::FILENAME_MAX`] bytes), the arguments ([`limit::ARGUMENTS_MAX`]) and the environment
/// ([`limit::ENVIRONMENT_MAX`] and more).
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcessRecord {
    pub header: RecordHeader,
    pub tgid: u32,
    /// The creating process (fork) or the parent (exec).
    pub parent: u32,
    /// Effective user and group.
    pub uid: u32,
    pub gid: u32,
    /// Id of the cgroup in the v2 tree.
    pub cgroup: u64,
    /// Inodes of the namespaces.
    pub pid_namespace: u32,
    pub mount_namespace: u32,
    pub network_namespace: u32,
    /// The process id inside its own PID namespace.
    pub inner_tgid: u32,
    /// Valid bytes of each area: file name (one string), arguments and `OTEL_*` variables (NUL-separated).
    pub filename_length: u16,
    pub arguments_length: u16,
    pub environment_length: u16,
    /// Of the image that runs since then ([`crate::process::table::generation`]); 0 in records that announce none.
    pub generation: u8,
    pub padding: u8,
}
const _: () = assert!(size_of::<ProcessRecord>() == 64);
