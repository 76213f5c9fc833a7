//! What this process was started with and changes for itself: the traced command gets it as it was.

use std::{io, mem::MaybeUninit};

/// The state that a new process inherits.
#[derive(Clone, Copy)]
pub struct Inherited {
    mask: libc::sigset_t,
    /// What happens at the end of a child: the default, or it is ignored.
    child: libc::sighandler_t,
    locked: libc::rlimit,
}

impl Inherited {
    /// To be called before anything is changed: signals by [`super::signals::Signals::block`], the limit of locked
    /// memory when probes are loaded.
    pub fn remember() -> io::Result<Self> {
        let mut mask = MaybeUninit::<libc::sigset_t>::uninit();
        let mut child = MaybeUninit::<libc::sigaction>::uninit();
        let mut locked = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: nothing is set; each call fills in what it is given, and is checked.
        unsafe {
            match libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), mask.as_mut_ptr()) {
                0 => {}
                error => return Err(io::Error::from_raw_os_error(error)),
            }
            check(libc::sigaction(libc::SIGCHLD, std::ptr::null(), child.as_mut_ptr()))?;
            check(libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut locked))?;
            Ok(Self { mask: mask.assume_init(), child: child.assume_init().sa_sigaction, locked })
        }
    }

    /// Restores it. Safe between fork and exec.
    pub fn restore(&self) -> io::Result<()> {
        // SAFETY: the arguments are what the kernel said before; each is a system call only.
        unsafe {
            check(libc::setrlimit(libc::RLIMIT_MEMLOCK, &raw const self.locked))?;
            if libc::signal(libc::SIGCHLD, self.child) == libc::SIG_ERR {
                return Err(io::Error::last_os_error());
            }
            match libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut()) {
                0 => Ok(()),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
