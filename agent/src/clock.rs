//! Clock: kernel time to wall time.
//!
//! Spans are timed by `CLOCK_MONOTONIC`, so that a clock step never makes a duration negative. What is exported is wall
//! time: kernel time plus an offset that is the same for both ends of a span. The offset is measured anew each second,
//! and whenever spans are handed to the exporter, which is what makes it right soon after a clock step and after a
//! suspend (the monotonic clock stands still during one).

use std::sync::atomic::{AtomicI64, Ordering};

use engine::event::Time;

/// Tries of one measurement: one that was interrupted between its two readings is worse than the others.
const TRIES: usize = 5;

/// Changes below this are left alone: measurements scatter by some ten nanoseconds, which would be enough to start a
/// child before its parent when the two are handed over one after the other.
const HYSTERESIS: u64 = 5_000;

/// The offset between kernel time and wall time.
#[derive(Debug)]
pub struct Clock {
    offset: AtomicI64,
    measure: fn() -> i64,
}

/// The offset as it was at one moment, for both ends of a span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offset(i64);

impl Default for Clock {
    fn default() -> Self {
        Self::measured_by(measure)
    }
}

impl Clock {
    fn measured_by(measure: fn() -> i64) -> Self {
        Self { offset: AtomicI64::new(measure()), measure }
    }

    /// Measures the offset anew; called each second. Under a microsecond of CPU.
    pub fn refresh(&self) -> Offset {
        let old = self.offset.load(Ordering::Relaxed);
        let new = (self.measure)();
        if new.abs_diff(old) < HYSTERESIS {
            return Offset(old);
        }
        self.offset.store(new, Ordering::Relaxed);
        Offset(new)
    }

    /// The offset of the last measurement.
    pub fn offset(&self) -> Offset {
        Offset(self.offset.load(Ordering::Relaxed))
    }

    /// Wall time in nanoseconds since 1970 of a kernel time.
    pub fn wall(&self, time: Time) -> u64 {
        self.offset().wall(time)
    }
}

impl Offset {
    /// Wall time in nanoseconds since 1970 of a kernel time.
    pub fn wall(self, time: Time) -> u64 {
        time.saturating_add_signed(self.0)
    }
}

/// Wall time minus kernel time: the wall clock is read between two readings of the kernel's, and of several such
/// pairs the closest counts.
fn measure() -> i64 {
    let mut best = (u64::MAX, 0);
    for _ in 0..TRIES {
        let before = read(libc::CLOCK_MONOTONIC);
        let wall = read(libc::CLOCK_REALTIME);
        let after = read(libc::CLOCK_MONOTONIC);
        let width = after.saturating_sub(before);
        if width < best.0 {
            best = (width, wall.wrapping_sub(before + width / 2).cast_signed());
        }
    }
    best.1
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a timespec that outlives the call. The call cannot fail: both clocks exist on every Linux.
    unsafe { libc::clock_gettime(clock, &mut time) };
    time.tv_sec.cast_unsigned().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::AtomicI64,
        time::{SystemTime, UNIX_EPOCH},
    };

    use super::*;

    #[test]
    fn kernel_time_now_is_wall_time_now() {
        let clock = Clock::default();
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let now = clock.wall(read(libc::CLOCK_MONOTONIC));
        let after = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        assert!(now + 100_000 > before && now < after + 100_000, "{before} {now} {after}");
    }

    #[test]
    fn the_scatter_of_measurements_is_ignored_and_a_step_is_followed() {
        static MEASURED: AtomicI64 = AtomicI64::new(1_000_000_000);
        let clock = Clock::measured_by(|| MEASURED.load(Ordering::Relaxed));
        assert_eq!(clock.wall(5), 1_000_000_005);
        MEASURED.store(1_000_000_900, Ordering::Relaxed);
        assert_eq!(clock.refresh().wall(5), 1_000_000_005);
        MEASURED.store(-7, Ordering::Relaxed);
        clock.refresh();
        assert_eq!(clock.wall(10), 3);
        assert_eq!(clock.wall(5), 0, "before 1970 is 1970, not a panic");
    }
}
