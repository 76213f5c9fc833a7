//! Harness of the acceptance tests: starts `spandrel` and unmodified programs, makes traffic, reads spans.
//!
//! Everything that fails here panics with what was expected and the log of the program concerned: the
//! users are tests, the demo and the benchmark. Every wait is for a condition, and has a bound.

pub mod backend;
pub mod bench;
pub mod demo;
pub mod http;
pub mod late;
pub mod load;
pub mod netns;
pub mod process;
pub mod recording;
pub mod replay;
pub mod sink;
pub mod span;
pub mod spandrel;
pub mod tree;
pub mod variation;
pub mod wait;
pub mod workload;

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

static SERIAL: Mutex<()> = Mutex::new(());
static UNIQUE: AtomicU32 = AtomicU32::new(0);

/// Live tests load one machine and one kernel: one at a time.
pub fn alone() -> MutexGuard<'static, ()> {
    SERIAL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// [`alone`], where there is something to trace with.
///
/// Says no on a kernel that cannot be traced at all, and fails where only the privileges are missing: a test
/// that skips on a capable kernel would hide that nothing was tested.
pub fn live() -> Option<MutexGuard<'static, ()>> {
    // SAFETY: geteuid has no arguments and cannot fail.
    assert!(unsafe { libc::geteuid() } == 0, "live tests load BPF programs: run them as root");
    if !Path::new("/sys/kernel/btf/vmlinux").exists() {
        eprintln!("SKIPPED: this kernel has no /sys/kernel/btf/vmlinux, spandrel does not support it");
        return None;
    }
    Some(alone())
}

/// A name that no other test and no other run on this machine uses: tests put it into paths and find their spans by it.
pub fn token() -> String {
    format!("t{}x{}", std::process::id(), UNIQUE.fetch_add(1, Ordering::Relaxed))
}

/// A TCP port of the loopback interface that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a loopback port");
    listener.local_addr().expect("local address").port()
}

/// So many of them, no two the same.
pub fn free_ports<const N: usize>() -> [u16; N] {
    [(); N]
        .map(|()| TcpListener::bind(("127.0.0.1", 0)).expect("bind a loopback port"))
        .map(|listener| listener.local_addr().expect("local address").port())
}

/// A directory that is removed when dropped.
pub struct TempDir(PathBuf);

impl TempDir {
    pub fn new() -> Self {
        let path = std::env::temp_dir().join(format!("spandrel-{}", token()));
        fs::create_dir_all(&path).unwrap_or_else(|e| panic!("create {}: {e}", path.display()));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file in it and returns its path.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap_or_else(|e| panic!("write {}: {e}", path.display()));
        path
    }
}

impl Default for TempDir {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The directory cargo builds into: it marks it with a CACHEDIR.TAG.
pub fn target_directory() -> PathBuf {
    let executable = std::env::current_exe().expect("path of this executable");
    executable
        .ancestors()
        .find(|directory| directory.join("CACHEDIR.TAG").exists())
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"), Path::to_path_buf)
}

/// A file under `tests/workloads`.
pub fn workload_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads").join(name)
}

/// A program of this package: cargo builds them with each test, whose directory is in theirs.
pub fn program(name: &str) -> PathBuf {
    let executable = std::env::current_exe().expect("path of this executable");
    let found =
        executable.ancestors().skip(1).map(|directory| directory.join(name)).find(|path| path.is_file());
    found.unwrap_or_else(|| panic!("no program {name} beside {}: cargo builds it", executable.display()))
}
