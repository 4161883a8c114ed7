//! SNMP read of a device (v2c, or v3 with authentication and privacy): system, interfaces, sensors, UPS and vendor modems.
//!
//! What a vendor's device means is data: a file of `configs/snmp/` names objects, metrics and ranges, and [`device`] reads
//! it. [`interfaces`] and [`sensors`] are the two tables that need arithmetic. All of them see a device only through
//! [`Manager`]; the library behind it is in [`client`]. A slim build has `snmp_absent.rs` in place of all this.
//!
//! Limits: 2,000 values a walk, 64 parts a device, one repetition of a lost request, and never past the deadline. A subtree
//! that holds secrets (Teltonika keeps hotspot passwords under 48690.3) is never asked for, not even in passing.

mod client;
mod device;
mod interfaces;
mod manager;
mod sensors;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::rates::Memory;
use super::round::{Round, Values};
use super::{Measurement, Part, Place};
use device::Device;
use manager::{Datum, Manager, ObjectId};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The device; port 161 when left out.
    pub address: Place,
    /// v2c: a file with the community. Secrets stand in files, so that no configuration carries them.
    #[serde(default)]
    pub community_file: Option<PathBuf>,
    /// v3: the user.
    #[serde(default)]
    pub user: Option<User>,
    /// What to read, each a file of `configs/snmp/` (`ups`, `mikrotik-lte`) or the full path of one's own.
    #[serde(default)]
    pub devices: Vec<String>,
    /// Interfaces to count, by `ifName`.
    #[serde(default)]
    pub interfaces: Vec<String>,
    /// Reads the temperature and voltage sensors of ENTITY-SENSOR-MIB.
    #[serde(default)]
    pub sensors: bool,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        let user = self.user.iter().flat_map(|user| [Some(&user.auth_password_file), user.privacy_password_file.as_ref()]).flatten();
        let secrets = self.community_file.iter().chain(user).map(|path| path.display().to_string());
        secrets.chain(self.devices.iter().filter(|device| device.starts_with('/')).cloned()).collect()
    }
}

/// A user of the User-based Security Model (RFC 3414).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// The user's name.
    pub name: String,
    /// The authentication protocol.
    #[serde(default)]
    pub auth: AuthProtocol,
    /// A file with the authentication password.
    pub auth_password_file: PathBuf,
    /// The privacy protocol.
    #[serde(default)]
    pub privacy: PrivacyProtocol,
    /// A file with the privacy password; the authentication password when left out.
    #[serde(default)]
    pub privacy_password_file: Option<PathBuf>,
}

/// Authentication protocols (RFC 3414, RFC 7860). MD5 is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuthProtocol {
    /// HMAC-SHA-1-96, for old devices.
    Sha1,
    /// HMAC-SHA-256-192.
    #[default]
    Sha256,
    /// HMAC-SHA-512-384.
    Sha512,
}

/// Privacy protocols (RFC 3826 and the two ways vendors stretched its keys). DES is not offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrivacyProtocol {
    /// CFB128-AES-128.
    #[default]
    Aes128,
    /// AES-256, keys stretched as net-snmp does (draft-blumenthal).
    Aes256,
    /// AES-256, keys stretched as Cisco does (draft-reeder).
    Aes256Cisco,
}

/// Most interfaces counted on one device.
const INTERFACES: usize = 64;
/// Most parts of one device: each is a series.
const PARTS: usize = 64;

/// SNMP read.
pub struct Snmp {
    config: Config,
    devices: Vec<Device>,
    client: client::Client,
    memory: Mutex<Memory>,
}

impl std::fmt::Debug for Snmp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snmp").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Snmp {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        if config.interfaces.len() > INTERFACES {
            return Err(format!("`interfaces` lists {}, at most {INTERFACES} are counted", config.interfaces.len()));
        }
        let devices = config.devices.iter().map(|name| Device::load(name)).collect::<Result<_, _>>()?;
        Ok(Snmp { devices, client: client::Client::new(&config)?, memory: Mutex::default(), config })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![Metric::UptimeS];
        add_new(&mut metrics, self.devices.iter().flat_map(Device::own_metrics));
        metrics
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        add_new(&mut metrics, self.devices.iter().flat_map(Device::part_metrics));
        if !self.config.interfaces.is_empty() {
            add_new(&mut metrics, interfaces::METRICS.iter().copied());
        }
        if self.config.sensors {
            add_new(&mut metrics, sensors::METRICS.iter().copied());
        }
        metrics
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        let interfaces = self.config.interfaces.len() as u64 * 500;
        let devices: u64 = self.devices.iter().map(|d| (d.own_metrics().count() + d.part_metrics().count()) as u64 * 120).sum();
        300 + interfaces + devices + if self.config.sensors { 4_000 } else { 0 }
    }

    pub(super) fn address(&self) -> String {
        self.config.address.to_string()
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        let mut found = Found::default();
        let read = match self.open(round).await {
            Ok(manager) => {
                let read = round.by_deadline(self.read(&manager, &mut found)).await.unwrap_or_else(Err);
                round.moved(manager.bytes());
                read
            }
            Err(outcome) => Err(outcome),
        };
        found.parts.truncate(PARTS);
        Measurement { parts: found.parts, ..found.values.end(read) }
    }

    async fn open(&self, round: &Round<'_>) -> Result<client::Session, Outcome> {
        let Place { host, .. } = &self.config.address;
        let peer = SocketAddr::new(round.resolve(host).await?.address, self.config.address.port_or(161));
        self.client.open(round, peer).await
    }

    async fn read(&self, manager: &impl Manager, found: &mut Found) -> Result<(), Outcome> {
        let uptime = manager.get(&[ObjectId::UPTIME]).await?.into_iter().find_map(|(_, datum)| datum.ticks());
        let asked_at = Instant::now();
        found.values.set_some(Metric::UptimeS, uptime.map(|t| t.as_secs()));
        let mut recognised = self.devices.is_empty();
        for device in &self.devices {
            recognised |= device.read(manager, found).await?;
        }
        if !self.config.interfaces.is_empty() {
            let readings = interfaces::read(manager, &self.config.interfaces, asked_at, uptime).await?;
            let mut memory = self.memory.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            found.parts.extend(readings.into_iter().map(|reading| reading.into_part(&mut memory)));
        }
        if self.config.sensors {
            found.parts.extend(sensors::read(manager).await?);
        }
        // Somebody answers at this address, but it is none of the devices that were named.
        if recognised { Ok(()) } else { Err(Outcome::Unexpected) }
    }
}

/// What a round has read so far.
#[derive(Default)]
struct Found {
    values: Values,
    parts: Vec<Part>,
}

fn add_new(metrics: &mut Vec<Metric>, more: impl Iterator<Item = Metric>) {
    for metric in more {
        if !metrics.contains(&metric) {
            metrics.push(metric);
        }
    }
}

impl Datum {
    /// Reads hundredths of a second.
    fn ticks(&self) -> Option<Duration> {
        let hundredths = u64::try_from(self.integer()?).ok()?;
        Some(Duration::from_millis(hundredths * 10))
    }
}

#[cfg(test)]
#[path = "../snmp_tests.rs"]
mod tests;
