//! The `ot` member of a tracestate (specification, trace/tracestate-handling.md): `ot=th:e666;rv:...`.

use std::{fmt::Write as _, sync::Arc};

use super::DIGITS;

/// Longest value of a member (W3C trace context level 2, 3.3.1.3.2), and most members of a list (3.3.1.1).
const VALUE_MAX: usize = 256;
const MEMBERS_MAX: usize = 32;
/// Longest list that has to be handed on (3.3.1.5).
const STATE_MAX: usize = 512;

/// What the `ot` member says; what cannot be read is not there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ot {
    /// `rv`: the randomness of the trace.
    pub(super) randomness: Option<u64>,
    /// `th`: below it traces were rejected.
    pub(super) threshold: Option<u64>,
}

impl Ot {
    pub(super) fn of(state: &str) -> Self {
        let mut ot = Self::default();
        for (key, value) in members(state).find_map(value_of).into_iter().flat_map(parts) {
            match key {
                // Exactly 14 digits; a threshold leaves out trailing zeros.
                "rv" if value.len() == DIGITS as usize => ot.randomness = digits(value),
                "th" => ot.threshold = digits(value),
                _ => {}
            }
        }
        ot
    }
}

/// The list with this threshold in its `ot` member, or without one. Everything else stays as it is; a member
/// that is changed comes first (W3C, 3.5). A list that has no room for it stays as it is.
pub(super) fn with_threshold(state: &str, threshold: Option<u64>) -> Arc<str> {
    let mut new = String::with_capacity(state.len().saturating_add(24));
    if let Some(threshold) = threshold {
        let width = DIGITS as usize;
        let mut digits = format!("{threshold:0width$x}");
        let kept = digits.trim_end_matches('0').len().max(1);
        digits.truncate(kept);
        // Writing to a String does not fail.
        _ = write!(new, "ot=th:{digits}");
    }
    for (key, value) in members(state).find_map(value_of).into_iter().flat_map(parts) {
        if key != "th" {
            new.push_str(if new.is_empty() { "ot=" } else { ";" });
            new.push_str(key);
            new.push(':');
            new.push_str(value);
        }
    }
    let own = new.len();
    let mut count = usize::from(own > 0);
    for member in members(state).filter(|member| value_of(member).is_none()) {
        if !new.is_empty() {
            new.push(',');
        }
        new.push_str(member);
        count = count.saturating_add(1);
    }
    let fits = own <= VALUE_MAX.saturating_add("ot=".len()) && new.len() <= STATE_MAX && count <= MEMBERS_MAX;
    if fits { new.into() } else { state.into() }
}

fn members(state: &str) -> impl Iterator<Item = &str> {
    state.split(',').map(|member| member.trim_matches([' ', '\t'])).filter(|member| !member.is_empty())
}

/// The value of the `ot` member, if it is this one. A tenant's (`...@ot`) has no meaning here.
fn value_of(member: &str) -> Option<&str> {
    member.strip_prefix("ot=")
}

fn parts(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value.split(';').filter_map(|part| part.split_once(':'))
}

/// Up to 14 hexadecimal digits, filled up with zeros behind.
fn digits(text: &str) -> Option<u64> {
    if text.is_empty() || text.len() > DIGITS as usize || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let missing = (DIGITS as usize).saturating_sub(text.len());
    let number = u64::from_str_radix(text, 16).ok()?;
    number.checked_shl(u32::try_from(missing.saturating_mul(4)).ok()?)
}
