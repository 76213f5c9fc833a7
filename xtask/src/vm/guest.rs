//! One run of QEMU.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use super::{Job, initramfs, kernel::Kernel};
use crate::exec;

/// Boots the kernel, runs the job, and returns the job's exit status.
pub(crate) fn run(kernel: &Kernel, job: &Job, timeout: Duration) -> Result<u8> {
    Ok(boot(kernel, job, timeout, Stdio::inherit())?.0)
}

/// Boots the kernel, runs the job, and returns what it wrote.
pub(crate) fn output(kernel: &Kernel, job: &Job, timeout: Duration) -> Result<String> {
    Ok(boot(kernel, job, timeout, Stdio::piped())?.1)
}

fn boot(kernel: &Kernel, job: &Job, timeout: Duration, stdout: Stdio) -> Result<(u8, String)> {
    // Its own, so that guests of one kernel can run side by side.
    let run = kernel.directory.join(format!("run-{}", std::process::id()));
    fs::create_dir_all(&run).with_context(|| format!("cannot create {}", run.display()))?;
    let result = boot_in(&run, kernel, job, timeout, stdout);
    fs::remove_dir_all(&run).with_context(|| format!("cannot remove {}", run.display()))?;
    result
}

fn boot_in(run: &Path, kernel: &Kernel, job: &Job, timeout: Duration, stdout: Stdio) -> Result<(u8, String)> {
    let initramfs = run.join("initramfs.cpio");
    let status = run.join("status");
    let messages = kernel.directory.join("messages"); // stays: the first thing to look at
    initramfs::write(kernel, job, &initramfs)?;

    let mut qemu = exec::command("qemu-system-x86_64");
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    qemu.args(["-accel", "tcg,thread=multi", "-cpu", "max", "-smp", "2", "-m", "2048"]);
    qemu.arg("-kernel").arg(&kernel.image).arg("-initrd").arg(&initramfs);
    qemu.args(["-append", "console=ttyS0 panic=-1 oops=panic quiet loglevel=5 net.ifnames=0"]);
    qemu.args(["-virtfs", "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"]);
    qemu.arg("-serial").arg(format!("file:{}", messages.display()));
    qemu.args(["-chardev", "stdio,id=output,signal=off", "-serial", "chardev:output"]);
    qemu.arg("-serial").arg(format!("file:{}", status.display()));
    qemu.stdin(Stdio::null()).stdout(stdout);

    let line = exec::describe(&qemu);
    eprintln!("+ {line}");
    let mut child = qemu.spawn().with_context(|| format!("cannot start: {line}"))?;
    let reader = child.stdout.take().map(|stdout| std::thread::spawn(move || read(stdout)));
    let ended = wait(&mut child, timeout)?;
    let written = reader.and_then(|reader| reader.join().ok()).unwrap_or_default();
    let seen = format!("the kernel's messages are in {}", messages.display());
    if !ended {
        bail!("the guest was stopped after {} s; {seen}", timeout.as_secs());
    }
    let text = fs::read_to_string(&status).with_context(|| format!("cannot read {}", status.display()))?;
    let code = text.trim().strip_prefix("exit ").and_then(|code| code.parse().ok());
    let code = code.with_context(|| format!("the guest ended without an exit status; {seen}"))?;
    Ok((code, written))
}

/// All that the guest wrote, up to its end.
fn read(mut stdout: ChildStdout) -> String {
    let mut bytes = Vec::new();
    if let Err(error) = stdout.read_to_end(&mut bytes) {
        eprintln!("warning: cannot read all of the guest's output: {error}");
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Waits for the child's end; after the time is up, ends it and says false.
fn wait(child: &mut Child, timeout: Duration) -> Result<bool> {
    let start = Instant::now();
    loop {
        if child.try_wait().context("cannot wait for QEMU")?.is_some() {
            return Ok(true);
        }
        if start.elapsed() >= timeout {
            child.kill().and_then(|()| child.wait()).context("cannot stop QEMU")?;
            return Ok(false);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
