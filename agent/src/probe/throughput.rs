//! A rare, budgeted download and upload, only when the line is idle.

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::{Measurement, Round};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What to download.
    pub url: String,
    /// Where to send an upload; left out: no upload.
    #[serde(default)]
    pub upload_url: Option<String>,
    /// Most bytes to move each way.
    #[serde(default = "five_megabytes")]
    pub bytes: u64,
    /// The line counts as idle below this rate, in bits per second.
    #[serde(default = "usual_idle")]
    pub idle_bps: u64,
    /// A file of PEM certificates to trust instead of the public roots.
    #[serde(default)]
    pub ca: Option<std::path::PathBuf>,
}

/// Long enough to leave TCP slow start on LTE, short enough for a weekly test on a SIM (`domain.md`: 22 MB a month).
fn five_megabytes() -> u64 {
    5_000_000
}

/// A tenth of a slow 3G line: background chatter passes, a video call does not.
fn usual_idle() -> u64 {
    100_000
}

/// A rare, budgeted download and upload, only when the line is idle.
#[derive(Debug)]
pub struct Throughput {
    config: Config,
}

impl Throughput {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        Ok(Throughput { config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::DownloadBps, Metric::UploadBps, Metric::TestBytes]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        Vec::new()
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        self.config.bytes * if self.config.upload_url.is_some() { 2 } else { 1 }
    }

    pub(super) fn address(&self) -> String {
        self.config.url.clone()
    }

    pub(super) async fn measure(&self, _round: &Round<'_>) -> Measurement {
        Measurement::failed(Outcome::NotRun)
    }
}
