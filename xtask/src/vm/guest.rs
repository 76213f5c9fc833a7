//! One run of QEMU.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, ChildStdout, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Job, initramfs, kernel::Kernel};
use crate::exec;

/// How often a kernel is booted that ends before it could start the job, or by a fault of the emulation. Emulated
/// kernels do now and then (timer calibration on a busy host), and that says nothing about the job.
const BOOTS: usize = 3;

/// What a kernel says that met a breakpoint of its own where there was none any more. While it patches a branch, the
/// first byte is a breakpoint; QEMU now and then executes it on one processor when the other has finished. One
/// processor alone, or one at a time, would not: but then threads stand still for 100 ms inside of a call.
const PATCHING: &str = "int3: 0000 [#1]";

/// Lines of the kernel's messages in an error.
const LAST_MESSAGES: usize = 30;

/// A panic ends QEMU. The check whether the timer interrupt works counts ticks against a delay loop, which a busy
/// host that emulates both fails; what QEMU emulates needs no check.
const APPEND: &str = "console=ttyS0 panic=-1 oops=panic no_timer_check quiet loglevel=5 net.ifnames=0";

/// What the guest writes before it starts the job, and what before the job's exit status.
pub(super) const STARTED: &str = "started";
pub(super) const EXIT: &str = "exit ";

/// What becomes of what the job writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Output {
    /// Shown as it comes.
    Shown,
    /// Shown in one piece, at the end of the guest, whatever that is.
    ShownAtEnd,
    Returned,
}

/// Boots the kernel, runs the job, and returns the job's exit status.
pub(crate) fn run(kernel: &Kernel, job: &Job, timeout: Duration) -> Result<u8> {
    Ok(boot(kernel, job, timeout, Output::Shown)?.0)
}

/// The same where other guests run meanwhile.
pub(crate) fn shown(kernel: &Kernel, job: &Job, timeout: Duration) -> Result<u8> {
    Ok(boot(kernel, job, timeout, Output::ShownAtEnd)?.0)
}

/// Boots the kernel, runs the job, and returns what it wrote.
pub(crate) fn output(kernel: &Kernel, job: &Job, timeout: Duration) -> Result<String> {
    Ok(boot(kernel, job, timeout, Output::Returned)?.1)
}

fn boot(kernel: &Kernel, job: &Job, timeout: Duration, output: Output) -> Result<(u8, String)> {
    // Its own, so that guests of one kernel can run side by side.
    let run = kernel.directory.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&run).with_context(|| format!("cannot create {}", run.display()))?;
    let mut result = boot_in(&run, kernel, job, timeout, output);
    for _ in 1..BOOTS {
        let Ok(Ended::Early { again: Some(why), what }) = &result else { break };
        eprintln!("warning: {why}, boots again: {what}");
        result = boot_in(&run, kernel, job, timeout, output);
    }
    fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    match result? {
        Ended::Whole { code, written } => Ok((code, written)),
        Ended::Early { what, .. } => bail!("{what}"),
    }
}

/// How a run of QEMU came to its end.
enum Ended {
    /// With the job's exit status, and what the job wrote.
    Whole { code: u8, written: String },
    /// Without one; `what` says so in words, and `again` why it is worth another try.
    Early { again: Option<&'static str>, what: String },
}

fn boot_in(run: &Path, kernel: &Kernel, job: &Job, timeout: Duration, output: Output) -> Result<Ended> {
    let initramfs = run.join("initramfs.cpio");
    let status = run.join("status");
    let messages = kernel.directory.join("messages"); // stays: the first thing to look at
    initramfs::write(kernel, job, &initramfs)?;

    let mut qemu = exec::command("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initramfs);
    qemu.args(["-append", APPEND]);
    qemu.args(["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]);
    qemu.arg("-serial").arg(format!("file:{}", messages.display()));
    qemu.args(["-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"]);
    qemu.arg("-serial").arg(format!("file:{}", status.display()));
    qemu.stdin(Stdio::null());
    qemu.stdout(if output == Output::Shown { Stdio::inherit() } else { Stdio::piped() });

    let line = exec::describe(&qemu);
    eprintln!("+ {line}");
    let mut child = qemu.spawn().with_context(|| format!("cannot start: {line}"))?;
    let reader = child.stdout.take().map(|stdout| std::thread::spawn(move || read(stdout)));
    let ended = wait(&mut child, timeout)?;
    let written = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    if output == Output::ShownAtEnd {
        eprintln!("--- kernel {}\n{written}", kernel.release);
    }
    let said = fs::read(&messages).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    let last = || last(&messages, &said);
    let Some(ended) = ended else {
        bail!("the guest was stopped after {} s; {}", timeout.as_secs(), last());
    };
    let text = fs::read_to_string(&status).with_context(|| format!("cannot read {}", status.display()))?;
    let code =
        text.lines().find_map(|line| line.trim().strip_prefix(EXIT)).and_then(|code| code.parse().ok());
    if let Some(code) = code {
        return Ok(Ended::Whole { code, written });
    }
    let started = text.lines().any(|line| line.trim() == STARTED);
    let what = format!("the guest ended without an exit status of the job (QEMU: {ended}); {}", last());
    let again = match (started, said.contains(PATCHING)) {
        (false, _) => Some("the job was not started"),
        (true, true) => Some("the emulation failed"),
        (true, false) => None,
    };
    Ok(Ended::Early { again, what })
}

/// The last of what the kernel said, and where all of it is.
fn last(messages: &Path, said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    let from = lines.len().saturating_sub(LAST_MESSAGES);
    let lines = lines.get(from..).unwrap_or_default().join("\n");
    format!("the kernel's messages are in {}, the last ones:\n{lines}", messages.display())
}

/// All that the guest wrote, up to its end.
fn read(mut stdout: ChildStdout) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stdout.read_to_end(&mut bytes) {
        eprintln!("warning: cannot read all of the guest's output: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the child's end; after the time is up, ends it and says nothing.
fn wait(child: &mut Child, timeout: Duration) -> Result<Option<ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for QEMU")? {
            return Ok(Some(status));
        }
        if start.elapsed() >= timeout {
            child.kill().and_then(|()| child.wait()).context("cannot stop QEMU")?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
