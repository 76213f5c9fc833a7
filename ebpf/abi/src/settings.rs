//! Read-only settings that user space writes before the programs are loaded.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::limit;

/// What a system call does to a socket.
pub mod call {
    /// Not of interest.
    pub const NONE: u8 = 0;
    pub const READ: u8 = 1;
    pub const WRITE: u8 = 2;
    pub const READV: u8 = 3;
    pub const WRITEV: u8 = 4;
    pub const RECVFROM: u8 = 5;
    pub const SENDTO: u8 = 6;
    pub const RECVMSG: u8 = 7;
    pub const SENDMSG: u8 = 8;
    pub const RECVMMSG: u8 = 9;
    pub const SENDMMSG: u8 = 10;
    /// `out_fd` first, `in_fd` second.
    pub const SENDFILE: u8 = 11;
    /// `fd_in` first, `fd_out` third.
    pub const SPLICE: u8 = 12;
    pub const CONNECT: u8 = 13;
    pub const ACCEPT: u8 = 14;
    pub const SHUTDOWN: u8 = 15;
    pub const CLOSE: u8 = 16;

    /// Whether a call of this kind passes a socket's tracepoint once for each buffer that its arguments name. The others
    /// move several messages, or pass by it.
    pub const fn is_evented(kind: u8) -> bool {
        !matches!(kind, RECVMMSG | SENDMMSG | SPLICE)
    }

    /// Whether a call of this kind receives.
    pub const fn receives(kind: u8) -> bool {
        matches!(kind, READ | READV | RECVFROM | RECVMSG | RECVMMSG)
    }
}

/// Byte offsets in the running kernel's structures, from its BTF. Each name is `structure_member`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Offsets {
    pub task_files: u32,
    pub task_mm: u32,
    pub task_stack: u32,
    pub task_tgid: u32,
    pub task_real_parent: u32,
    pub task_nsproxy: u32,
    pub task_group_leader: u32,
    pub task_thread_pid: u32,
    pub task_pid: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub files_fdt: u32,
    pub fdtable_max_fds: u32,
    pub fdtable_fd: u32,
    pub file_inode: u32,
    pub file_private_data: u32,
    /// `file.f_count` (before 6.18 or so) or `file.f_ref`: the reference count.
    pub file_count: u32,
    /// What a single reference reads as: 1 for `f_count`, 0 for `f_ref`.
    pub file_count_single: u32,
    pub inode_mode: u32,
    pub inode_number: u32,
    pub socket_sk: u32,
    pub sock_family: u32,
    pub sock_state: u32,
    pub sock_number: u32,
    pub sock_destination_port: u32,
    pub sock_destination_v4: u32,
    pub sock_source_v4: u32,
    pub sock_destination_v6: u32,
    pub sock_source_v6: u32,
    pub sock_net: u32,
    pub sock_type: u32,
    pub sock_protocol: u32,
    pub sock_shutdown: u32,
    pub sock_error: u32,
    /// `sock.sk_socket`: the way from a sock back to its sockfs inode.
    pub sock_socket: u32,
    /// Distance from `socket` to the inode in `socket_alloc`.
    pub socket_to_inode: u32,
    pub net_inode: u32,
    pub tcp_write_sequence: u32,
    pub tcp_copied_sequence: u32,
    pub tcp_next_received: u32,
    pub tcp_next_sent: u32,
    pub tcp_bytes_received: u32,
    pub tcp_bytes_sent: u32,
    pub tcp_bytes_retransmitted: u32,
    pub unix_peer: u32,
    pub unix_address: u32,
    pub unix_address_length: u32,
    pub unix_address_name: u32,
    pub mm_argument_start: u32,
    pub mm_argument_end: u32,
    pub mm_environment_start: u32,
    pub mm_environment_end: u32,
    pub nsproxy_mount: u32,
    pub nsproxy_net: u32,
    pub mount_namespace_inode: u32,
    pub pid_level: u32,
    pub pid_numbers: u32,
    pub upid_size: u32,
    pub upid_number: u32,
    pub upid_namespace: u32,
    pub pid_namespace_inode: u32,
    pub binprm_filename: u32,
    pub socket_file: u32,
    pub signal_threads: u32,
    pub files_count: u32,
    pub sock_flags: u32,
    /// What sits above TCP, as TLS in the kernel does.
    pub connection_upper: u32,
    pub task_flags: u32,
    /// Where a task says that it is inside a 32-bit call, and the bit that says so.
    pub task_status: u32,
    pub status_compat: u32,
    /// The system call's number in `pt_regs`.
    pub registers_number: u32,
    /// Where its result will be.
    pub registers_result: u32,
    /// Offsets of the first six system call arguments in `pt_regs`.
    pub registers: [u32; 6],
    /// Size of `pt_regs`.
    pub registers_size: u32,
    /// Size of a kernel stack (`THREAD_SIZE`).
    pub stack_size: u32,
}

/// Everything that user space decides before load.
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Settings {
    pub offsets: Offsets,
    /// Bytes copied of one call, at most [`limit::COPY_LIMIT_MAX`].
    pub copy_limit: u32,
    /// [`crate::process::decision`] for a process that is not in the table.
    pub unknown_process: u32,
    /// 1: an exec makes a process undecided again; 0: the decision stays (`run`).
    pub exec_decides: u32,
    /// The agent's own process: never traced.
    pub own_tgid: u32,
    /// 1: `bpf_get_current_task_btf` may be used (5.11), whose result can be followed without a helper call.
    pub task_pointers: u32,
    /// 1: the helper `bpf_task_pt_regs` may be used (5.15).
    pub registers_helper: u32,
    /// 1: the socket tracepoints `sock_send_length` and `sock_recv_length` tell what moved; see `hook/moved.rs`.
    pub socket_events: u32,
    /// 1: with them, the tracepoint `tcp_sendmsg_locked` tells when a TCP socket begins to send.
    pub send_events: u32,
    /// Bytes in the ring above which a submit wakes the reader.
    pub wake_mark: u32,
    /// Data records between two looks at the ring, less one: a mask.
    pub wake_mask: u32,
    /// [`call`] by system call number.
    pub calls: [u8; limit::SYSCALLS_MAX],
}

/// Elements of the map `CONTROL`.
pub mod control {
    /// One of [`super::recover`].
    pub const RECOVER: u32 = 0;
    /// One of [`super::counted`].
    pub const COUNTED: u32 = 1;
    /// Number of elements.
    pub const COUNT: u32 = 2;
}

/// Values of [`control::COUNTED`]: connections whose positions are counted, not read from the socket.
pub mod counted {
    /// None was announced.
    pub const NONE: u32 = 0;
    /// One was: user space then hooks what such connections need.
    pub const ANNOUNCED: u32 = 1;
    /// User space could not: they are not followed.
    pub const REFUSED: u32 = 2;
}

/// Values of [`control::RECOVER`]: which exits without a seen entry are followed.
pub mod recover {
    /// None: every thread's entries are seen.
    pub const NONE: u32 = 0;
    /// All: the agent is attaching.
    pub const ALL: u32 = 1;
    /// Those of the threads in the map `BLOCKED`.
    pub const BLOCKED: u32 = 2;
}
