//! Ids in hexadecimal, as the formats write them.

use super::Malformed;

/// Lower-case digits only, exactly as many as `text` has; at most 32.
pub(super) fn lower(text: &[u8]) -> Result<u128, Malformed> {
    if text.iter().any(u8::is_ascii_uppercase) {
        return Err(Malformed);
    }
    any(text)
}

/// Digits of either case, 1 to 32.
pub(super) fn any(text: &[u8]) -> Result<u128, Malformed> {
    if text.is_empty() || text.len() > 32 {
        return Err(Malformed);
    }
    text.iter().try_fold(0_u128, |number, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or(Malformed)?;
        Ok((number << 4) | u128::from(digit))
    })
}

/// 1 to 16 digits of either case.
pub(super) fn any_span(text: &[u8]) -> Result<u64, Malformed> {
    u64::try_from(any(text)?).map_err(|_| Malformed).and_then(|id| if text.len() > 16 { Err(Malformed) } else { Ok(id) })
}

/// Exactly 16 lower-case digits.
pub(super) fn lower_span(text: &[u8]) -> Result<u64, Malformed> {
    if text.len() == 16 { u64::try_from(lower(text)?).map_err(|_| Malformed) } else { Err(Malformed) }
}
