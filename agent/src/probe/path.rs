//! Traceroute and path MTU over one flow.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Host, Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the path leads.
    pub address: Host,
    /// The UDP port that keeps the flow's identity.
    #[serde(default = "traceroute_port")]
    pub port: u16,
    /// Farthest hop to ask.
    #[serde(default = "usual_hops")]
    pub max_hops: u8,
    /// Measures the path MTU too.
    #[serde(default = "yes")]
    pub mtu: bool,
}

/// The first port of the classic traceroute range; nothing listens there.
fn traceroute_port() -> u16 {
    33434
}

/// A village in Iran is 10 to 20 hops from anywhere in it.
fn usual_hops() -> u8 {
    30
}

fn yes() -> bool {
    true
}

/// Traceroute and path MTU over one flow.
#[derive(Debug)]
pub struct Path {
    config: Config,
}

impl Path {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Path { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::Hops, Metric::LastHop, Metric::PathMtu, Metric::MtuBlackHole, Metric::RttUsMin]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        20_000
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
