//! Frames: where those of HTTP/2 begin in one direction, followed by their lengths as the kernel side does.

use engine::event::Framing;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEADER: usize = 9;

#[derive(Clone, Copy, Debug, Default)]
pub struct Frames {
    lost: bool,
    /// The first bytes of a header, and how many there are.
    head: [u8; HEADER],
    have: usize,
    /// What is left of the payload behind it.
    left: u64,
}

impl Frames {
    /// Bytes passed of which nothing is known.
    pub fn lose(&mut self) {
        self.lost = true;
    }

    /// One begins here, if it was not known where one does.
    pub fn begin(&mut self) {
        if self.lost {
            *self = Self::default();
        }
    }

    /// Takes the next bytes and a gap behind them; says what is true of the bytes.
    pub fn pass(&mut self, position: u64, bytes: &[u8], gap: u64) -> Framing {
        if position == 0 && PREFACE.starts_with(bytes.get(..PREFACE.len()).unwrap_or(bytes)) {
            self.lost = bytes.len() < PREFACE.len();
            self.left = PREFACE.len() as u64;
        }
        if self.lost {
            return Framing::Unknown;
        }
        let (mut first, mut rest) = (None, bytes);
        while !rest.is_empty() {
            if self.left > 0 {
                let skipped = rest.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= skipped as u64;
                rest = &rest[skipped..];
                continue;
            }
            if self.have == 0 {
                first.get_or_insert(position + (bytes.len() - rest.len()) as u64);
            }
            let (now, later) = rest.split_at(rest.len().min(HEADER - self.have));
            self.head[self.have..][..now.len()].copy_from_slice(now);
            self.have += now.len();
            rest = later;
            if self.have == HEADER {
                self.left = u32::from_be_bytes([0, self.head[0], self.head[1], self.head[2]]).into();
                self.have = 0;
            }
        }
        match self.left.checked_sub(gap) {
            Some(left) if gap == 0 || self.have == 0 => self.left = left,
            _ => self.lost = true,
        }
        first.map_or(Framing::Inside, Framing::From)
    }
}
