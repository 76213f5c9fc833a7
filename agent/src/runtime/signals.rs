//! Signals as something that can be waited for, and what they mean for a traced command.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
};

/// The signals that are taken from the default handling.
const TAKEN: [libc::c_int; 11] = [
    libc::SIGINT,
    libc::SIGTERM,
    libc::SIGHUP,
    libc::SIGQUIT,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCHLD,
    libc::SIGWINCH,
    libc::SIGCONT,
    libc::SIGTSTP,
];

/// Pending signals, and the command that they are passed on to.
pub struct Signals {
    fd: OwnedFd,
    /// The traced command of `run`, until it ended.
    child: Option<libc::pid_t>,
    /// How it ended, as `waitpid` says.
    ended: Option<libc::c_int>,
}

impl Signals {
    /// Blocks the signals in this thread and those it starts. To be called before there are any others.
    pub fn block() -> io::Result<Self> {
        // Where it is ignored, no child can be waited for.
        // SAFETY: the default handling runs no code of ours.
        if unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) } == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
        let set = set();
        // SAFETY: the set is initialised; the old mask is not asked for.
        let result = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if result != 0 {
            return Err(io::Error::from_raw_os_error(result));
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        Ok(Self { fd: unsafe { OwnedFd::from_raw_fd(fd) }, child: None, ended: None })
    }

    /// Passes signals on to this process from now on; its end ends the tracing.
    pub fn follow(&mut self, child: u32) {
        self.child = libc::pid_t::try_from(child).ok();
    }

    /// How the followed process ended, as `waitpid` says.
    pub fn ended(&self) -> Option<libc::c_int> {
        self.ended
    }

    /// To be waited for.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Handles what is pending. Whether it is over.
    pub fn handle(&mut self) -> io::Result<bool> {
        while let Some(info) = self.next()? {
            let number = info.ssi_signo as libc::c_int;
            let child = self.child;
            match child {
                Some(child) if number == libc::SIGCHLD && self.reap(child)? => return Ok(true),
                // Another child, or a stop.
                Some(_) if number == libc::SIGCHLD => {}
                // The terminal sends its signals to the command as well, which may live on.
                Some(child) if info.ssi_code <= 0 => {
                    // SAFETY: a child that was not waited for keeps its id. It may have ended: nothing to tell then.
                    unsafe { libc::kill(child, number) };
                }
                Some(_) => {}
                None if number == libc::SIGINT || number == libc::SIGTERM || number == libc::SIGHUP => {
                    return Ok(true);
                }
                None => {}
            }
            if number == libc::SIGTSTP {
                // The one signal of those taken whose default handling is to stop.
                // SAFETY: the call takes no pointers.
                unsafe { libc::raise(libc::SIGSTOP) };
            }
        }
        Ok(false)
    }

    /// Passes signals on until the followed process ends, and does nothing else.
    pub fn wait(&mut self) -> io::Result<()> {
        while self.child.is_some() {
            let mut fd = libc::pollfd { fd: self.fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: the one descriptor lives through the call.
            if unsafe { libc::poll(&raw mut fd, 1, -1) } < 0 {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            self.handle()?;
        }
        Ok(())
    }

    fn next(&self) -> io::Result<Option<libc::signalfd_siginfo>> {
        let mut info = std::mem::MaybeUninit::<libc::signalfd_siginfo>::zeroed();
        let size = size_of::<libc::signalfd_siginfo>();
        // SAFETY: the buffer is of the size that is read.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
        if usize::try_from(read) == Ok(size) {
            // SAFETY: filled in by the kernel; zeroes are valid too.
            return Ok(Some(unsafe { info.assume_init() }));
        }
        let error = io::Error::last_os_error();
        if error.kind() == io::ErrorKind::WouldBlock { Ok(None) } else { Err(error) }
    }

    fn reap(&mut self, child: libc::pid_t) -> io::Result<bool> {
        let mut status = 0;
        // SAFETY: `status` lives through the call.
        match unsafe { libc::waitpid(child, &raw mut status, libc::WNOHANG) } {
            0 => Ok(false),
            found if found == child => {
                self.ended = Some(status);
                self.child = None;
                Ok(true)
            }
            _ => Err(io::Error::last_os_error()),
        }
    }
}

fn set() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set; the signals are valid numbers.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in TAKEN {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        set.assume_init()
    }
}
