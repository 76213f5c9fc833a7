//! What the kernel counts about a loaded program.

use std::{
    io,
    os::fd::{AsRawFd as _, BorrowedFd},
};

use super::syscall;

const BPF_OBJ_GET_INFO_BY_FD: libc::c_int = 15;

/// Figures of a program. Time and runs are counted only while the kernel's statistics are on
/// (`kernel.bpf_stats_enabled`); missed runs always, from 5.12 on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Nanoseconds in the program.
    pub time: u64,
    pub runs: u64,
    /// Runs left out because the program was already running on the processor.
    pub missed: u64,
}

/// `union bpf_attr`, the part of BPF_OBJ_GET_INFO_BY_FD.
#[repr(C)]
struct GetInfo {
    fd: u32,
    length: u32,
    info: u64,
}

/// `struct bpf_prog_info` up to `recursion_misses` (include/uapi/linux/bpf.h): its first 192 bytes are of no interest.
#[repr(C)]
struct ProgramInfo {
    other: [u64; 24],
    run_time: u64,
    run_count: u64,
    recursion_misses: u64,
}

/// Asks for a program's figures. What an older kernel does not know stays 0.
pub(super) fn runs(program: BorrowedFd<'_>) -> io::Result<Runs> {
    let mut info = ProgramInfo { other: [0; 24], run_time: 0, run_count: 0, recursion_misses: 0 };
    let mut attributes = GetInfo {
        fd: program.as_raw_fd() as u32,
        length: size_of::<ProgramInfo>() as u32,
        info: (&raw mut info) as u64,
    };
    // SAFETY: the layout is that of the command; `info` lives until the call returns. Zeroed lengths of its arrays
    // ask for none of them.
    unsafe { syscall::bpf(BPF_OBJ_GET_INFO_BY_FD, &mut attributes) }?;
    Ok(Runs { time: info.run_time, runs: info.run_count, missed: info.recursion_misses })
}
