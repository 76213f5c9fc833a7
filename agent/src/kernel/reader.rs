//! The ring's reading end.

use std::{
    io,
    os::fd::{AsRawFd as _, RawFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};

/// Reads records. The kernel side wakes it only when the ring fills up, so it is drained on a timer.
pub struct Reader {
    ring: RingBuf<MapData>,
}

impl Reader {
    pub(super) fn new(ring: RingBuf<MapData>) -> Self {
        Self { ring }
    }

    /// Waits until the ring asks to be drained, `wake` becomes readable, or the time is over. Whether `wake` did.
    pub fn wait(&self, wake: RawFd, time: Duration) -> io::Result<bool> {
        let mut fds =
            [self.ring.as_raw_fd(), wake].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        let timeout = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array lives through the call and its length is right.
        let result = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) };
        if result < 0 {
            let error = io::Error::last_os_error();
            return if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) };
        }
        let [_, wake] = fds;
        Ok(wake.revents != 0)
    }

    /// Hands out at most `limit` records. The number handed out.
    pub fn drain(&mut self, limit: usize, mut take: impl FnMut(&[u8])) -> usize {
        let mut count = 0;
        while count < limit
            && let Some(record) = self.ring.next()
        {
            take(&record);
            count += 1;
        }
        count
    }
}
