//! The stream socket behind a descriptor of the current thread.
//!
//! task_struct.files > files_struct.fdt > fdtable.fd[n] > file > f_inode (a socket?) and private_data
//! (`struct socket`) > sk. Read at each call: descriptors are duplicated, inherited and passed around.

use abi::Connection;
use aya_ebpf::helpers::{bpf_get_current_task, generated::bpf_get_current_task_btf};

use crate::{
    connections,
    error::ProbeError,
    memory,
    settings::{offset, setting},
};

pub(crate) const AF_UNIX: u16 = 1;
pub(crate) const AF_INET: u16 = 2;
pub(crate) const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
pub(crate) const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;
const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// A stream socket that can carry HTTP.
#[derive(Clone, Copy)]
pub(crate) struct Socket {
    /// Address of `struct sock`.
    pub(crate) sk: u64,
    /// Inode number in sockfs.
    pub(crate) inode: u64,
    pub(crate) family: u16,
    pub(crate) protocol: u16,
}

/// Address of the `struct file` behind a descriptor of the current thread, 0 if there is none.
#[inline(always)]
pub(crate) fn file(descriptor: u64) -> Result<u64, ProbeError> {
    let (length, array) = table()?;
    // A descriptor is an int; the upper half of the register is not part of it.
    let descriptor = descriptor as u32;
    if descriptor >= length {
        return Ok(0);
    }
    memory::kernel(array, descriptor as usize * 8)
}

/// Length and address of the current thread's descriptor table.
#[inline(always)]
fn table() -> Result<(u32, u64), ProbeError> {
    if setting!(task_pointers) != 0 {
        let (files, table) = (offset!(task_files), offset!(files_fdt));
        let (length, array) = (offset!(fdtable_max_fds), offset!(fdtable_fd));
        // SAFETY: the verifier knows the types of these pointers and lets them be followed; a bad one reads as 0.
        return unsafe {
            let task = bpf_get_current_task_btf().cast::<u8>().cast_const();
            let files = task.add(files).cast::<*const u8>().read_volatile();
            let table = files.add(table).cast::<*const u8>().read_volatile();
            Ok((
                table.add(length).cast::<u32>().read_volatile(),
                table.add(array).cast::<u64>().read_volatile(),
            ))
        };
    }
    // SAFETY: the helper only returns the address of the current task.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = memory::kernel(task, offset!(task_files))?;
    let table: u64 = memory::kernel(files, offset!(files_fdt))?;
    Ok((memory::kernel(table, offset!(fdtable_max_fds))?, memory::kernel(table, offset!(fdtable_fd))?))
}

/// A stream socket, and the connection that is known of it.
pub(crate) type Found = (Socket, Option<*mut Connection>);

/// The stream socket behind a file; `None` if it is something else.
#[inline(always)]
pub(crate) fn of_file(file: u64) -> Result<Option<Found>, ProbeError> {
    if file == 0 {
        return Ok(None);
    }
    let (inode, socket) = memory::kernel_pair::<4>(file, offset!(file_inode), offset!(file_private_data))?;
    let (mode, number) = memory::kernel_pair::<10>(inode, offset!(inode_mode), offset!(inode_number))?;
    // `i_mode` is the low half word of what was read there.
    if mode as u16 & S_IFMT != S_IFSOCK {
        return Ok(None);
    }
    // A bound Unix socket opened with O_PATH has the file type but no socket.
    if socket == 0 {
        return Ok(None);
    }
    let sk: u64 = memory::kernel(socket, offset!(socket_sk))?;
    if sk == 0 {
        return Ok(None);
    }
    of_sock(sk, number)
}

/// The stream socket with this `struct sock` and inode; `None` if it is something else.
#[inline(always)]
pub(crate) fn of_sock(sk: u64, number: u64) -> Result<Option<Found>, ProbeError> {
    if let Some(connection) = connections::find(sk, number) {
        // SAFETY: see `connections::find`.
        let (family, protocol) = unsafe { ((*connection).family, (*connection).protocol) };
        return Ok(Some((Socket { sk, inode: number, family, protocol }, Some(connection))));
    }
    let family: u16 = memory::kernel(sk, offset!(sock_family))?;
    let kind: u16 = memory::kernel(sk, offset!(sock_type))?;
    let protocol: u16 = memory::kernel(sk, offset!(sock_protocol))?;
    let known = match family {
        AF_INET | AF_INET6 => protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP,
        AF_UNIX => true,
        _ => false,
    };
    if kind != SOCK_STREAM || !known {
        return Ok(None);
    }
    Ok(Some((Socket { sk, inode: number, family, protocol }, None)))
}

/// The stream socket behind a descriptor.
#[inline(always)]
pub(crate) fn of_descriptor(descriptor: u64) -> Result<Option<Found>, ProbeError> {
    of_file(file(descriptor)?)
}

/// The sockfs inode that a `struct sock` belongs to now; 0 if it was orphaned.
#[inline(always)]
pub(crate) fn inode_of(sk: u64) -> Result<u64, ProbeError> {
    let socket: u64 = memory::kernel(sk, offset!(sock_socket))?;
    if socket == 0 {
        return Ok(0);
    }
    memory::kernel(socket.wrapping_add(offset!(socket_to_inode) as u64), offset!(inode_number))
}

/// The sockfs inode of a socket that a program was told as an argument; 0 if it has no file: it is the kernel's own, or was
/// orphaned.
#[inline(always)]
pub(crate) fn inode_of_argument(pointer: *const u8) -> u64 {
    let (socket, file) = (offset!(sock_socket), offset!(socket_file));
    let (inode, number) = (offset!(file_inode), offset!(inode_number));
    // SAFETY: as in `table`: the verifier knows what an argument points to.
    unsafe {
        let socket = pointer.add(socket).cast::<*const u8>().read_volatile();
        let file = socket.add(file).cast::<*const u8>().read_volatile();
        let inode = file.add(inode).cast::<*const u8>().read_volatile();
        inode.add(number).cast::<u64>().read_volatile()
    }
}

/// The file that a `struct sock` belongs to; 0 if it is the kernel's own, or was orphaned.
#[inline(always)]
pub(crate) fn file_of(sk: u64) -> Result<u64, ProbeError> {
    let socket: u64 = memory::kernel(sk, offset!(sock_socket))?;
    if socket == 0 {
        return Ok(0);
    }
    memory::kernel(socket, offset!(socket_file))
}

/// Who has a socket.
#[derive(Clone, Copy)]
pub(crate) struct Users {
    /// References to its file beyond one.
    pub(crate) more: u64,
    /// The current thread shares its descriptors.
    pub(crate) shared: bool,
    /// Threads of the current process.
    pub(crate) threads: u32,
}

/// Who has the socket, besides the current thread.
#[inline(always)]
pub(crate) fn users(sk: u64) -> Result<Users, ProbeError> {
    let file = file_of(sk)?;
    if file == 0 {
        return Err(ProbeError::Kernel);
    }
    let references: u64 = memory::kernel(file, offset!(file_count))?;
    // SAFETY: the helper only returns the address of the current task.
    let task = unsafe { bpf_get_current_task() };
    let files: u64 = memory::kernel(task, offset!(task_files))?;
    let sharing: u32 = memory::kernel(files, offset!(files_count))?;
    let signal: u64 = memory::kernel(task, offset!(task_signal))?;
    let threads: u32 = memory::kernel(signal, offset!(signal_threads))?;
    Ok(Users {
        more: references.wrapping_sub(offset!(file_count_single) as u64),
        shared: sharing > 1,
        threads,
    })
}

impl Socket {
    /// Positions can be read from TCP's own counters.
    #[inline(always)]
    pub(crate) fn sequenced(&self) -> bool {
        self.family != AF_UNIX && self.protocol == IPPROTO_TCP
    }
}
