//! SNMP read of a device: system, interfaces, sensors, UPS and vendor modems.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The device; port 161 when left out.
    pub address: Place,
}

/// SNMP read of a device: system, interfaces, sensors, UPS and vendor modems.
#[derive(Debug)]
pub struct Snmp {
    config: Config,
}

impl Snmp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Snmp { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::UptimeS]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        4_000
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
