//! TLS handshake without HTTP: the certificate and its time left.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Host, Measurement, Place, Round};

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
    pub ca: Option<std::path::PathBuf>,
}

/// TLS handshake without HTTP: the certificate and its time left.
#[derive(Debug)]
pub struct Tls {
    config: Config,
}

impl Tls {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Tls { config })
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

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
