//! Child processes: output captured, group killed when dropped.

use std::{
    collections::VecDeque,
    fs,
    io::{Read, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::wait::{LONG, poll, wait_until};

/// Output kept per stream: the end of it is what explains a failure.
const KEPT: usize = 4 << 20;

type Output = Arc<Mutex<VecDeque<u8>>>;

/// A child in a process group of its own.
pub struct Process {
    name: String,
    child: Child,
    status: Option<ExitStatus>,
    stdout: Output,
    stderr: Output,
    readers: Vec<JoinHandle<()>>,
}

impl Process {
    /// Starts the command; its standard input is a pipe.
    pub fn start(name: &str, command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().unwrap_or_else(|e| panic!("start {name} ({command:?}): {e}"));
        let (stdout, stderr) = (Output::default(), Output::default());
        let mut readers = Vec::new();
        if let Some(pipe) = child.stdout.take() {
            readers.push(collect(pipe, &stdout));
        }
        if let Some(pipe) = child.stderr.take() {
            readers.push(collect(pipe, &stderr));
        }
        Self { name: name.to_owned(), child, status: None, stdout, stderr, readers }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The process and all its descendants.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.pid()];
        let mut next = 0;
        while let Some(&pid) = pids.get(next) {
            pids.extend(children(pid));
            next += 1;
        }
        pids
    }

    /// Waits for the first worker of a server that forks: it listens before.
    pub fn wait_for_worker(&self) {
        wait_until("the server has a worker", LONG, || self.pids().len() > 1);
    }

    pub fn stdout(&self) -> String {
        text(&self.stdout)
    }

    pub fn stderr(&self) -> String {
        text(&self.stderr)
    }

    /// Both streams, for messages.
    pub fn log(&self) -> String {
        format!(
            "--- {} (pid {}), standard output:\n{}--- standard error:\n{}---",
            self.name,
            self.pid(),
            self.stdout(),
            self.stderr()
        )
    }

    /// Waits for a text in the output; fails if the process ends first.
    pub fn wait_for(&mut self, needle: &str, limit: Duration) {
        let found = poll(limit, || {
            let ended = self.try_wait().is_some();
            if self.stdout().contains(needle) || self.stderr().contains(needle) {
                return Some(true);
            }
            ended.then_some(false)
        });
        match found {
            Some(true) => {}
            Some(false) => {
                panic!("{} ended ({:?}) before it wrote {needle:?}\n{}", self.name, self.status, self.log())
            }
            None => panic!("{} did not write {needle:?} within {limit:?}\n{}", self.name, self.log()),
        }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        let pipe = self.child.stdin.as_mut().expect("standard input is open");
        pipe.write_all(bytes)
            .and_then(|()| pipe.flush())
            .unwrap_or_else(|e| panic!("write to {}: {e}", self.name));
    }

    pub fn close_stdin(&mut self) {
        self.child.stdin = None;
    }

    /// Sends a signal to the process alone.
    pub fn signal(&self, signal: i32) {
        if self.status.is_none() {
            // SAFETY: the child has not been reaped while `status` is none, so the pid is its own.
            unsafe { libc::kill(self.pid().cast_signed(), signal) };
        }
    }

    pub fn try_wait(&mut self) -> Option<ExitStatus> {
        if self.status.is_none() {
            self.status = self.child.try_wait().unwrap_or_else(|e| panic!("wait for {}: {e}", self.name));
        }
        self.status
    }

    /// Waits for the end and for the last of the output.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let status = poll(limit, || self.try_wait())
            .unwrap_or_else(|| panic!("{} did not end within {limit:?}\n{}", self.name, self.log()));
        // A grandchild may hold the pipes open: the output is then what has arrived so far.
        poll(Duration::from_secs(1), || self.readers.iter().all(JoinHandle::is_finished).then_some(()));
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the group was made for this child; its members are the child's own descendants.
        unsafe { libc::kill(-self.pid().cast_signed(), libc::SIGKILL) };
        if self.status.is_none() {
            self.child.wait().ok();
        }
    }
}

/// Runs a command to its end and returns its standard output; fails if it fails.
pub fn output(name: &str, command: &mut Command) -> String {
    let mut process = Process::start(name, command);
    process.close_stdin();
    let status = process.wait(LONG * 6);
    assert!(status.success(), "{name} failed with {status}: {command:?}\n{}", process.log());
    process.stdout()
}

fn collect(mut pipe: impl Read + Send + 'static, output: &Output) -> JoinHandle<()> {
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(length @ 1..) = pipe.read(&mut buffer) {
            let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
            output.extend(&buffer[..length]);
            let excess = output.len().saturating_sub(KEPT);
            output.drain(..excess);
        }
    })
}

fn text(output: &Output) -> String {
    let mut output = output.lock().unwrap_or_else(PoisonError::into_inner);
    String::from_utf8_lossy(output.make_contiguous()).into_owned()
}

/// Children of a process, whichever of its threads made them.
fn children(pid: u32) -> Vec<u32> {
    let Ok(processes) = fs::read_dir("/proc") else { return Vec::new() };
    processes
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|&child| parent(child) == Some(pid))
        .collect()
}

/// The fourth field of `stat`; the second, the name, may contain blanks and parentheses.
fn parent(pid: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
