//! Sizes and counts with their bounds: a value that deserializes is within them.

use std::str::FromStr;

/// A number of bytes between the bounds, written `32KiB` or `32768`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bytes<const MIN: u32, const MAX: u32>(pub(super) u32);

/// A plain number between the bounds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Count<const MIN: u32, const MAX: u32>(pub(super) u32);

/// The size of the ring buffer: the kernel takes powers of two that are whole pages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ring(pub(super) u32);

const RING_MIN: u32 = 64 * 1024;
const RING_MAX: u32 = 1024 * 1024 * 1024;

impl<const MIN: u32, const MAX: u32> FromStr for Bytes<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        bounded(parse(text)?, MIN, MAX)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is out of range: expected {} to {}", show(MIN), show(MAX)))
    }
}

impl<const MIN: u32, const MAX: u32> FromStr for Count<MIN, MAX> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let count = text
            .parse()
            .map_err(|_| format!("`{text}` is no count: expected a number from {MIN} to {MAX}"))?;
        bounded(count, MIN, MAX)
            .map(Self)
            .ok_or_else(|| format!("`{text}` is out of range: expected {MIN} to {MAX}"))
    }
}

impl FromStr for Ring {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match bounded(parse(text)?, RING_MIN, RING_MAX) {
            Some(size) if size.is_power_of_two() => Ok(Self(size)),
            _ => Err(format!(
                "`{text}` cannot be the size of the ring buffer: expected a power of two from {} to {}, such as 16MiB",
                show(RING_MIN),
                show(RING_MAX)
            )),
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

/// Binary units only: `kB` means 1000 to some and 1024 to others.
fn parse(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let bytes =
        factor.zip(number.parse::<u64>().ok()).and_then(|(factor, number)| number.checked_mul(factor));
    bytes.ok_or_else(|| format!("`{text}` is no size: expected bytes, such as 32768, 32KiB or 16MiB"))
}
