//! ICMP echo: loss and round-trip times of a few packets.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Host, Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Whom to ping.
    pub address: Host,
    /// Packets per round.
    #[serde(default = "three")]
    pub count: u16,
    /// Bytes of payload after the ICMP header. 56 makes the 84-byte packet that `ping` sends; a metered link does with 0.
    #[serde(default = "usual_size")]
    pub size: u16,
}

fn three() -> u16 {
    3
}

fn usual_size() -> u16 {
    56
}

/// ICMP echo: loss and round-trip times of a few packets.
#[derive(Debug)]
pub struct Icmp {
    config: Config,
}

impl Icmp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Icmp { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::Sent,
            Metric::Received,
            Metric::Duplicates,
            Metric::RttUsMin,
            Metric::RttUsP50,
            Metric::RttUsP90,
            Metric::RttUsMax,
            Metric::PdvUsP95,
            Metric::IpdvUsMean,
        ]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        u64::from(self.config.count) * 2 * (28 + u64::from(self.config.size))
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
