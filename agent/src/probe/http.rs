//! HTTP or HTTPS request with its phases.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Place, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to fetch: `https://portal.example/health`.
    pub url: String,
    /// `GET` or `HEAD`.
    #[serde(default)]
    pub method: Method,
    /// Statuses that count as right.
    #[serde(default = "only_ok")]
    pub status: Vec<u16>,
    /// A text the body must hold.
    #[serde(default)]
    pub keyword: Option<String>,
    /// Redirects to follow.
    #[serde(default = "three")]
    pub redirects: u8,
    /// Most bytes of body to read.
    #[serde(default = "usual_body")]
    pub body_limit: u32,
    /// A file of PEM certificates to trust instead of the public roots.
    #[serde(default)]
    pub ca: Option<std::path::PathBuf>,
    /// Connects here whatever the name resolves to.
    #[serde(default)]
    pub connect_to: Option<Place>,
}

/// The request methods a probe may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs)]
pub enum Method {
    #[default]
    Get,
    Head,
}

fn only_ok() -> Vec<u16> {
    vec![200]
}

fn three() -> u8 {
    3
}

/// 64 KiB holds any health page and the head of any portal.
fn usual_body() -> u32 {
    64 * 1024
}

/// HTTP or HTTPS request with its phases.
#[derive(Debug)]
pub struct Http {
    config: Config,
}

impl Http {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Http { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::ResolveUs,
            Metric::ConnectUs,
            Metric::TlsUs,
            Metric::FirstByteUs,
            Metric::TransferUs,
            Metric::HttpStatus,
            Metric::BodyBytes,
            Metric::CertificateS,
        ]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        6_000
    }

    pub(super) fn address(&self) -> String {
        self.config.url.clone()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
