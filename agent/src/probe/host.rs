//! The router or node itself, from the kernel.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory whose free space matters: where the spool lives.
    #[serde(default = "root")]
    pub disk: std::path::PathBuf,
    /// Interfaces to count; empty: every one that is up, but loopback.
    #[serde(default)]
    pub interfaces: Vec<String>,
}

fn root() -> std::path::PathBuf {
    "/".into()
}

/// The router or node itself, from the kernel.
#[derive(Debug)]
pub struct Host {
    config: Config,
}

impl Host {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Host { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::UptimeS,
            Metric::BootReason,
            Metric::Load1Milli,
            Metric::CpuPct,
            Metric::MemoryAvailableKib,
            Metric::DiskAvailableKib,
            Metric::TemperatureDc,
            Metric::VoltageMv,
            Metric::ClockSynced,
            Metric::UpsSource,
            Metric::UpsChargePct,
        ]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        "this machine".into()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
