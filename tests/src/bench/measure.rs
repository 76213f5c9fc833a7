//! What the kernel knows of CPU time, BPF run time and memory.

use std::{
    fs::{self, File},
    hint::black_box,
    io::Read,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// CPU time of processes so far, all their threads, nanoseconds. /proc has it in ticks of 10 ms only.
pub(super) fn cpu_time(pids: &[u32]) -> u64 {
    let time_of = |pid: &u32| {
        let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
        // SAFETY: both write to what they are given, which lives until they return.
        let failed = unsafe {
            libc::clock_getcpuclockid(pid.cast_signed(), &raw mut clock) != 0
                || libc::clock_gettime(clock, &raw mut time) != 0
        };
        assert!(!failed, "no CPU time of process {pid}");
        u64::try_from(time.tv_sec).unwrap_or_default() * 1_000_000_000
            + u64::try_from(time.tv_nsec).unwrap_or_default()
    };
    pids.iter().map(time_of).sum()
}

/// Run time of all BPF programs that a process holds, nanoseconds; it grows while the statistics are on.
pub(super) fn bpf_time(pid: u32) -> u64 {
    let directory = format!("/proc/{pid}/fdinfo");
    let mut programs: Vec<(u64, u64)> = fs::read_dir(&directory)
        .unwrap_or_else(|e| panic!("read {directory}: {e}"))
        .flatten()
        .filter_map(|entry| fs::read_to_string(entry.path()).ok())
        .filter_map(|info| Some((field(&info, "prog_id:")?, field(&info, "run_time_ns:")?)))
        .collect();
    // A program may be held by several descriptors.
    programs.sort_unstable();
    programs.dedup_by_key(|(id, _)| *id);
    programs.iter().map(|(_, time)| time).sum()
}

fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name))?.split_whitespace().next()?.parse().ok()
}

const STATISTICS: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel's BPF statistics, on until dropped.
pub(super) struct Statistics(String);

impl Statistics {
    pub(super) fn on() -> Self {
        let before = fs::read_to_string(STATISTICS).unwrap_or_else(|e| panic!("read {STATISTICS}: {e}"));
        fs::write(STATISTICS, "1").unwrap_or_else(|e| panic!("write {STATISTICS}: {e}"));
        Self(before)
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        fs::write(STATISTICS, self.0.trim()).ok();
    }
}

/// Watches the anonymous memory of a process.
pub(super) struct Sampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Sampler {
    pub(super) fn start(pid: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut largest = 0;
            while !stopped.load(Ordering::Relaxed) {
                let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
                largest = largest.max(field(&status, "RssAnon:").unwrap_or_default() * 1024);
                thread::sleep(Duration::from_millis(100));
            }
            largest
        });
        Self { stop, thread }
    }

    pub(super) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sampler panicked")
    }
}

/// Nanoseconds of a getppid call and of a read of a file, the least of several rounds: what disturbs only adds.
pub fn unselected() -> (f64, f64) {
    const CALLS: u32 = 300_000;
    let round = |call: &mut dyn FnMut()| {
        let start = Instant::now();
        (0..CALLS).for_each(|_| call());
        start.elapsed().as_nanos() as f64 / f64::from(CALLS)
    };
    let least = |call: &mut dyn FnMut()| (0..7).map(|_| round(call)).fold(f64::INFINITY, f64::min);
    let getppid = least(&mut || {
        // SAFETY: getppid has no arguments and cannot fail; the raw call, because a library may remember it.
        black_box(unsafe { libc::syscall(libc::SYS_getppid) });
    });
    let mut file = File::open("/dev/zero").expect("open /dev/zero");
    let mut buffer = [0; 64];
    let read = least(&mut || {
        black_box(file.read(&mut buffer).expect("read /dev/zero"));
    });
    (getppid, read)
}
