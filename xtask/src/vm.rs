//! `cargo xtask vm`: runs a command on another kernel.
//!
//! A Debian kernel boots in QEMU without KVM, sees the host's whole file tree read-only with a
//! writable layer on top, runs one command as root and powers off. Nothing is installed in or
//! left behind on the host but `.work/vm`. Times under emulation mean nothing; counts do.

mod guest;
mod initramfs;
mod kernel;

use std::{
    path::Path,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use anyhow::{Result, bail, ensure};

use self::kernel::Kernel;
pub(crate) use self::kernel::Series;
use crate::{exec, packages, test};

/// How long a guest may take unless said otherwise, boot included: emulated, on a busy machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(600);

/// What the names of the live tests that run in guests have in them.
const SMOKE: &str = "smoke";

/// Guests that test at once, where there are several: one alone leaves a part of the machine idle.
const GUESTS: usize = 2;

/// Runs a command on each of the kernels; returns the first status that is not 0.
pub(crate) fn run(command: &[String], kernels: &[Series], timeout: Duration) -> Result<u8> {
    prepare()?;
    let job = given(command);
    let mut first = 0;
    for &series in kernels {
        let kernel = kernel::fetch(series)?;
        eprintln!("--- kernel {}", kernel.release);
        let status = guest::run(&kernel, &job, timeout)?;
        eprintln!("--- kernel {}: exit status {status}", kernel.release);
        if first == 0 {
            first = status;
        }
    }
    Ok(first)
}

/// Runs the smoke part of the live tests on each of the kernels; returns whether it passed, in their order. What a guest
/// wrote is shown when it ended.
pub(crate) fn smoke(program: &Path, kernels: &[Series], timeout: Duration) -> Result<Vec<Result<()>>> {
    prepare()?;
    let tests = test::executable("live")?;
    let list = exec::text(exec::command(&tests).args([SMOKE, "--list"]))?;
    // No test would be no failure either.
    ensure!(list.contains(": test"), "{} has no test whose name has `{SMOKE}` in it", tests.display());
    let directory = exec::root().join("tests").display().to_string();
    let job = Job {
        command: vec![tests.display().to_string(), SMOKE.to_owned()],
        environment: vec![
            ("SPANDREL".to_owned(), program.display().to_string()),
            ("CARGO_MANIFEST_DIR".to_owned(), directory.clone()),
        ],
        directory,
    };
    let fetched: Vec<_> = kernels.iter().map(|&series| kernel::fetch(series)).collect();
    Ok(fetched
        .chunks(GUESTS)
        .flat_map(|together| {
            thread::scope(|scope| {
                let job = &job;
                let guest = |fetched| scope.spawn(move || shown(fetched, job, timeout));
                let guests: Vec<_> = together.iter().map(guest).collect();
                let join = |guest: ScopedJoinHandle<'_, _>| match guest.join() {
                    Ok(status) => status,
                    Err(panic) => std::panic::resume_unwind(panic),
                };
                guests.into_iter().map(join).collect::<Vec<Result<u8>>>()
            })
        })
        .map(|status| {
            let status = status?;
            ensure!(status == 0, "exit status {status}");
            Ok(())
        })
        .collect())
}

fn shown(fetched: &Result<Kernel>, job: &Job, timeout: Duration) -> Result<u8> {
    match fetched {
        Ok(kernel) => guest::shown(kernel, job, timeout),
        Err(error) => bail!("{error:#}"),
    }
}

/// What a command prints on another kernel, whatever its status.
pub(crate) fn output(series: Series, command: &[&str]) -> Result<String> {
    prepare()?;
    let command: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    guest::output(&kernel::fetch(series)?, &given(&command), TIMEOUT)
}

fn prepare() -> Result<()> {
    if std::env::consts::ARCH != "x86_64" {
        bail!("the guest kernels are x86-64 ones: this machine is {}", std::env::consts::ARCH);
    }
    packages::ensure(packages::VM, "QEMU and what a guest is made of")
}

/// What the guest executes.
struct Job {
    command: Vec<String>,
    environment: Vec<(String, String)>,
    directory: String,
}

fn given(command: &[String]) -> Job {
    // One word is a line for the shell, more are a program and its arguments.
    let command = match command {
        [line] => vec!["/bin/sh".to_owned(), "-c".to_owned(), line.clone()],
        words => words.to_vec(),
    };
    Job { command, environment: Vec::new(), directory: exec::root().display().to_string() }
}
