//! Bodies: where a message ends, whatever its content looks like (RFC 9112, 6 and 7).

use crate::limit;

/// The framing of a body and how far it has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// This many bytes are to come (RFC 9112, 6.2).
    Length(u64),
    Chunked(Chunked),
    /// Everything until the connection ends (RFC 9112, 6.3, rule 8).
    Close,
}

/// The chunked coding (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chunked {
    at: At,
    /// The size read so far, then what is left of the chunk's data.
    left: u64,
    /// Bytes of extensions and trailers so far, for their bound.
    extra: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum At {
    /// Before the first digit of a chunk size.
    #[default]
    Size,
    /// After a digit.
    Digits,
    /// Behind the size: extensions are of no interest (RFC 9112, 7.1.1).
    Extension,
    Data,
    /// The line end behind a chunk's data.
    DataEnd,
    /// At the start of a trailer line; an empty one ends the message (RFC 9112, 7.1.2).
    TrailerStart,
    Trailer,
}

/// What became of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    More,
    Complete,
    /// The bytes do not follow the coding, or a gap hides the framing.
    Broken,
}

/// What a piece of input did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes of the input that belong to the message.
    pub(super) used: u64,
    /// Of these, content.
    pub(super) content: u64,
    pub(super) outcome: Outcome,
}

impl Body {
    pub(super) fn chunked() -> Self {
        Self::Chunked(Chunked::default())
    }

    /// Takes bytes, up to the end of the message. `content` is told where in them content lies, and what it is.
    pub(super) fn take(&mut self, bytes: &[u8], mut content: impl FnMut(u64, &[u8])) -> Progress {
        match self {
            Self::Length(_) | Self::Close => {
                let progress = self.pass(bytes.len() as u64);
                let length = usize::try_from(progress.content).unwrap_or(bytes.len());
                content(0, bytes.get(..length).unwrap_or(bytes));
                progress
            }
            Self::Chunked(chunked) => chunked.take(bytes, content),
        }
    }

    /// Takes bytes that are not to be had. What is not `used` lies behind the part of known framing.
    pub(super) fn gap(&mut self, length: u64) -> Progress {
        match self {
            Self::Length(_) | Self::Close => self.pass(length),
            Self::Chunked(chunked) => {
                let used = if chunked.at == At::Data { chunked.left.min(length) } else { 0 };
                chunked.data(used);
                let outcome = if used == length { Outcome::More } else { Outcome::Broken };
                Progress { used, content: used, outcome }
            }
        }
    }

    /// Bytes that are content for certain: those of the body or of the current chunk.
    pub(super) fn known(&self) -> u64 {
        match self {
            Self::Length(left) => *left,
            Self::Chunked(chunked) if chunked.at == At::Data => chunked.left,
            Self::Chunked(_) => 0,
            Self::Close => u64::MAX,
        }
    }

    fn pass(&mut self, length: u64) -> Progress {
        let Self::Length(left) = self else {
            return Progress { used: length, content: length, outcome: Outcome::More };
        };
        let used = length.min(*left);
        *left = left.saturating_sub(used);
        let outcome = if *left == 0 { Outcome::Complete } else { Outcome::More };
        Progress { used, content: used, outcome }
    }
}

impl Chunked {
    fn data(&mut self, length: u64) {
        self.left = self.left.saturating_sub(length);
        if self.at == At::Data && self.left == 0 {
            self.at = At::DataEnd;
        }
    }

    fn take(&mut self, bytes: &[u8], mut found: impl FnMut(u64, &[u8])) -> Progress {
        let mut rest = bytes;
        let mut content = 0_u64;
        let outcome = loop {
            let Some((&byte, behind)) = rest.split_first() else { break Outcome::More };
            match self.at {
                At::Data => {
                    let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(rest.len());
                    let (data, behind) = rest.split_at_checked(length).unwrap_or((rest, &[]));
                    content = content.saturating_add(data.len() as u64);
                    found(bytes.len().saturating_sub(rest.len()) as u64, data);
                    rest = behind;
                    self.data(data.len() as u64);
                    continue;
                }
                At::Extension | At::Trailer => {
                    let line = memchr::memchr(b'\n', rest);
                    let passed = line.map_or(rest.len(), |end| end.saturating_add(1));
                    self.extra = self.extra.saturating_add(passed);
                    if self.extra > limit::HEAD_MAX {
                        break Outcome::Broken;
                    }
                    rest = rest.get(passed..).unwrap_or_default();
                    if line.is_some() {
                        self.at = match (self.at, self.left) {
                            (At::Trailer, _) | (_, 0) => At::TrailerStart,
                            _ => At::Data,
                        };
                    }
                    continue;
                }
                At::Size | At::Digits => match (byte as char).to_digit(16) {
                    Some(digit) => {
                        let larger =
                            self.left.checked_mul(16).and_then(|size| size.checked_add(u64::from(digit)));
                        let Some(larger) = larger else { break Outcome::Broken };
                        self.left = larger;
                        self.at = At::Digits;
                    }
                    None if self.at == At::Digits && matches!(byte, b';' | b' ' | b'\t' | b'\r' | b'\n') => {
                        self.at = At::Extension;
                        continue;
                    }
                    None => break Outcome::Broken,
                },
                At::DataEnd => match byte {
                    b'\r' => {}
                    // RFC 9112, 2.2: a lone LF may end a line.
                    b'\n' => self.at = At::Size,
                    _ => break Outcome::Broken,
                },
                At::TrailerStart => match byte {
                    b'\r' => {}
                    b'\n' => {
                        rest = behind;
                        break Outcome::Complete;
                    }
                    _ => {
                        self.at = At::Trailer;
                        continue;
                    }
                },
            }
            rest = behind;
        };
        let used = bytes.len().saturating_sub(rest.len()) as u64;
        Progress { used, content, outcome }
    }
}
