//! Ids: minted from one seed, so that the same records give the same spans.

use crate::span::{SpanId, TraceId};

/// A generator of ids (xoroshiro128++ by Blackman and Vigna: the whole seed is its state).
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    low: u64,
    high: u64,
}

impl Ids {
    pub(crate) fn new(seed: u128) -> Self {
        // An all-zero state would only ever give zeros.
        let seed = if seed == 0 { 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c834 } else { seed };
        let mut ids = Self { low: seed as u64, high: (seed >> 64) as u64 };
        // Seeds that differ in few bits give streams that differ in few bits at first.
        for _ in 0..16 {
            ids.number();
        }
        ids
    }

    /// Never zero; all bits are random (W3C trace context level 2 asks for the low 56).
    pub(crate) fn trace(&mut self) -> TraceId {
        loop {
            let id = (u128::from(self.number()) << 64) | u128::from(self.number());
            if id != 0 {
                return TraceId(id);
            }
        }
    }

    /// Never zero.
    pub(crate) fn span(&mut self) -> SpanId {
        loop {
            let id = self.number();
            if id != 0 {
                return SpanId(id);
            }
        }
    }

    fn number(&mut self) -> u64 {
        let (low, mut high) = (self.low, self.high);
        let result = low.wrapping_add(high).rotate_left(17).wrapping_add(low);
        high ^= low;
        self.low = low.rotate_left(49) ^ high ^ (high << 21);
        self.high = high.rotate_left(28);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_none_is_zero_or_repeated() {
        for seed in [0, 1, u128::MAX] {
            let (mut one, mut other) = (Ids::new(seed), Ids::new(seed));
            let mut seen = std::collections::HashSet::new();
            for _ in 0..10_000 {
                let id = one.span();
                assert_eq!(id, other.span());
                assert_ne!(id.0, 0);
                assert!(seen.insert(id));
            }
            assert_ne!(one.trace().0, 0);
        }
    }
}
