//! DNS query: does this server answer, with what, and how fast.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The server to ask: `10.1.0.53` or `10.1.0.53:5353`.
    pub server: Place,
    /// The name to ask for.
    pub name: String,
    /// The record type: `A`, `AAAA`, `SOA`, `NS`, `PTR`, `TXT`, `SRV` or `MX`.
    #[serde(default, rename = "type")]
    pub record: Record,
    /// Addresses of which at least one must be in the answer; empty: any answer will do.
    #[serde(default)]
    pub expect: Vec<std::net::IpAddr>,
    /// Asks over TCP from the start.
    #[serde(default)]
    pub tcp: bool,
}

/// The record types one may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Record {
    #[default]
    A,
    Aaaa,
    Soa,
    Ns,
    Ptr,
    Txt,
    Srv,
    Mx,
}

/// DNS query: does this server answer, with what, and how fast.
#[derive(Debug)]
pub struct Dns {
    config: Config,
}

impl Dns {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Dns { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::QueryUs, Metric::DnsRcode, Metric::Answers]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        160
    }

    pub(super) fn address(&self) -> String {
        format!("{} @{}", self.config.name, self.config.server)
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
