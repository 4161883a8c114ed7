//! Text with a unit: `30s`, `64MiB`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// Units of time, in milliseconds; longer names first so that `ms` is not read as `m`.
const TIMES: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Units of size, in bytes.
const SIZES: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads a duration such as `250ms`, `90s`, `5m`, `24h` or `30d`.
///
/// # Errors
/// Says what a duration looks like.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    parse(text, TIMES).map(Duration::from_millis).ok_or_else(|| format!("`{text}` is not a duration such as 250ms, 90s, 5m, 24h or 30d"))
}

/// Reads a size such as `512B`, `64KiB` or `3GB`.
///
/// # Errors
/// Says what a size looks like.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    parse(text, SIZES).ok_or_else(|| format!("`{text}` is not a size such as 512B, 64KiB, 8MiB or 3GB"))
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let text = text.trim();
    let (number, factor) = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// A [`Duration`] as typed.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub Duration);

/// A size in bytes as typed.
#[derive(Debug, Clone, Copy)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_duration(&String::deserialize(deserializer)?).map(Time).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parse_bytes(&String::deserialize(deserializer)?).map(Size).map_err(serde::de::Error::custom)
    }
}
