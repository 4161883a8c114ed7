//! SIP OPTIONS over UDP or TCP: does the exchange of the 137 line answer.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server; port 5060 when left out.
    pub address: Place,
    /// `udp` or `tcp`.
    #[serde(default)]
    pub transport: Transport,
    /// Statuses that count as right.
    #[serde(default = "only_ok")]
    pub status: Vec<u16>,
}

/// What carries the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum Transport {
    #[default]
    Udp,
    Tcp,
}

fn only_ok() -> Vec<u16> {
    vec![200]
}

/// SIP OPTIONS over UDP or TCP: does the exchange of the 137 line answer.
#[derive(Debug)]
pub struct Sip {
    config: Config,
}

impl Sip {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Sip { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ResolveUs, Metric::RttUsMin, Metric::SipStatus]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        900
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
