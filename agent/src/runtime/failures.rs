//! Failures that tracing survives.

use std::{collections::BTreeMap, fmt::Display};

/// How often each side activity failed. The log names the first failure of each.
#[derive(Debug, Default)]
pub(super) struct Failures(BTreeMap<&'static str, u64>);

impl Failures {
    /// Notes how `what` went; its value if it went well.
    pub(super) fn note<T, E: Display>(&mut self, what: &'static str, result: Result<T, E>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                let count = self.0.entry(what).or_default();
                *count += 1;
                if *count == 1 {
                    tracing::warn!("{what} failed: {error:#}; tracing goes on, further failures are counted");
                }
                None
            }
        }
    }

    pub(super) fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_is_counted_under_its_name() {
        let mut failures = Failures::default();
        assert_eq!(failures.note::<_, String>("a", Ok(1)), Some(1));
        for _ in 0..2 {
            assert_eq!(failures.note::<(), _>("a", Err("x")), None);
        }
        failures.note::<(), _>("b", Err("y"));
        assert_eq!(failures.counts(), BTreeMap::from([("a", 2), ("b", 1)]));
    }
}
