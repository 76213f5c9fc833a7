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
    },
    /// A frame of HTTP/2 with the length that it has.
    Frame {
        place: Place,
        kind: u8,
        flags: u8,
        stream: u8,
        payload: &'a [u8],
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
        match kind & 7 {
            0 => Self::Open {
                place,
                accepted: place.connection % 2 == 1,
                role_known: flag(3),
                from_opening: flag(4),
                sequence: flag(5),
                again: flag(6),
            },
            1 => Self::Data { place, bytes: script.text() },
            2 => Self::Frame {
                place,
                kind: script.byte(),
                flags: script.byte(),
                stream: script.byte(),
                payload: script.text(),
            },
            3 => Self::Gap { place, length: u32::from(script.short()) << (kind >> 4) },
            4 => Self::Elsewhere {
                place,
                ambiguous: flag(3),
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

    /// Writes those steps that seeds are made of.
    pub fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Open { place, role_known, from_opening, sequence, again, .. } => {
                let flags = [(role_known, 3), (from_opening, 4), (sequence, 5), (again, 6)];
                out.push(flags.iter().fold(0, |byte, (set, bit)| byte | u8::from(*set) << bit));
                place.write(out);
            }
            Self::Data { place, bytes } => {
                out.push(1);
                place.write(out);
                write_text(bytes, out);
            }
            Self::Frame { place, kind, flags, stream, payload } => {
                out.push(2);
                place.write(out);
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
