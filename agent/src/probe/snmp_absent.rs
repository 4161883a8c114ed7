//! SNMP in a slim build: its settings are refused with the reason, because an 8 MB flash has no room for the rest.

use std::convert::Infallible;

use rusta_wire::Metric;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Measurement;
use super::round::Round;

/// Settings that are not looked at.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Config(IgnoredAny);

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// A probe that cannot be built.
#[derive(Debug)]
pub struct Snmp(Infallible);

impl Snmp {
    pub(super) fn new(_config: Config) -> Result<Self, String> {
        Err("this is the slim build, which has no SNMP".into())
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        match self.0 {}
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        match self.0 {}
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        match self.0 {}
    }

    pub(super) fn address(&self) -> String {
        match self.0 {}
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        match self.0 {}
    }
}
