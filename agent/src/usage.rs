//! What each command is told, and how a command fails. The command line (`cli`) reads the one and reports the other; the
//! modules that do the work know nothing of it.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::config::Faults;
use crate::config::text::default_file;

/// The arguments of `probe`.
#[derive(Debug, clap::Args)]
pub struct ProbeArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value_os_t = default_file())]
    pub config: PathBuf,
    /// Run only this target
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The language of the table
    #[arg(long, value_enum, default_value_t = Language::En)]
    pub lang: Language,
}

/// The languages a technician reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// Persian
    Fa,
    /// English
    En,
}

/// The arguments of `enroll`.
#[derive(Debug, clap::Args)]
pub struct EnrollArgs {
    /// What `rusta-collector agents token` prints and the QR code holds; `-` reads it from stdin. Tries until the line is up;
    /// a device that is enrolled already is left as it is
    #[arg(value_name = "INVITATION", required_unless_present_all = ["collector", "token"], conflicts_with_all = ["collector", "token", "ca"])]
    pub invitation: Option<String>,
    /// The collector, as in https://collector.example:8443: instead of an invitation, and tried once
    #[arg(long, value_name = "URL", requires = "token")]
    pub collector: Option<String>,
    /// The one-time token alone; `-` reads it from stdin
    #[arg(long, value_name = "TOKEN", requires = "collector")]
    pub token: Option<String>,
    /// Where key and certificates go
    #[arg(long, value_name = "DIR", default_value = "/etc/rusta/identity")]
    pub dir: PathBuf,
    /// The collector's CA certificate
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Enrol anew although there is an identity: the router went to another site
    #[arg(long)]
    pub again: bool,
}

/// The arguments of `status`.
#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// The configuration file that names the socket
    #[arg(long, value_name = "FILE", default_value_os_t = default_file())]
    pub config: PathBuf,
    /// The socket itself
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// Why a command ends with another exit code than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Wrong usage or configuration: exit 2.
    #[error("{0}")]
    Usage(String),
    /// Something did not work: exit 1.
    #[error("{0}")]
    Failed(String),
    /// What there was to say has been said: exit 1.
    #[error("")]
    Silent,
}

impl From<Faults> for Failure {
    fn from(faults: Faults) -> Self {
        Failure::Usage(faults.to_string())
    }
}
