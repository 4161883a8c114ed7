//! TLS handshake without HTTP: the certificate, its chain, and its time left.

use std::path::PathBuf;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::round::{Round, Values};
use super::stream::Phases;
use super::trust::{Seen, Trust};
use super::{Host, Measurement, Place};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where to connect; port 443 when left out.
    pub address: Place,
    /// The name the certificate must carry, when it is not the address.
    #[serde(default)]
    pub name: Option<Host>,
    /// A file of PEM certificates to trust instead of the public roots.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        self.ca.iter().map(|path| path.display().to_string()).collect()
    }
}

/// TLS handshake.
#[derive(Debug)]
pub struct Tls {
    config: Config,
    trust: Trust,
}

impl Tls {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let trust = Trust::new(config.ca.as_deref())?;
        Ok(Tls { config, trust })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ResolveUs, Metric::ConnectUs, Metric::TlsUs, Metric::CertificateS]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        5_000
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let (mut phases, mut seen) = (Phases::default(), Seen::default());
        let shaken = self.shake(round, &mut phases, &mut seen).await;
        let mut values = Values::default();
        phases.into_values(&mut values);
        values.set_some(Metric::CertificateS, seen.left_s);
        values.end(shaken)
    }

    async fn shake(&self, round: &Round<'_>, phases: &mut Phases, seen: &mut Seen) -> Result<(), Outcome> {
        let Config { address, name, .. } = &self.config;
        let stream = round.dial(&address.host, address.port_or(443), phases).await?;
        round.handshake(stream, &self.trust, name.as_ref().unwrap_or(&address.host), phases, seen).await.map(drop)
    }
}

#[cfg(test)]
#[path = "tls_tests.rs"]
mod tests;
