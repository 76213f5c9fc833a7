//! Event: a record decoded and checked. Nothing after this stage knows the kernel's layout.
//!
//! In: the bytes of one record. Out: an [`Event`] that borrows the copied payload, or a [`DecodeError`].

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use abi::{
    DataRecord, EndRecord, OpenRecord, ProcessRecord, QuietRecord, RecordHeader,
    conn::{direction, flag, role},
    limit,
    record::{data_flag, end, kind},
};
use zerocopy::FromBytes;

pub use abi::ConnectionId;

const AF_UNIX: u16 = 1;
const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Kernel time: nanoseconds of `CLOCK_MONOTONIC`.
pub type Time = u64;

/// What executes code on behalf of a request: a thread id, until an adapter supplies something finer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    pub tgid: u32,
    pub id: u64,
}

/// Direction of bytes, as the owner of the socket sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    Received,
    Sent,
}

impl Direction {
    pub fn opposite(self) -> Self {
        match self {
            Self::Received => Self::Sent,
            Self::Sent => Self::Received,
        }
    }
}

/// How the socket came to be connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// By `connect`: requests are sent.
    Connected,
    /// By `accept`: requests are received.
    Accepted,
    /// Not seen; the first message tells.
    Unknown,
}

/// One end of a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    Ip(SocketAddr),
    /// A Unix socket address; empty if unnamed; abstract names start with NUL.
    Unix(Box<[u8]>),
}

/// A call that moved bytes, as one data event shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    pub enter: Time,
    pub exit: Time,
    pub tid: u32,
    pub task: Task,
}

/// A connection appeared, or more became known of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    pub time: Time,
    pub conn: ConnectionId,
    pub tgid: u32,
    pub netns: u32,
    pub role: Role,
    /// The opening was seen: position 0 is the first byte of the connection.
    pub from_opening: bool,
    /// Initial sequence numbers (sent, received) of a TCP connection.
    pub sequence: Option<(u32, u32)>,
    pub local: Endpoint,
    pub remote: Endpoint,
    /// Unix: the peer's socket.
    pub peer_sock: Option<u64>,
}

/// Bytes moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'a> {
    pub conn: ConnectionId,
    pub call: Call,
    pub direction: Direction,
    /// Stream position of `bytes[0]`.
    pub position: u64,
    pub bytes: &'a [u8],
    /// Bytes behind `bytes` that passed without a copy: a gap of this size.
    pub gap: u64,
    /// Offset of `bytes[0]` in the call. What the same call moved before it was recorded before it, or never will be.
    pub call_offset: u64,
    /// Calls overlapped: where these bytes lie is not certain, so all of them are gap.
    pub ambiguous: bool,
    pub framing: Framing,
}

/// What the kernel side knows of HTTP/2 frames in the bytes of one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Nothing: they were copied as they came.
    #[default]
    Unknown,
    /// It follows the frames, and leaves out content of DATA; none begins in the bytes.
    Inside,
    /// It follows them, and the first that begins in the bytes does so at this stream position.
    From(u64),
    /// It follows them, and has seen what passed without a copy.
    Quiet(Quiet),
}

/// Whole frames of HTTP/2, the last of which may be cut off by the end of its direction, that passed without a copy, since
/// they tell nothing: none of them begins, ends or resets a stream, or changes what another means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quiet {
    /// The stream of those that are DATA, 0 if none is.
    pub stream: u32,
    /// Bytes of their content.
    pub content: u64,
}

/// How a direction or connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The peer sent all it had to send (a read returned 0).
    Eof,
    /// We sent all we had to send (`shutdown`).
    Shutdown,
    /// Closed in good order.
    Closed,
    /// Ended with an errno (`ECONNRESET`, `ETIMEDOUT`, `EPIPE`, ...).
    Failed(u32),
    /// Found gone; when it ended is not known.
    Swept,
    /// A call failed with this errno; the connection may live on.
    CallFailed(u32),
}

/// A direction or a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    pub time: Time,
    pub conn: ConnectionId,
    pub tgid: u32,
    /// `None`: the whole connection.
    pub direction: Option<Direction>,
    pub how: How,
    /// Final positions (received, sent) as far as the kernel side knows.
    pub positions: (u64, u64),
}

/// A process started an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exec<'a> {
    pub process: Process,
    pub filename: &'a [u8],
    /// NUL-separated, cut at a bound.
    pub arguments: &'a [u8],
    /// `OTEL_*` variables, NUL-separated.
    pub environment: &'a [u8],
}

/// What a process record says of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    pub time: Time,
    pub tgid: u32,
    pub parent: u32,
    pub uid: u32,
    pub gid: u32,
    pub cgroup: u64,
    pub pid_namespace: u32,
    pub mount_namespace: u32,
    pub network_namespace: u32,
    pub inner_tgid: u32,
    /// Of the image that the record announces ([`abi::process::table::generation`]).
    pub generation: u8,
}

/// A record decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    Open(Open),
    Data(Data<'a>),
    End(End),
    Exec(Exec<'a>),
    Fork(Process),
    Exit(Process),
    Seen(Process),
    /// The process created an io_uring: its transfers may pass unseen.
    IoUring(Process),
}

/// Why a record was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    #[error("record of {0} bytes is shorter than its layout")]
    Short(usize),
    #[error("record kind {0} is unknown: the recording may be from a newer version")]
    Kind(u16),
    #[error("field {field} has the impossible value {value}")]
    Value { field: &'static str, value: u64 },
}

impl<'a> Event<'a> {
    /// Decodes one record. Every length and number in it is checked.
    pub fn decode(record: &'a [u8]) -> Result<Self, DecodeError> {
        let short = DecodeError::Short(record.len());
        let (header, _) = RecordHeader::ref_from_prefix(record).map_err(|_| short)?;
        match header.kind {
            kind::OPEN => {
                let (open, _) = OpenRecord::ref_from_prefix(record).map_err(|_| short)?;
                Ok(Self::Open(decode_open(open)?))
            }
            kind::DATA => {
                let (data, payload) = DataRecord::ref_from_prefix(record).map_err(|_| short)?;
                Ok(Self::Data(decode_data(data, payload)?))
            }
            kind::QUIET => {
                let (quiet, _) = QuietRecord::ref_from_prefix(record).map_err(|_| short)?;
                Ok(Self::Data(decode_quiet(quiet)?))
            }
            kind::END => {
                let (end, _) = EndRecord::ref_from_prefix(record).map_err(|_| short)?;
                Ok(Self::End(decode_end(end)?))
            }
            kind::EXEC => {
                let (process, payload) = ProcessRecord::ref_from_prefix(record).map_err(|_| short)?;
                decode_exec(process, payload).map(Self::Exec)
            }
            kind::FORK | kind::EXIT | kind::SEEN | kind::IO_URING => {
                let (record, _) = ProcessRecord::ref_from_prefix(record).map_err(|_| short)?;
                let process = decode_process(record);
                Ok(match header.kind {
                    kind::FORK => Self::Fork(process),
                    kind::EXIT => Self::Exit(process),
                    kind::IO_URING => Self::IoUring(process),
                    _ => Self::Seen(process),
                })
            }
            unknown => Err(DecodeError::Kind(unknown)),
        }
    }
}

fn decode_open(record: &OpenRecord) -> Result<Open, DecodeError> {
    let path = record
        .path
        .get(..usize::from(record.path_length))
        .ok_or(DecodeError::Value { field: "path_length", value: u64::from(record.path_length) })?;
    Ok(Open {
        time: record.header.time,
        conn: record.conn,
        tgid: record.tgid,
        netns: record.netns,
        role: match record.role {
            role::CONNECTED => Role::Connected,
            role::ACCEPTED => Role::Accepted,
            _ => Role::Unknown,
        },
        from_opening: record.flags & flag::FROM_OPENING != 0,
        sequence: (record.flags & flag::ISN_KNOWN != 0).then_some((record.isn_sent, record.isn_received)),
        local: endpoint(record.family, &record.local_address, record.local_port, path)?,
        remote: endpoint(record.family, &record.remote_address, record.remote_port, path)?,
        peer_sock: (record.peer_sock != 0).then_some(record.peer_sock),
    })
}

fn endpoint(family: u16, address: &[u8; 16], port: u16, path: &[u8]) -> Result<Endpoint, DecodeError> {
    match family {
        AF_INET => {
            let [a, b, c, d, ..] = *address;
            Ok(Endpoint::Ip(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port)))
        }
        // An IPv4 peer of a dual-stack socket is that IPv4 peer (RFC 4291, 2.5.5.2).
        AF_INET6 => Ok(Endpoint::Ip(SocketAddr::new(Ipv6Addr::from(*address).to_canonical(), port))),
        AF_UNIX => Ok(Endpoint::Unix(unix_address(path).into())),
        other => Err(DecodeError::Value { field: "family", value: u64::from(other) }),
    }
}

/// The address without the NUL that the kernel counts in a path; an abstract name is taken as it is (unix(7)).
fn unix_address(path: &[u8]) -> &[u8] {
    match path.split(|byte| *byte == 0).next() {
        Some(name) if !name.is_empty() => name,
        _ => path,
    }
}

fn decode_data<'a>(record: &DataRecord, payload: &'a [u8]) -> Result<Data<'a>, DecodeError> {
    let copied = DecodeError::Value { field: "copied", value: u64::from(record.copied) };
    let bytes = payload.get(..record.copied as usize).ok_or(copied)?;
    let gap = record.covered.checked_sub(record.copied).ok_or(copied)?;
    if record.position.checked_add(u64::from(record.covered)).is_none() {
        return Err(DecodeError::Value { field: "position", value: record.position });
    }
    Ok(Data {
        conn: record.conn,
        call: Call {
            enter: record.enter.min(record.header.time),
            exit: record.header.time,
            tid: record.tid,
            task: Task { tgid: record.tgid, id: record.task },
        },
        direction: decode_direction(record.direction)?,
        position: record.position,
        bytes,
        gap: u64::from(gap),
        call_offset: u64::from(record.call_offset),
        ambiguous: record.header.flags & data_flag::AMBIGUOUS != 0,
        framing: match record.frame {
            _ if record.header.flags & data_flag::FRAMED == 0 => Framing::Unknown,
            offset if offset < record.copied => {
                Framing::From(record.position.saturating_add(u64::from(offset)))
            }
            _ => Framing::Inside,
        },
    })
}

fn decode_quiet(record: &QuietRecord) -> Result<Data<'static>, DecodeError> {
    if record.content > record.length {
        return Err(DecodeError::Value { field: "content", value: u64::from(record.content) });
    }
    if record.position.checked_add(u64::from(record.length)).is_none() {
        return Err(DecodeError::Value { field: "position", value: record.position });
    }
    let (tid, time) = (record.tid, record.header.time);
    let task = Task { tgid: record.tgid, id: u64::from(tid) };
    Ok(Data {
        conn: record.conn,
        call: Call { enter: time, exit: time, tid, task },
        direction: decode_direction(record.direction)?,
        position: record.position,
        bytes: &[],
        gap: u64::from(record.length),
        call_offset: 0,
        ambiguous: false,
        framing: Framing::Quiet(Quiet { stream: record.stream, content: u64::from(record.content) }),
    })
}

fn decode_direction(value: u8) -> Result<Direction, DecodeError> {
    match value {
        direction::RECEIVED => Ok(Direction::Received),
        direction::SENT => Ok(Direction::Sent),
        other => Err(DecodeError::Value { field: "direction", value: u64::from(other) }),
    }
}

fn decode_end(record: &EndRecord) -> Result<End, DecodeError> {
    const RECEIVED: u8 = 1 << direction::RECEIVED;
    const SENT: u8 = 1 << direction::SENT;
    const BOTH: u8 = RECEIVED | SENT;
    let direction = match record.directions {
        RECEIVED => Some(Direction::Received),
        SENT => Some(Direction::Sent),
        BOTH => None,
        other => return Err(DecodeError::Value { field: "directions", value: u64::from(other) }),
    };
    let how = match record.how {
        end::EOF => How::Eof,
        end::SHUTDOWN => How::Shutdown,
        end::CLOSED => How::Closed,
        end::FAILED => How::Failed(record.error),
        end::SWEPT => How::Swept,
        end::CALL_FAILED => How::CallFailed(record.error),
        other => return Err(DecodeError::Value { field: "how", value: u64::from(other) }),
    };
    let [received, sent] = record.positions;
    Ok(End {
        time: record.header.time,
        conn: record.conn,
        tgid: record.tgid,
        direction,
        how,
        positions: (received, sent),
    })
}

fn decode_process(record: &ProcessRecord) -> Process {
    Process {
        time: record.header.time,
        tgid: record.tgid,
        parent: record.parent,
        uid: record.uid,
        gid: record.gid,
        cgroup: record.cgroup,
        pid_namespace: record.pid_namespace,
        mount_namespace: record.mount_namespace,
        network_namespace: record.network_namespace,
        inner_tgid: record.inner_tgid,
        generation: record.generation,
    }
}

fn decode_exec<'a>(record: &ProcessRecord, payload: &'a [u8]) -> Result<Exec<'a>, DecodeError> {
    let short = DecodeError::Short(payload.len());
    let (filename, rest) = payload.split_at_checked(limit::FILENAME_MAX).ok_or(short)?;
    let (arguments, environment) = rest.split_at_checked(limit::ARGUMENTS_MAX).ok_or(short)?;
    let filename = filename.get(..usize::from(record.filename_length)).ok_or(short)?;
    let arguments = arguments.get(..usize::from(record.arguments_length)).ok_or(short)?;
    let environment = environment.get(..usize::from(record.environment_length)).ok_or(short)?;
    Ok(Exec { process: decode_process(record), filename, arguments, environment })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unix_path_ends_before_its_nul_and_an_abstract_name_keeps_its_own() {
        assert_eq!(unix_address(b"/run/app.sock\0"), b"/run/app.sock");
        assert_eq!(unix_address(b"/run/app.sock"), b"/run/app.sock");
        assert_eq!(unix_address(b"\0abstract\0name"), b"\0abstract\0name");
        assert_eq!(unix_address(b""), b"");
    }
}
