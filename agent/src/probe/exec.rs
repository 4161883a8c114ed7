//! Any Nagios-compatible plugin, without a shell.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program and its arguments, one list item each.
    pub command: Vec<String>,
}

/// Any Nagios-compatible plugin, without a shell.
#[derive(Debug)]
pub struct Exec {
    config: Config,
}

impl Exec {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Exec { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ExitCode]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        self.config.command.join(" ")
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
