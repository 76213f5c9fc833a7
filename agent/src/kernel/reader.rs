//! The ring's reading end.

use std::{
    io,
    os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd},
    time::Duration,
};

use aya::maps::{MapData, RingBuf};

/// Marks the descriptor that [`Reader::watch`] added.
const WATCHED: u64 = 1;
const RING: u64 = 0;

/// Reads records. The kernel side wakes it only when the ring fills up, so it is drained on a timer.
pub struct Reader {
    ring: RingBuf<MapData>,
    wait: Wait,
}

impl Reader {
    pub(super) fn new(ring: RingBuf<MapData>) -> io::Result<Self> {
        let wait = Wait::new(ring.as_raw_fd())?;
        Ok(Self { ring, wait })
    }

    /// Lets waiting end when this descriptor is readable too.
    pub fn watch(&self, fd: RawFd) -> io::Result<()> {
        self.wait.add(fd, libc::EPOLLIN, WATCHED)
    }

    /// Waits until the ring asks to be drained, what is watched becomes readable, or the time is over. Whether the
    /// second was the case.
    pub fn wait(&self, time: Duration) -> io::Result<bool> {
        self.wait.wait(time)
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

/// The ring is readable whenever it holds a record. Waiting for that would spin under load, so it is waited for the
/// moment the kernel side wakes its readers: edge-triggered.
struct Wait(OwnedFd);

impl Wait {
    fn new(ring: RawFd) -> io::Result<Self> {
        // SAFETY: the call takes no pointers.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor is new and nobody else's.
        let wait = Self(unsafe { OwnedFd::from_raw_fd(fd) });
        wait.add(ring, libc::EPOLLIN | libc::EPOLLET, RING)?;
        Ok(wait)
    }

    fn add(&self, fd: RawFd, events: libc::c_int, mark: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: mark };
        // SAFETY: the event lives through the call.
        let result = unsafe { libc::epoll_ctl(self.0.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Whether the watched descriptor is readable.
    fn wait(&self, time: Duration) -> io::Result<bool> {
        let mut events = [libc::epoll_event { events: 0, u64: RING }; 2];
        let timeout = i32::try_from(time.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the array lives through the call and has room for two events.
        let result = unsafe { libc::epoll_wait(self.0.as_raw_fd(), events.as_mut_ptr(), 2, timeout) };
        match usize::try_from(result) {
            Ok(count) => Ok(events.iter().take(count).any(|event| event.u64 == WATCHED)),
            Err(_) => {
                let error = io::Error::last_os_error();
                if error.kind() == io::ErrorKind::Interrupted { Ok(false) } else { Err(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write as _, time::Instant};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(10);

    #[test]
    fn what_is_left_in_the_ring_does_not_end_the_wait_but_a_wake_up_does() {
        let (ring, mut writer) = io::pipe().unwrap();
        let wait = Wait::new(ring.as_raw_fd()).unwrap();
        writer.write_all(b"a").unwrap();
        assert!(!wait.wait(LONG).unwrap(), "woken");
        let begun = Instant::now();
        assert!(!wait.wait(SHORT).unwrap());
        assert!(begun.elapsed() >= SHORT, "only the timer ends this wait");
        writer.write_all(b"b").unwrap();
        assert!(!wait.wait(LONG).unwrap(), "woken again");
    }

    #[test]
    fn what_is_watched_ends_the_wait_until_it_is_read() {
        let (ring, _writer) = io::pipe().unwrap();
        let (signals, mut sender) = io::pipe().unwrap();
        let wait = Wait::new(ring.as_raw_fd()).unwrap();
        wait.add(signals.as_raw_fd(), libc::EPOLLIN, WATCHED).unwrap();
        sender.write_all(b"a").unwrap();
        assert!(wait.wait(LONG).unwrap());
        assert!(wait.wait(LONG).unwrap());
    }
}
