//! The modem of this router, through whichever reader it offers.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// How the modem is read.
    pub reader: Reader,
    /// Its control device or serial port, for `uqmi` and `at`; its index, for `mmcli`.
    #[serde(default)]
    pub device: Option<String>,
    /// Its web address, for `hilink`.
    #[serde(default)]
    pub address: Option<Place>,
}

/// The readers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Reader {
    Uqmi,
    Mmcli,
    At,
    Hilink,
    Ubus,
}

/// The modem of this router, through whichever reader it offers.
#[derive(Debug)]
pub struct Modem {
    config: Config,
}

impl Modem {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Modem { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::ModemPresent,
            Metric::SimState,
            Metric::Registration,
            Metric::Rat,
            Metric::Plmn,
            Metric::CellId,
            Metric::Tac,
            Metric::Pci,
            Metric::Band,
            Metric::RsrpDbm,
            Metric::RsrqCb,
            Metric::SinrCb,
            Metric::RssiDbm,
            Metric::BearerUp,
        ]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        self.config.device.clone().unwrap_or_default()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
