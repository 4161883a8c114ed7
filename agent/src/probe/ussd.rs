//! A USSD request through the modem: balance and data left.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The modem's AT port.
    pub device: std::path::PathBuf,
    /// The code to send: `*555*1#`.
    pub code: String,
    /// Must be true: a code can cost money.
    #[serde(default)]
    pub allow_cost: bool,
}

/// A USSD request through the modem: balance and data left.
#[derive(Debug)]
pub struct Ussd {
    config: Config,
}

impl Ussd {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Ussd { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::UssdBalanceKib]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        self.config.code.clone()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
