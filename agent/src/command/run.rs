//! `spandrel run -- COMMAND`: the command and its descendants, traced from their first instruction.

use std::{
    ffi::OsString,
    io::{self, PipeWriter, Read as _, Write as _},
    os::{
        fd::{AsRawFd as _, RawFd},
        unix::process::CommandExt as _,
    },
    process::{Child, Command},
    thread::JoinHandle,
};

use anyhow::{Context as _, Result, bail};

use super::{prepare, routes, setup};
use crate::{
    cli,
    export::Destination,
    process::Scope,
    runtime::{Session, inherited::Inherited, signals::Signals},
    telemetry,
};

/// What a shell says of a command that does not exist, and of one that cannot be started.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;
/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

pub(super) fn run(command: &cli::Run) -> Result<u8> {
    trace(&command.options, &command.command, None, &[Destination::Console])
}

pub(super) fn record(command: &cli::Record) -> Result<u8> {
    trace(&command.options, &command.command, Some(command), &[])
}

fn trace(
    options: &cli::Options,
    words: &[OsString],
    record: Option<&cli::Record>,
    default: &[Destination],
) -> Result<u8> {
    let inherited = Inherited::remember().context("cannot look at the signal mask and limits")?;
    let mut signals = Signals::block().context("cannot take signals")?;
    let config = prepare(options, telemetry::QUIET)?;
    let routes = routes(&config, default);
    let Some((program, arguments)) = words.split_first() else { bail!("no command is given") };
    let mut session = Session::start(setup(&config, Scope::Command, routes, record))?;
    let waiting = match Waiting::start(program, arguments, inherited) {
        Ok(waiting) => waiting,
        Err(error) => {
            session.finish().leave();
            return Err(error).context("cannot create a process for the command");
        }
    };
    session.pipeline().adopt(waiting.pid);
    let child = match waiting.release() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("spandrel: cannot start `{}`: {error}", program.display());
            session.finish().leave();
            let missing = error.kind() == io::ErrorKind::NotFound;
            return Ok(if missing { NOT_FOUND } else { NOT_STARTED });
        }
    };
    signals.follow(child.id());
    if let Err(error) = session.run(&mut signals) {
        tracing::error!("tracing ends before the command does: {error:#}");
    }
    let finished = session.finish();
    let failed = finished.record_failed();
    finished.leave();
    signals.wait().context("cannot wait for the command")?;
    let status = exit_status(signals.ended().unwrap_or_default());
    Ok(if status == 0 { u8::from(failed) } else { status })
}

/// The exit status that passes on how the command ended.
fn exit_status(status: libc::c_int) -> u8 {
    let code = if libc::WIFSIGNALED(status) {
        SIGNALLED + libc::WTERMSIG(status)
    } else {
        libc::WEXITSTATUS(status)
    };
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// A process that waits before its exec until the kernel side knows it.
struct Waiting {
    pid: u32,
    /// Lets it go on.
    go: PipeWriter,
    spawner: JoinHandle<io::Result<Child>>,
}

impl Waiting {
    fn start(program: &OsString, arguments: &[OsString], inherited: Inherited) -> io::Result<Self> {
        let (mut pid_reader, pid_writer) = io::pipe()?;
        let (go_reader, go) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments);
        let (writer, reader, closed) = (pid_writer.as_raw_fd(), go_reader.as_raw_fd(), go.as_raw_fd());
        // SAFETY: between fork and exec only async-signal-safe calls are made: getpid, write, close, read, and
        // those that restore limit and signals.
        unsafe {
            command.pre_exec(move || {
                wait(writer, reader, closed)?;
                inherited.restore()
            })
        };
        // Spawning returns after the exec, so that it needs a thread of its own.
        let spawner = std::thread::Builder::new().name("spawn".into()).spawn(move || {
            let child = command.spawn();
            drop((pid_writer, go_reader));
            child
        })?;
        let mut pid = [0; 4];
        if let Err(error) = pid_reader.read_exact(&mut pid) {
            // There was no fork: the spawner knows why.
            return Err(join(spawner).err().unwrap_or(error));
        }
        Ok(Self { pid: u32::from_ne_bytes(pid), go, spawner })
    }

    /// Lets the process start its command.
    fn release(mut self) -> io::Result<Child> {
        self.go.write_all(&[1])?;
        join(self.spawner)
    }
}

fn join(spawner: JoinHandle<io::Result<Child>>) -> io::Result<Child> {
    spawner.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts the command failed")))
}

/// In the new process: tells its id, waits for the word to go on.
fn wait(writer: RawFd, reader: RawFd, closed: RawFd) -> io::Result<()> {
    // SAFETY: the descriptors were open at the fork; the buffers are of the stated sizes.
    unsafe {
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(writer, pid.as_ptr().cast(), pid.len()) != pid.len().cast_signed() {
            return Err(io::Error::last_os_error());
        }
        // The end of the agent is then the end of the pipe.
        libc::close(closed);
        let mut go = 0_u8;
        if libc::read(reader, (&raw mut go).cast(), 1) != 1 {
            return Err(io::Error::from_raw_os_error(libc::ECANCELED));
        }
    }
    Ok(())
}
