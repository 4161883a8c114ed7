//! NTP query: the offset of a server against our clock.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server; port 123 when left out.
    pub address: Place,
}

/// NTP query: the offset of a server against our clock.
#[derive(Debug)]
pub struct Ntp {
    config: Config,
}

impl Ntp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Ntp { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::NtpOffsetUs, Metric::NtpStratum, Metric::RttUsMin]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        152
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
