//! What differs between processor architectures: the only module with register names and call numbers.

use abi::{limit, settings::call};

use super::btf::{Btf, BtfError};

/// `THREAD_SIZE` where saved registers must be found without a helper (kernels before 5.15).
#[cfg(target_arch = "x86_64")]
pub(super) const STACK_SIZE: u32 = 16 * 1024;
#[cfg(target_arch = "aarch64")]
pub(super) const STACK_SIZE: u32 = 16 * 1024;

/// Where a task says that it is inside a 32-bit call, and the bit that says so: TS_COMPAT
/// (arch/x86/include/asm/thread_info.h).
#[cfg(target_arch = "x86_64")]
pub(super) const STATUS: &str = "thread_info.status";
#[cfg(target_arch = "x86_64")]
pub(super) const STATUS_COMPAT: u32 = 2;
/// The same: TIF_32BIT (arch/arm64/include/asm/thread_info.h).
#[cfg(target_arch = "aarch64")]
pub(super) const STATUS: &str = "thread_info.flags";
#[cfg(target_arch = "aarch64")]
pub(super) const STATUS_COMPAT: u32 = 1 << 22;

/// The member of `struct pt_regs` that keeps the system call's number.
#[cfg(target_arch = "x86_64")]
pub(super) const REGISTER_NUMBER: &str = "orig_ax";
#[cfg(target_arch = "aarch64")]
pub(super) const REGISTER_NUMBER: &str = "syscallno";

/// The member of `struct pt_regs` where the result will be. On x86-64 it is -ENOSYS for as long as the call's own code runs
/// (arch/x86/entry/entry_64.S).
#[cfg(target_arch = "x86_64")]
pub(super) const REGISTER_RESULT: &str = "ax";
#[cfg(target_arch = "aarch64")]
pub(super) const REGISTER_RESULT: &str = "regs";

/// Whether a program at a socket's tracepoint can tell that its thread is inside the call that the registers name, and not
/// in work that is done at its end; and whether the order of stores and atomic sums of the kernel side is seen alike
/// everywhere.
pub(super) const SOCKETS_TELL: bool = cfg!(target_arch = "x86_64");

/// Offsets of the system call arguments in `struct pt_regs`, in order.
#[cfg(target_arch = "x86_64")]
pub(super) fn registers(btf: &Btf<'_>) -> Result<[u32; 6], BtfError> {
    let of = |name| btf.offset("pt_regs", name);
    Ok([of("di")?, of("si")?, of("dx")?, of("r10")?, of("r8")?, of("r9")?])
}

/// Offsets of the system call arguments in `struct pt_regs`, in order. The first argument's register holds
/// the result at the exit; the kernel keeps the original beside.
#[cfg(target_arch = "aarch64")]
pub(super) fn registers(btf: &Btf<'_>) -> Result<[u32; 6], BtfError> {
    let first = btf.offset("pt_regs", "orig_x0")?;
    let base = btf.offset("pt_regs", "regs")?;
    Ok([first, base + 8, base + 16, base + 24, base + 32, base + 40])
}

/// A system call that is hooked.
pub(super) struct Call {
    /// Its name in the tracepoints `sys_enter_*` and `sys_exit_*`.
    pub(super) name: &'static str,
    pub(super) kind: u8,
    number: libc::c_long,
}

macro_rules! calls {
    ($($name:literal $number:ident $kind:ident;)*) => {
        /// The calls that move bytes.
        pub(super) const CALLS: &[Call] =
            &[$(Call { name: $name, kind: call::$kind, number: libc::$number }),*];
    };
}

calls! {
    "read" SYS_read READ;
    "write" SYS_write WRITE;
    "recvfrom" SYS_recvfrom RECVFROM;
    "sendto" SYS_sendto SENDTO;
    "readv" SYS_readv READV;
    "writev" SYS_writev WRITEV;
    "recvmsg" SYS_recvmsg RECVMSG;
    "sendmsg" SYS_sendmsg SENDMSG;
    "recvmmsg" SYS_recvmmsg RECVMMSG;
    "sendmmsg" SYS_sendmmsg SENDMMSG;
    "sendfile64" SYS_sendfile SENDFILE;
    "splice" SYS_splice SPLICE;
}

/// The kind of each call by its number.
pub(super) fn kinds() -> [u8; limit::SYSCALLS_MAX] {
    let mut kinds = [call::NONE; limit::SYSCALLS_MAX];
    for call in CALLS {
        if let Some(kind) = usize::try_from(call.number).ok().and_then(|number| kinds.get_mut(number)) {
            *kind = call.kind;
        }
    }
    kinds
}
