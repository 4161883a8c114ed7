//! Texts with a unit: `30s`, `5m`, `8MiB`. A bare duration is refused, because nobody remembers which unit it had.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

/// Reads a duration: a whole number and one of `ms s m h d`.
///
/// # Errors
/// A sentence with the form expected.
pub fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let ms_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(format!("`{text}` is no duration; write a number and ms, s, m, h or d, as in `30s`")),
    };
    let ms = number.parse::<u64>().ok().and_then(|n| n.checked_mul(ms_per_unit));
    ms.map(Duration::from_millis).ok_or_else(|| format!("`{text}` is no duration; write a whole number before `{unit}`"))
}

/// Reads a size: a whole number and one of `B kB MB GB KiB MiB GiB`; a bare number counts bytes.
///
/// # Errors
/// A sentence with the form expected.
pub fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale: u64 = match unit {
        "" | "B" => 1,
        "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(format!("`{text}` is no size; write a number and B, kB, MB, GB, KiB, MiB or GiB, as in `8MiB`")),
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|n| n.checked_mul(scale))
        .ok_or_else(|| format!("`{text}` is no size; write a whole number before `{unit}`"))
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    (&text[..end], text[end..].trim_start())
}

/// A [`Duration`] as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// A number of bytes as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size(pub u64);

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        duration(&String::deserialize(deserializer)?).map(Span).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes(&String::deserialize(deserializer)?).map(Size).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_bare_durations_refused() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(bytes("8MiB"), Ok(8 << 20));
        assert_eq!(bytes("30MB"), Ok(30_000_000));
        assert!(duration("60").is_err());
        assert_eq!(bytes("60"), Ok(60));
        for bad in ["", "s", "-5s", "1.5h", "99999999999999999999d", "5 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
            assert!(bytes(bad).is_err(), "{bad}");
        }
    }
}
