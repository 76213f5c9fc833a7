//! Bounded readers of `/proc`. A process can be gone at any moment: everything is optional.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use engine::event::Time;

/// Bytes of a small file of the kernel.
const FILE_MAX: u64 = 64 * 1024;
/// Bytes of arguments that are looked at: selectors and service names need the first few.
const ARGUMENTS_MAX: u64 = 16 * 1024;
/// Bytes of environment that are searched for `OTEL_*`: Linux allows 2 MiB of arguments and environment
/// by default, common ones have 4 to 20 KiB.
const ENVIRONMENT_MAX: u64 = 1024 * 1024;
/// Bytes of a table of sockets: 100,000 lines or so.
const TABLE_MAX: u64 = 16 * 1024 * 1024;
/// Descriptors of one process that are looked at.
const DESCRIPTORS_MAX: usize = 65_536;
/// Nanoseconds of the tick in `/proc/PID/stat`: `USER_HZ` is 100 on every architecture that has BPF.
const TICK: u64 = 10_000_000;
/// `PF_KTHREAD` of `include/linux/sched.h`: flags as `/proc/PID/stat` shows them.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// The file system tree that processes are looked up in.
#[derive(Clone, Debug)]
pub struct Root(PathBuf);

/// What `/proc/PID/stat` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    pub parent: u32,
    pub kernel_thread: bool,
    /// Ticks since boot at which the process was created; exec does not change it.
    pub start: u64,
}

impl Stat {
    /// Whether the process existed at this kernel time. The tick is coarse and counts time in suspend.
    pub fn existed_at(&self, time: Time) -> bool {
        self.start.saturating_mul(TICK) <= time.saturating_add(suspended()).saturating_add(TICK)
    }
}

impl Root {
    /// A tree other than `/` serves tests.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// A file of the tree; `path` has no leading slash.
    pub fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    /// A file of a process.
    pub fn of(&self, pid: u32, name: &str) -> PathBuf {
        self.0.join(format!("proc/{pid}/{name}"))
    }

    /// A small text file.
    pub fn text(&self, path: impl AsRef<Path>) -> Option<String> {
        read(&self.0.join(path), FILE_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A table of a process that may be long.
    pub fn table(&self, pid: u32, name: &str) -> Option<String> {
        read(&self.of(pid, name), TABLE_MAX).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The processes there are.
    pub fn pids(&self) -> Vec<u32> {
        let Ok(entries) = fs::read_dir(self.0.join("proc")) else { return Vec::new() };
        entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
    }

    pub fn stat(&self, pid: u32) -> Option<Stat> {
        let text = read(&self.of(pid, "stat"), FILE_MAX)?;
        // The name is in parentheses and may hold any byte: the fields start after the last one.
        let fields = text.rsplit(|&byte| byte == b')').next()?;
        let mut fields = std::str::from_utf8(fields).ok()?.split_ascii_whitespace();
        // proc_pid_stat(5): state is field 3, ppid 4, flags 9, starttime 22.
        let parent = fields.nth(1)?.parse().ok()?;
        let flags: u64 = fields.nth(4)?.parse().ok()?;
        let start = fields.nth(12)?.parse().ok()?;
        Some(Stat { parent, kernel_thread: flags & KERNEL_THREAD != 0, start })
    }

    /// The path of the executable, as the process's own mount namespace has it; only a name if it is a file in
    /// memory (`/memfd:name (deleted)`).
    pub fn executable(&self, pid: u32) -> Option<String> {
        let link = fs::read_link(self.of(pid, "exe")).ok()?.into_os_string();
        let path = link.to_string_lossy();
        let path = path.strip_suffix(" (deleted)").unwrap_or(&path);
        Some(path.strip_prefix("/memfd:").unwrap_or(path).to_owned())
    }

    /// NUL-separated.
    pub fn arguments(&self, pid: u32) -> Option<Vec<u8>> {
        read(&self.of(pid, "cmdline"), ARGUMENTS_MAX)
    }

    /// The `OTEL_*` variables that the image was started with, NUL-separated.
    pub fn environment(&self, pid: u32) -> Option<Vec<u8>> {
        let all = read(&self.of(pid, "environ"), ENVIRONMENT_MAX)?;
        let ours = all.split(|&byte| byte == 0).filter(|variable| variable.starts_with(b"OTEL_"));
        Some(ours.collect::<Vec<_>>().join(&0))
    }

    /// The real user: what the kernel side's records have too (`bpf_get_current_uid_gid`).
    pub fn user(&self, pid: u32) -> Option<u32> {
        let status = read(&self.of(pid, "status"), FILE_MAX)?;
        let status = String::from_utf8_lossy(&status);
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
        line.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The targets of the process's descriptors, such as `socket:[123]`.
    pub fn descriptors(&self, pid: u32) -> Vec<String> {
        self.links(pid).map(|link| link.to_string_lossy().into_owned()).collect()
    }

    /// Whether the process has an io_uring: what passes through it is not seen.
    pub fn uses_io_uring(&self, pid: u32) -> bool {
        self.links(pid).any(|link| link.as_os_str() == "anon_inode:[io_uring]")
    }

    fn links(&self, pid: u32) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.of(pid, "fd")).into_iter().flatten().flatten();
        entries.take(DESCRIPTORS_MAX).filter_map(|entry| fs::read_link(entry.path()).ok())
    }

    /// The inode of a namespace of a process (or of `self`), as its link `net:[4026531833]` says.
    pub fn namespace(&self, process: &str, name: &str) -> Option<u32> {
        let link = fs::read_link(self.0.join(format!("proc/{process}/ns/{name}"))).ok()?;
        let link = link.to_str()?;
        link.split_once('[')?.1.strip_suffix(']')?.parse().ok()
    }
}

/// Reads at most `max` bytes.
fn read(path: &Path, max: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(max).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// How far boot time, which `/proc` uses, is ahead of kernel time: what was spent in suspend.
fn suspended() -> Time {
    let read = |clock| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: `time` is a valid timespec that outlives the call, which writes nothing else.
        let result = unsafe { libc::clock_gettime(clock, &mut time) };
        if result != 0 {
            return None;
        }
        let seconds = u64::try_from(time.tv_sec).ok()?;
        seconds.checked_mul(1_000_000_000)?.checked_add(u64::try_from(time.tv_nsec).ok()?)
    };
    match (read(libc::CLOCK_MONOTONIC), read(libc::CLOCK_BOOTTIME)) {
        (Some(kernel), Some(boot)) => boot.saturating_sub(kernel),
        _ => 0,
    }
}
