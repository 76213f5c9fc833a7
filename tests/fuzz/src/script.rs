//! Script: reads numbers and bytes out of an input. Any input is one; behind its end everything is zero.

pub struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.bytes(1).first().copied().unwrap_or_default()
    }

    pub fn short(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    /// At most so many bytes.
    pub fn bytes(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }

    /// A length and so many bytes.
    pub fn text(&mut self) -> &'a [u8] {
        let length = self.short();
        self.bytes(length.into())
    }
}

/// Writes what [`Script::text`] reads.
pub fn write_text(text: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(text.len()).expect("a text of less than 64 KiB");
    out.extend(length.to_le_bytes());
    out.extend(text);
}
