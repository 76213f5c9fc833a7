//! What identifies a connection, and what the kernel side keeps about one.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A socket. The address of `struct sock` alone is reused by the allocator and the inode alone would not
/// be found at TCP's end of life, so a connection is both.
#[repr(C)]
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    FromBytes,
    IntoBytes,
    Immutable,
    KnownLayout,
)]
pub struct ConnectionId {
    /// Address of `struct sock`: an opaque number.
    pub sock: u64,
    /// Inode number in sockfs: joins with `/proc/PID/fd` and sock_diag.
    pub inode: u64,
}
const _: () = assert!(size_of::<ConnectionId>() == 16);

/// Direction of bytes, as the owner of the socket sees it.
pub mod direction {
    /// Bytes that the process read.
    pub const RECEIVED: u8 = 0;
    /// Bytes that the process wrote.
    pub const SENT: u8 = 1;
}

/// How the socket came to be connected.
pub mod role {
    /// Not seen: the connection is older than the agent, or came from `socketpair`.
    pub const UNKNOWN: u8 = 0;
    /// By `connect`.
    pub const CONNECTED: u8 = 1;
    /// By `accept`.
    pub const ACCEPTED: u8 = 2;
}

/// What the kernel side thinks of a connection.
pub mod verdict {
    /// Too few bytes to tell.
    pub const UNDECIDED: u8 = 0;
    /// May be HTTP: records are made.
    pub const CANDIDATE: u8 = 1;
    /// Not HTTP, or user space ordered it ignored: no records.
    pub const IGNORED: u8 = 2;
}

/// Flags of [`Connection::flags`] and [`crate::OpenRecord::flags`].
pub mod flag {
    /// `connect` or `accept` was seen: positions start at the first byte of the connection.
    pub const FROM_OPENING: u16 = 1;
    /// Both initial sequence numbers are known.
    pub const ISN_KNOWN: u16 = 1 << 1;
    /// Positions come from TCP's sequence counters; otherwise they are counted call by call.
    pub const SEQUENCED: u16 = 1 << 2;
    /// The open record was submitted.
    pub const ANNOUNCED: u16 = 1 << 3;
    /// The announced record had the initial sequence numbers.
    pub const ISN_ANNOUNCED: u16 = 1 << 4;
    /// The received half's `sequence` is known.
    pub const BASED_RECEIVED: u16 = 1 << 5;
    /// The sent half's `sequence` is known.
    pub const BASED_SENT: u16 = 1 << 6;
    /// The end of the connection was reported; nothing more is.
    pub const ENDED: u16 = 1 << 7;
}

/// The state of one direction in the kernel side's table.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Half {
    /// Stream position of the next byte.
    pub position: u64,
    /// Bytes below this position are body: counted, not copied. Set by [`crate::order`].
    pub skip_until: u64,
    /// TCP sequence number of position 0; never changes once known.
    pub sequence: u32,
    /// Entries into calls on this direction; tells whether calls overlapped where nothing else does. Where calls on TCP
    /// are seen at their end alone: the bytes that they moved, added up from `sequence`.
    pub entries: u32,
    /// Calls on this direction between entry and exit. There: the last sum that was equal to the socket's own counter.
    pub active: u32,
    /// Where judging stands while the verdict is open; opaque.
    pub judged: u32,
    /// Stream position where the next HTTP/2 frame header begins or goes on, or [`frame::UNKNOWN`].
    pub frame_at: u64,
    /// The bytes of that header that passed, most significant first, and how many they are.
    pub frame_word: u32,
    pub frame_have: u8,
    /// Of the frame that reaches up to `frame_at`: [`frame::NOT_DATA`], [`frame::QUIET`], or how many bytes of its content
    /// were copied.
    pub frame_kept: u8,
    /// Calls of which more is copied, since frames are searched. Set by [`crate::order`].
    pub searched_calls: u8,
    pub padding: u8,
    /// The stream whose DATA makes no records, 0 if there is none. Set by [`crate::order`].
    pub quiet_stream: u32,
    /// Bytes of the quiet frames up to `frame_at` of which no record was made yet ([`crate::QuietRecord`]), the content
    /// among them, and its stream.
    pub quiet_length: u32,
    pub quiet_content: u32,
    pub quiet_content_of: u32,
}
const _: () = assert!(size_of::<Half>() == 64);

/// Where the frames of HTTP/2 begin (RFC 9113, 4.1), as far as the kernel side knows.
pub mod frame {
    /// Value of [`super::Half::frame_at`]: the direction is copied as it comes.
    pub const UNKNOWN: u64 = u64::MAX;
    /// Value of [`super::Half::frame_kept`]: the frame is copied whole.
    pub const NOT_DATA: u8 = u8::MAX;
    /// Value of [`super::Half::frame_kept`]: nothing of the frame is copied, and its end tells nothing.
    pub const QUIET: u8 = u8::MAX - 1;
    /// Bytes of a frame header.
    pub const HEADER: u32 = 9;
    /// Bytes of a DATA frame's content that are copied: the prefix of a gRPC message, behind a length of padding.
    pub const KEPT: u32 = 32;
    /// No more than this is not left out: short messages of gRPC share a frame, and are counted by their prefixes.
    pub const LEFT_OUT_MIN: u32 = 4096;
}

/// A connection in the kernel side's table, keyed by `struct sock`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Connection {
    pub inode: u64,
    /// By [`direction`].
    pub halves: [Half; 2],
    /// Initial sequence numbers by [`direction`], valid with [`flag::ISN_KNOWN`].
    pub isn: [u32; 2],
    pub flags: u16,
    /// Address family (`AF_INET`, `AF_INET6`, `AF_UNIX`).
    pub family: u16,
    /// Calls seen while [`verdict::UNDECIDED`].
    pub calls: u16,
    /// See [`role`].
    pub role: u8,
    /// See [`verdict`].
    pub verdict: u8,
    /// `sk_protocol`.
    pub protocol: u16,
    pub padding: [u8; 2],
    /// The thread for which the socket has begun to send, 0 if there is none, and when it began.
    pub sender: u32,
    pub sender_since: u64,
}
const _: () = assert!(size_of::<Connection>() == 168);
