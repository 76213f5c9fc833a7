//! Step: one thing that happens to connections, as an input says it.

use engine::event::Direction;

use crate::script::{Script, write_text};

/// On which connection, by whom, and how long after the step before.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Eight there are: an even one is the connecting end, the odd one behind it the accepting end of the same.
    pub connection: u8,
    pub direction: Direction,
    /// The other end moves the same bytes right after.
    pub both: bool,
    pub thread: u8,
    /// In quarters of a millisecond.
    pub delay: u8,
}

/// What the kernel side says of frames of HTTP/2 in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    Nothing,
    /// Where the first of them begins, or that none does, while that can be followed.
    Truth,
    /// The same, and what bytes are repeated is left out of what is copied.
    Short,
    /// 0: that none begins, whatever there is; else how far behind the first byte, and 1.
    Anything(u16),
}

/// How often bytes may be there: 16 of them come up to the longest header block that is kept.
const TIMES: [usize; 8] = [1, 2, 8, 32, 128, 512, 2048, 16_384];

/// See the module.
#[derive(Clone, Debug)]
pub enum Step<'a> {
    Open {
        place: Place,
        accepted: bool,
        role_known: bool,
        from_opening: bool,
        sequence: bool,
        again: bool,
    },
    Data {
        place: Place,
        bytes: &'a [u8],
        times: usize,
        said: Said,
    },
    /// A frame of HTTP/2 with the length that it has.
    Frame {
        place: Place,
        kind: u8,
        flags: u8,
        stream: u8,
        payload: &'a [u8],
        /// Of the payload.
        times: usize,
        said: Said,
    },
    Gap {
        place: Place,
        length: u32,
    },
    /// Bytes and a gap at another position than the next one.
    Elsewhere {
        place: Place,
        offset: i16,
        ambiguous: bool,
        gap: u16,
        said: Said,
        bytes: &'a [u8],
    },
    End {
        place: Place,
        whole: bool,
        how: u8,
        error: u8,
        offset: i8,
    },
    Wait {
        quarters: u16,
    },
    Process {
        place: Place,
        what: u8,
    },
}

impl<'a> Step<'a> {
    pub fn read(script: &mut Script<'a>) -> Self {
        let kind = script.byte();
        let flag = |bit: u8| kind & (1 << bit) != 0;
        if kind & 7 == 6 {
            return Self::Wait { quarters: script.short() };
        }
        let place = Place::read(script);
        // Of bytes: what is said of them, and how often they are there.
        let times = TIMES[usize::from(kind >> 5)];
        match kind & 7 {
            0 => Self::Open {
                place,
                accepted: place.connection % 2 == 1,
                role_known: flag(3),
                from_opening: flag(4),
                sequence: flag(5),
                again: flag(6),
            },
            1 => Self::Data { place, times, said: Said::read(kind >> 3, script), bytes: script.text() },
            2 => Self::Frame {
                place,
                times,
                said: Said::read(kind >> 3, script),
                kind: script.byte(),
                flags: script.byte(),
                stream: script.byte(),
                payload: script.text(),
            },
            3 => Self::Gap { place, length: u32::from(script.short()) << (kind >> 4) },
            4 => Self::Elsewhere {
                place,
                ambiguous: flag(3),
                // Nobody follows frames there.
                said: if flag(4) { Said::Anything(script.short()) } else { Said::Nothing },
                offset: script.short().cast_signed(),
                gap: script.short(),
                bytes: script.text(),
            },
            5 => Self::End {
                place,
                whole: flag(3),
                how: kind >> 4,
                error: script.byte(),
                offset: script.byte().cast_signed(),
            },
            _ => Self::Process { place, what: script.byte() },
        }
    }

    /// Bytes as they are, of which nothing is said.
    pub fn data(place: Place, bytes: &'a [u8]) -> Self {
        Self::Data { place, bytes, times: 1, said: Said::Nothing }
    }

    /// Writes those steps that seeds are made of.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Open { place, role_known, from_opening, sequence, again, .. } => {
                let flags = [(role_known, 3), (from_opening, 4), (sequence, 5), (again, 6)];
                out.push(flags.iter().fold(0, |byte, (set, bit)| byte | u8::from(*set) << bit));
                place.write(out);
            }
            Self::Data { place, bytes, times, said } => {
                out.push(1 | said.bits() << 3 | bits(times) << 5);
                place.write(out);
                said.write(out);
                write_text(bytes, out);
            }
            Self::Frame { place, kind, flags, stream, payload, times, said } => {
                out.push(2 | said.bits() << 3 | bits(times) << 5);
                place.write(out);
                said.write(out);
                out.extend([kind, flags, stream]);
                write_text(payload, out);
            }
            Self::Gap { place, length } => {
                out.push(3);
                place.write(out);
                out.extend(u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes());
            }
            Self::End { place, whole, how, error, offset } => {
                out.push(5 | u8::from(whole) << 3 | how << 4);
                place.write(out);
                out.extend([error, offset.cast_unsigned()]);
            }
            Self::Wait { quarters } => {
                out.push(6);
                out.extend(quarters.to_le_bytes());
            }
            Self::Elsewhere { .. } | Self::Process { .. } => unreachable!("not in seeds"),
        }
    }
}

fn bits(times: usize) -> u8 {
    TIMES.iter().position(|known| *known == times).expect("a number that can be written") as u8
}

impl Said {
    fn read(bits: u8, script: &mut Script<'_>) -> Self {
        match bits & 3 {
            0 => Self::Nothing,
            1 => Self::Truth,
            2 => Self::Short,
            _ => Self::Anything(script.short()),
        }
    }

    fn bits(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Truth => 1,
            Self::Short => 2,
            Self::Anything(_) => 3,
        }
    }

    fn write(self, out: &mut Vec<u8>) {
        if let Self::Anything(said) = self {
            out.extend(said.to_le_bytes());
        }
    }
}

impl Place {
    pub fn new(connection: u8, direction: Direction) -> Self {
        Self { connection, direction, both: false, thread: 0, delay: 4 }
    }

    fn read(script: &mut Script<'_>) -> Self {
        let (byte, delay) = (script.byte(), script.byte());
        Self {
            connection: byte & 7,
            direction: if byte & 8 == 0 { Direction::Received } else { Direction::Sent },
            both: byte & 16 != 0,
            thread: byte >> 5,
            delay,
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        let sent = u8::from(self.direction == Direction::Sent);
        out.push(self.connection & 7 | sent << 3 | u8::from(self.both) << 4 | self.thread << 5);
        out.push(self.delay);
    }
}
