//! Base64 (RFC 4648, 4) as gRPC-Web writes it: piece after piece, each of which may be padded.

use smallvec::SmallVec;

/// Bytes that are decoded at once.
const PIECE: usize = 128;

/// What is left of the bytes before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Text {
    bits: u32,
    digits: u8,
    padding: u8,
}

impl Text {
    /// Hands on what these bytes mean. `false`: they are not base64.
    pub(super) fn decode(&mut self, text: &[u8], mut found: impl FnMut(&[u8])) -> bool {
        for piece in text.chunks(PIECE) {
            let mut binary = SmallVec::<[u8; PIECE]>::new();
            for byte in piece {
                let Some(three) = self.push(*byte) else { return false };
                binary.extend(three.into_iter().flatten());
            }
            found(&binary);
        }
        true
    }

    /// Takes a byte, and gives the bytes that are complete with it.
    fn push(&mut self, byte: u8) -> Option<[Option<u8>; 3]> {
        let digit = match byte {
            b'A'..=b'Z' => byte.checked_sub(b'A'),
            b'a'..=b'z' => byte.checked_sub(b'a' - 26),
            b'0'..=b'9' => byte.checked_add(52 - b'0'),
            b'+' => Some(62),
            b'/' => Some(63),
            b'=' => None,
            _ => return None,
        };
        match digit {
            Some(digit) if self.padding == 0 => self.bits = self.bits << 6 | u32::from(digit),
            // A byte needs two digits.
            None if self.digits >= 2 => {
                self.bits <<= 6;
                self.padding = self.padding.saturating_add(1);
            }
            Some(_) | None => return None,
        }
        self.digits = self.digits.saturating_add(1);
        if self.digits < 4 {
            return Some([None; 3]);
        }
        let [_, a, b, c] = self.bits.to_be_bytes();
        let three = match self.padding {
            0 => [Some(a), Some(b), Some(c)],
            1 => [Some(a), Some(b), None],
            _ => [Some(a), None, None],
        };
        *self = Self::default();
        Some(three)
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "numbers of the tests themselves")]
pub(super) mod tests {
    use super::*;

    /// In base64, padded.
    pub(in super::super) fn encoded(bytes: &[u8]) -> String {
        const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let quad = |three: &[u8]| {
            let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
            let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
            let digit = |at: usize| char::from(DIGITS[(bits >> (18 - 6 * at)) as usize & 63]);
            (0..4).map(|at| if at <= three.len() { digit(at) } else { '=' }).collect::<String>()
        };
        bytes.chunks(3).map(quad).collect()
    }

    fn decoded(text: &str) -> Option<Vec<u8>> {
        let (mut state, mut bytes) = (Text::default(), Vec::new());
        state.decode(text.as_bytes(), |found| bytes.extend_from_slice(found)).then_some(bytes)
    }

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        for (binary, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
        ] {
            assert_eq!(decoded(text).unwrap(), binary.as_bytes());
            assert_eq!(encoded(binary.as_bytes()), text);
        }
        assert_eq!(decoded("Zg==Zm8=Zm9v").unwrap(), b"ffofoo");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decoded(&encoded(&all)).unwrap(), all);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["=", "Z=", "Zg=x", "Zm9v=", "Zm-v", "Zm 9v", "\u{0}"] {
            assert_eq!(decoded(text), None, "{text:?}");
        }
    }
}
