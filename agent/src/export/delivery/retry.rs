//! Retry: how long to wait before sending a request again.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

const FIRST: Duration = Duration::from_millis(200);
/// A collector that is back gets spans within this time.
const LONGEST: Duration = Duration::from_secs(10);
/// The longest wait that a collector may ask for: it must not be able to turn the export off.
const LONGEST_ASKED: Duration = Duration::from_secs(300);

/// Exponential back-off with jitter, so that many agents do not come back at once.
#[derive(Debug)]
pub(super) struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Backoff {
    /// The next wait: half to all of the step. If the collector asks for a wait, never less than that, and up to a fifth
    /// more: it says the same to all agents.
    pub(super) fn next(&mut self, asked: Option<Duration>) -> Duration {
        let step = self.next;
        self.next = (step * 2).min(LONGEST);
        let jittered = step.mul_f64(0.5 + 0.5 * random());
        let Some(asked) = asked.map(|asked| asked.min(LONGEST_ASKED)) else { return jittered };
        let spread = (asked / 5).clamp(FIRST, LONGEST);
        (asked + spread.mul_f64(random())).max(jittered)
    }
}

/// From 0 to 1. The keys of a new hasher are random, and this is all the randomness that the export needs.
fn random() -> f64 {
    let bits = RandomState::new().hash_one(()) >> 11;
    bits as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_with_jitter_up_to_a_bound() {
        let mut backoff = Backoff::default();
        let mut step = FIRST;
        for _ in 0..20 {
            let wait = backoff.next(None);
            assert!(wait >= step / 2 && wait <= step, "{wait:?} for {step:?}");
            step = (step * 2).min(LONGEST);
        }
        assert_eq!(step, LONGEST);
    }

    #[test]
    fn what_the_collector_asks_for_is_honoured_within_reason() {
        let asked = |seconds| Some(Duration::from_secs(seconds));
        for (seconds, least, spread) in [
            (7, Duration::from_secs(7), Duration::from_millis(1400)),
            (1_000_000, LONGEST_ASKED, LONGEST),
            (0, FIRST / 2, FIRST / 2),
        ] {
            for _ in 0..100 {
                let wait = Backoff::default().next(asked(seconds));
                assert!(wait >= least && wait <= least + spread, "{wait:?} for {seconds}");
            }
        }
    }

    #[test]
    fn many_agents_come_back_at_different_times() {
        for asked in [None, Some(Duration::from_secs(7)), Some(Duration::ZERO)] {
            let waits: Vec<_> = (0..200).map(|_| Backoff::default().next(asked)).collect();
            let different: std::collections::BTreeSet<_> = waits.iter().collect();
            assert!(different.len() > 190, "{} of {} for {asked:?}", different.len(), waits.len());
            let (least, most) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
            assert!(*most - *least > FIRST / 4, "{least:?} to {most:?} for {asked:?}");
        }
    }
}
