//! The configuration: what was typed (`typed.rs`) becomes what it means (here), valid by construction.
//!
//! Unknown keys are refused, and every mistake is listed with its file, line, column and the nearest key there is. A
//! missing key means its default; a missing file means all defaults.

mod directories;
mod mistakes;
mod network;
mod thresholds;
mod typed;
mod units;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use directories::{Group, Ldap, OpenId, SignIn};
pub use mistakes::{Mistake, Mistakes, from_yaml, nearest};
pub use network::Network;
pub use thresholds::{RttLimits, Thresholds};
pub use units::{parse_bytes, parse_duration};

/// Days raw frames are kept by default: the month a report is made of and the one before it.
pub const RETENTION_DAYS: u32 = 62;

/// A tenth: villages that were merged or struck off in a year are a hundredth, one province of two is a half.
pub const DROP_LIMIT: f64 = 0.1;

/// What the collector is told by its operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where everything is kept: the CA, the state database, the log.
    pub data_dir: PathBuf,
    /// The port for agents.
    pub agents: Agents,
    /// The port for people and machines.
    pub http: Http,
    /// Directories that know people.
    pub sign_in: SignIn,
    /// Whom backups are encrypted for: public keys in age's form; without any they are not.
    pub backup_recipients: Vec<String>,
    /// The durable log.
    pub log: LogLimits,
    /// When a state is called what.
    pub thresholds: Thresholds,
    /// Databases that get a copy.
    pub sinks: Vec<Sink>,
    /// The files that say who hears of what.
    pub alerts: AlertFiles,
    /// Share of the regions, sites or links an import may drop without being told to.
    pub drop_limit: f64,
}

/// The files that say who hears of what; without one the rules that ship hold and nobody is called.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct AlertFiles {
    /// The rules, such as `configs/alerts.yaml`.
    pub rules: Option<PathBuf>,
    /// People, turns, routes and channels, such as `configs/oncall.yaml`.
    pub oncall: Option<PathBuf>,
    /// A folder of channel presets that win over those that ship.
    pub channels: Option<PathBuf>,
}

/// The port for agents: mTLS with the collector's own CA.
#[derive(Debug, Clone, PartialEq)]
pub struct Agents {
    /// Address and port.
    pub listen: SocketAddr,
    /// Names and addresses agents reach it by; they stand in its certificate.
    pub names: Vec<String>,
    /// Connections at once. A country's 65,000 agents keep one each.
    pub connections: usize,
    /// How long a connection may take for its TLS handshake, or for a request's head or body.
    pub patience: Duration,
    /// How long a certificate is valid. Agents renew at two thirds of it.
    pub certificate_validity: Duration,
    /// Backlog bytes the whole fleet may send in a minute; fresh data is never held back by it.
    pub backlog_bytes_per_minute: u64,
}

/// The port for people and machines.
#[derive(Debug, Clone, PartialEq)]
pub struct Http {
    /// Address and port.
    pub listen: SocketAddr,
    /// Whether a visitor on this very machine may look without a login: only ever on a loopback address.
    pub anonymous_viewer: bool,
    /// Names and addresses the collector answers to, beside those of this machine, its address and its certificate.
    pub hosts: Vec<String>,
    /// Proxies that are believed when they say whom they speak for.
    pub trusted_proxies: Vec<Network>,
    /// Whether anybody may see `/status`: shares of regions, no site, no contact.
    pub public_status: bool,
    /// Roles whose people need a second factor beside their password.
    pub second_factor: Vec<&'static str>,
    /// GeoJSON of the regions' borders for the map; without it the map has dots only.
    pub map: Option<PathBuf>,
    /// Certificate and key; needed on any address that is not loopback.
    pub tls: Option<TlsFiles>,
}

/// PEM files of a server's identity.
#[derive(Debug, Clone, PartialEq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub certificate: PathBuf,
    /// Private key.
    pub key: PathBuf,
}

/// A time-series database that gets a copy of what is known.
#[derive(Debug, Clone, PartialEq)]
pub struct Sink {
    /// Its name in metrics and in the name of its file.
    pub name: String,
    /// The write address with its query, such as `…/api/v2/write?bucket=rusta&org=rusta&precision=ms`.
    pub url: String,
    /// File with the `Authorization` header's value, such as `Token …`.
    pub token_file: Option<PathBuf>,
    /// How often every state is written.
    pub states_every: Duration,
}

/// Bounds of the durable log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogLimits {
    /// Raw frames are kept this many days after they were received.
    pub retention_days: u32,
    /// Longest time a received batch waits for others to share its fsync.
    pub group_commit: Duration,
}

impl Default for Config {
    fn default() -> Self {
        typed::Config::default().mean().unwrap_or_else(|_| unreachable!("a test holds that the defaults are valid"))
    }
}

/// Reads and checks a configuration file.
///
/// # Errors
/// Every mistake in it.
pub fn read(path: &Path) -> Result<Config, Mistakes> {
    let text = std::fs::read_to_string(path).map_err(|error| Mistakes::unreadable(path, &error))?;
    parse(&path.display().to_string(), &text)
}

/// Checks the text of a configuration; `name` is what mistakes call the file.
///
/// # Errors
/// Every mistake in it.
pub fn parse(name: &str, text: &str) -> Result<Config, Mistakes> {
    let typed: typed::Config = from_yaml(name, text)?;
    typed.mean().map_err(|wrong| Mistakes::located(name, text, wrong))
}

#[cfg(test)]
mod tests;
