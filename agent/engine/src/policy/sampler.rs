//! Sampler: which traces are exported, by the standard values of `OTEL_TRACES_SAMPLER`.
//!
//! * A sampler decides where a trace enters this host. What is linked to a parent on this host has that one's
//!   decision, so that no trace is partial here.
//! * The ratio is that of OpenTelemetry's consistent probability sampling (specification,
//!   trace/tracestate-probability-sampling.md): a trace is kept if its randomness is not below the rejection
//!   threshold. So agents with the same ratio agree about a trace, and one with a larger ratio keeps all that
//!   one with a smaller ratio keeps.
//! * Randomness is `rv` of tracestate's `ot` member, else the low 56 bits of the trace id, whether the header
//!   says that these are random or not: nothing else is known to all.

mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use self::state::Ot;
use crate::span::TraceId;

/// Values of `OTEL_TRACES_SAMPLER` that are understood.
pub const SAMPLERS: [&str; 6] = [
    "always_on",
    "always_off",
    "traceidratio",
    "parentbased_always_on",
    "parentbased_always_off",
    "parentbased_traceidratio",
];

/// Randomness and thresholds have this many bits, 14 hexadecimal digits.
const BITS: u32 = 56;
const DIGITS: u32 = BITS / 4;
const RANDOMNESS: u64 = (1 << BITS) - 1;
/// Digits of a threshold that count, after those that a small ratio begins with (specification: 4).
const PRECISION: u32 = 4;

/// Which traces are exported.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampler {
    /// A decision that a header carries is kept.
    parent_based: bool,
    root: Root,
}

/// How it decides about a trace that nobody has decided about.
#[derive(Clone, Debug, PartialEq)]
enum Root {
    On,
    Off,
    /// `state`: what the tracestate of a new trace says about it.
    Ratio {
        threshold: u64,
        state: Arc<str>,
    },
}

/// Why text is no sampler.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SamplerError {
    #[error("`{name}` is no sampler; expected one of {}", SAMPLERS.join(", "))]
    Name { name: String },
    #[error("`{argument}` is no ratio; expected a number from 0 to 1")]
    Argument { argument: String },
}

/// What a sampler says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    pub(crate) state: Option<Arc<str>>,
}

impl Default for Sampler {
    /// `parentbased_always_on`, the standard's default.
    fn default() -> Self {
        Self { parent_based: true, root: Root::On }
    }
}

impl Sampler {
    /// Of the values of `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG`. Samplers that take no argument
    /// ignore it; a ratio without one is 1.
    pub fn parse(name: &str, argument: Option<&str>) -> Result<Self, SamplerError> {
        let (parent_based, root) = match name.strip_prefix("parentbased_") {
            Some(root) => (true, root),
            None => (false, name),
        };
        let root = match root {
            "always_on" => Root::On,
            "always_off" => Root::Off,
            "traceidratio" => match argument {
                None => Root::ratio(1.0),
                Some(text) => {
                    let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
                    Root::ratio(ratio.ok_or_else(|| SamplerError::Argument { argument: text.to_owned() })?)
                }
            },
            _ => return Err(SamplerError::Name { name: name.to_owned() }),
        };
        Ok(Self { parent_based, root })
    }

    /// About a trace that starts here or comes with a header; `decided` and `state`: what the header says.
    pub(crate) fn decide(&self, trace: TraceId, decided: Option<bool>, state: Option<&Arc<str>>) -> Decision {
        let ot = state.map(|state| Ot::of(state)).unwrap_or_default();
        let randomness = ot.randomness.unwrap_or(trace.0 as u64 & RANDOMNESS);
        let sampled = match (decided.filter(|_| self.parent_based), &self.root) {
            (Some(decided), _) => decided,
            (None, Root::On) => true,
            (None, Root::Off) => false,
            (None, Root::Ratio { threshold, state: new }) => {
                let sampled = randomness >= *threshold;
                let state = sampled.then(|| match state {
                    None => Arc::clone(new),
                    Some(state) => state::with_threshold(state, Some(*threshold)),
                });
                return Decision { sampled, state };
            }
        };
        // A threshold that does not explain the decision says something wrong about how many such traces there are.
        let explains = ot.threshold.is_none_or(|threshold| (randomness >= threshold) == sampled);
        let state =
            state.map(|state| if explains { Arc::clone(state) } else { state::with_threshold(state, None) });
        Decision { sampled, state: state.filter(|state| !state.is_empty()) }
    }
}

impl Root {
    /// By the specification's "converting floating-point probability to threshold value".
    fn ratio(ratio: f64) -> Self {
        // Below the smallest probability that is defined, 2^-56, is never.
        let kept = (ratio * (1_u64 << BITS) as f64).round() as u64;
        let bits = u64::BITS.saturating_sub(kept.leading_zeros());
        if kept == 0 {
            return Self::Off;
        }
        let precision = PRECISION.saturating_add(BITS.saturating_sub(bits) / 4).min(DIGITS);
        let shift = DIGITS.saturating_sub(precision).saturating_mul(4);
        let exact = (1_u64 << BITS).saturating_sub(kept);
        let half = (1_u64 << shift) >> 1;
        let threshold = exact.saturating_add(half) >> shift << shift;
        Self::Ratio { threshold, state: state::with_threshold("", Some(threshold)) }
    }
}
