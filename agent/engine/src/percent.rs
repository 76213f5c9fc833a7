//! Percent-encoding (RFC 3986, 2.1).

/// The byte that an escape at the beginning of the text stands for, and what follows it.
pub(crate) fn escape(text: &[u8]) -> Option<(u8, &[u8])> {
    digits(text.strip_prefix(b"%")?)
}

/// The same behind the `%`.
pub(crate) fn digits(text: &[u8]) -> Option<(u8, &[u8])> {
    let [high, low, after @ ..] = text else { return None };
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    Some((u8::try_from(digit(high)? << 4 | digit(low)?).ok()?, after))
}

/// The decoded text; none if a `%` is not followed by two hexadecimal digits.
pub fn decoded(mut text: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(text.len());
    while let Some((&first, rest)) = text.split_first() {
        let (byte, after) = if first == b'%' { escape(text)? } else { (first, rest) };
        decoded.push(byte);
        text = after;
    }
    Some(decoded)
}
