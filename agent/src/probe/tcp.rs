//! TCP connect: is the port open, and how far away is it.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to connect: `10.2.0.1:443`.
    pub address: Place,
}

/// TCP connect: is the port open, and how far away is it.
#[derive(Debug)]
pub struct Tcp {
    config: Config,
}

impl Tcp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Tcp { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ResolveUs, Metric::ConnectUs]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        320
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
