//! Sizes and counts with their bounds: a value that deserializes is within them.

use std::fmt;

use serde::{Deserialize, Deserializer, de};

/// A number of bytes between the bounds, written `32KiB` or `32768`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<const MIN: u32, const MAX: u32>(pub(super) u32);

/// A plain number between the bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) u32);

/// The size of the ring buffer: the kernel takes powers of two that are whole pages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring(pub(super) u32);

const RING_MIN: u32 = 64 * 1024;
const RING_MAX: u32 = 1024 * 1024 * 1024;

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Bytes<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_any(Size)?;
        bounded(bytes, MIN, MAX).map(Self).ok_or_else(|| {
            de::Error::custom(format!(
                "{bytes} bytes is out of range: expected {} to {}",
                show(MIN),
                show(MAX)
            ))
        })
    }
}

impl<'de, const MIN: u32, const MAX: u32> Deserialize<'de> for Count<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let count = u64::deserialize(deserializer)?;
        bounded(count, MIN, MAX)
            .map(Self)
            .ok_or_else(|| de::Error::custom(format!("{count} is out of range: expected {MIN} to {MAX}")))
    }
}

impl<'de> Deserialize<'de> for Ring {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserializer.deserialize_any(Size)?;
        match bounded(bytes, RING_MIN, RING_MAX) {
            Some(size) if size.is_power_of_two() => Ok(Self(size)),
            _ => Err(de::Error::custom(format!(
                "{bytes} bytes cannot be a ring buffer: expected a power of two from {} to {}, such as 16MiB",
                show(RING_MIN),
                show(RING_MAX)
            ))),
        }
    }
}

fn bounded(value: u64, min: u32, max: u32) -> Option<u32> {
    u32::try_from(value).ok().filter(|value| (min..=max).contains(value))
}

/// `32KiB` for 32768.
fn show(bytes: u32) -> String {
    const MIB: u32 = 1024 * 1024;
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % MIB == 0 => format!("{}MiB", bytes / MIB),
        bytes if bytes % 1024 == 0 => format!("{}KiB", bytes / 1024),
        bytes => bytes.to_string(),
    }
}

struct Size;

impl de::Visitor<'_> for Size {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size in bytes, such as 32768, 32KiB or 16MiB")
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<u64, E> {
        Ok(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<u64, E> {
        u64::try_from(value).map_err(|_| E::invalid_value(de::Unexpected::Signed(value), &self))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<u64, E> {
        parse(value).ok_or_else(|| E::invalid_value(de::Unexpected::Str(value), &self))
    }
}

/// Binary units only: `kB` means 1000 to some and 1024 to others.
fn parse(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}
