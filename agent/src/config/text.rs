//! Stage one of the configuration: what was typed. Defaults stand here, each with its reason; meaning is `mod.rs`.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use rusta_wire::{Network, Rung};
use serde::de::{self, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::units::{self, Size, Span};
use crate::calendar::Calendar;
use crate::probe::ProbeConfig;
use crate::sim::Iccid;

/// The whole file; unknown keys are refused by the reader.
#[derive(Debug, Deserialize)]
pub struct File {
    /// Where reports go; absent: probe and spool only.
    #[serde(default)]
    pub collector: Option<Collector>,
    /// When and over which links reports leave.
    #[serde(default)]
    pub report: Report,
    /// What waits on disk.
    #[serde(default)]
    pub spool: Spool,
    /// Where `status` asks.
    #[serde(default = "default_socket")]
    pub status_socket: PathBuf,
    /// Name servers for probes and reports; empty: the system's.
    #[serde(default)]
    pub resolvers: Vec<Resolver>,
    /// What else than plain probes an assignment may name on this router.
    #[serde(default)]
    pub allow_assigned: Vec<Allowed>,
    /// The ways upstream.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What is probed.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// One of `allow_assigned:`. Whoever writes assignments is not thereby the master of every router.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Allowed {
    /// Programs (`exec`).
    Exec,
    /// Codes that may cost money (`ussd`).
    Ussd,
    /// Paths of files and devices of this router, whichever probe names them.
    Files,
}

impl Allowed {
    /// Returns the word in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Allowed::Exec => "exec",
            Allowed::Ussd => "ussd",
            Allowed::Files => "files",
        }
    }
}

/// The part of the file an assignment may hold.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Assigned {
    /// The ways upstream.
    #[serde(default)]
    pub links: Vec<Link>,
    /// What is probed.
    #[serde(default)]
    pub targets: Vec<Target>,
}

/// `collector:`
#[derive(Debug, Deserialize)]
pub struct Collector {
    /// Base URLs, tried in order. Left out: those of the invitation, then those it was enrolled with.
    #[serde(default)]
    pub urls: Option<Vec<String>>,
    /// What enrols this device, as `agents token` prints it; once it is enrolled this means nothing.
    #[serde(default)]
    pub invitation: Option<String>,
    /// Holds `agent.key`, `agent.crt` and `ca.crt`, written by `enroll`.
    #[serde(default = "default_identity")]
    pub identity_dir: PathBuf,
}

/// `report:`
#[derive(Debug, Deserialize)]
pub struct Report {
    /// The reporting interval.
    #[serde(default = "one_minute")]
    pub every: Span,
    /// The links a report may leave by; empty: every link, then the routing table.
    #[serde(default)]
    pub links: Vec<String>,
}

impl Default for Report {
    fn default() -> Self {
        Report { every: one_minute(), links: Vec::new() }
    }
}

/// `spool:`
#[derive(Debug, Deserialize)]
pub struct Spool {
    /// The directory; a file system that survives a power cut.
    #[serde(default = "default_spool")]
    pub dir: PathBuf,
    /// The most the spool takes on disk.
    #[serde(default = "eight_mib")]
    pub max_bytes: Size,
    /// When data is forced to disk.
    #[serde(default)]
    pub sync: Sync,
    /// The most written to disk in a day before `sync` is stretched to an hour, to spare the flash.
    #[serde(default = "wear_budget")]
    pub writes_per_day: Size,
}

impl Default for Spool {
    fn default() -> Self {
        Spool { dir: default_spool(), max_bytes: eight_mib(), sync: Sync::Batch, writes_per_day: wear_budget() }
    }
}

/// When spooled data is forced to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sync {
    /// After every batch: a power cut costs what was measured since the last report, and the flash one small write a
    /// report.
    #[default]
    Batch,
    /// At most once in this time: a power cut costs up to that much more, and the flash wears that much less.
    Every(Duration),
    /// When the kernel likes, usually within 30 s: a power cut costs that much more, and may cost order.
    Never,
}

impl<'de> Deserialize<'de> for Sync {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "batch" => Ok(Sync::Batch),
            "never" => Ok(Sync::Never),
            other => units::duration(other)
                .map(Sync::Every)
                .map_err(|_| de::Error::custom(format!("`{other}` is none of batch, never or a duration such as `10m`"))),
        }
    }
}

/// A name server: an address, port 53 unless given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolver(pub SocketAddr);

impl<'de> Deserialize<'de> for Resolver {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse::<SocketAddr>()
            .or_else(|_| text.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53)))
            .map(Resolver)
            .map_err(|_| de::Error::custom(format!("`{text}` is no address of a name server, as in `10.1.0.53`")))
    }
}

/// One of `links:`
#[derive(Debug, Clone, Deserialize)]
pub struct Link {
    /// As in `links.csv`.
    pub name: String,
    /// Which network it belongs to. Left out: what an assignment says.
    #[serde(default, deserialize_with = "some_word")]
    pub network: Option<Network>,
    /// Everything of this link leaves by this interface.
    #[serde(default)]
    pub interface: Option<String>,
    /// Or by the device of this logical interface of netifd (OpenWrt's `/etc/config/network`), whatever the kernel names it.
    #[serde(default)]
    pub netifd: Option<String>,
    /// Or by the device at this place: udev's `ID_PATH`, or a path below `/sys/devices`.
    #[serde(default)]
    pub path: Option<String>,
    /// Or by the modem that holds the SIM with this ICCID, wherever it is plugged in; a `modem` target of any link reads it.
    #[serde(default)]
    pub iccid: Option<Iccid>,
    /// Or by the modem that uses this access point name (readers `at` and `mmcli`).
    #[serde(default)]
    pub apn: Option<String>,
    /// Everything of this link leaves from this address.
    #[serde(default)]
    pub source: Option<IpAddr>,
    /// Name servers of this link; empty: the file's for all links, or those the system learnt for its interface.
    #[serde(default)]
    pub resolvers: Vec<Resolver>,
    /// Says that the interface or address comes and goes, as a USB modem does. Any may, so this changes nothing.
    #[serde(default, rename = "hotplug")]
    pub _hotplug: bool,
    /// Traffic costs money: probe little while all is quiet. Left out: what an assignment says, else no.
    #[serde(default)]
    pub metered: Option<bool>,
    /// On a quiet metered link, how often targets other than the nearest anchor are probed.
    #[serde(default)]
    pub quiet: Option<Span>,
    /// The data plan.
    #[serde(default)]
    pub plan: Option<Plan>,
}

impl Link {
    /// Tells whether packets of the link are held to a device.
    fn has_device(&self) -> bool {
        let named = [&self.interface, &self.netifd, &self.path, &self.apn].iter().any(|name| name.is_some());
        named || self.iccid.is_some()
    }

    /// Tells whether packets of the link are held to a device or an address.
    pub fn is_tied(&self) -> bool {
        self.has_device() || self.source.is_some()
    }
}

/// `plan:` of a link. Everybody's bytes are counted on the link's interface; without one, only the agent's own are known.
#[derive(Debug, Clone, Deserialize)]
pub struct Plan {
    /// What may be used in a cycle, by everybody.
    pub bytes: Size,
    /// The agent's own share of it.
    #[serde(default = "own_share")]
    pub own_bytes: Size,
    /// The day of the month on which the cycle starts.
    #[serde(default = "first_day")]
    pub cycle_day: u8,
    /// The calendar of that day.
    #[serde(default)]
    pub calendar: Calendar,
    /// What was used of it before the agent began to count.
    #[serde(default)]
    pub used: Option<Used>,
}

/// `used:` of a plan: what the operator says was used in the cycle that holds a date.
#[derive(Debug, Clone, Deserialize)]
pub struct Used {
    /// Used by everybody until that day.
    pub bytes: Size,
    /// The day, in the plan's calendar; in another cycle the word means nothing.
    pub on: String,
}

/// One of `targets:`
#[derive(Debug, Clone)]
pub struct Target {
    /// Unique in the file.
    pub name: String,
    /// The link it is probed over.
    pub link: String,
    /// The site it stands for, when it is not this one.
    pub towards: String,
    /// The rung it proves.
    pub rung: Rung,
    /// Time between rounds.
    pub every: Span,
    /// The longest a round may take.
    pub timeout: Span,
    /// The method and its settings.
    pub probe: ProbeConfig,
}

/// Where the agent is at home on this machine. OpenWrt's `/var` is memory, which no power cut leaves anything in; what must
/// survive lies in `/etc`, an overlay in flash.
fn home(openwrt: &str, elsewhere: &str) -> PathBuf {
    PathBuf::from(if Path::new("/etc/openwrt_release").exists() { openwrt } else { elsewhere })
}

/// The configuration file of a command that names none.
pub fn default_file() -> PathBuf {
    home("/etc/config/rusta", "/etc/rusta/agent.yaml")
}

fn default_socket() -> PathBuf {
    home("/var/run/rusta/agent.sock", "/run/rusta/agent.sock")
}

fn default_identity() -> PathBuf {
    PathBuf::from("/etc/rusta/identity")
}

fn default_spool() -> PathBuf {
    home("/etc/rusta/state/spool", "/var/lib/rusta-agent/spool")
}

/// The cycle of the link state machine.
fn one_minute() -> Span {
    Span(Duration::from_secs(60))
}

/// A month of one-minute batches of a village router.
fn eight_mib() -> Size {
    Size(8 << 20)
}

/// One batch a minute is 12 MiB of 4 KiB pages a day, journal of the file system included; twice that is unusual.
fn wear_budget() -> Size {
    Size(32 << 20)
}

/// 96 ladders a day cost under a megabyte a month.
pub(super) fn quarter_hour() -> Span {
    Span(Duration::from_secs(900))
}

/// The metered profile: probes and reports of 30 days.
fn own_share() -> Size {
    Size(30_000_000)
}

fn first_day() -> u8 {
    1
}

/// The waiting time of the loss KPI.
fn three_seconds() -> Span {
    Span(Duration::from_secs(3))
}

/// Reads one of the contract's words.
fn word<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
}

fn some_word<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(deserializer: D) -> Result<Option<T>, D::Error> {
    word(deserializer).map(Some)
}

struct Word<T>(T);

impl<'de, T: FromStr<Err = String>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        word(deserializer).map(Word)
    }
}

/// The keys of a target: its own and one for each probe kind. A test holds the latter against [`ProbeConfig::KEYS`].
const TARGET_KEYS: &[&str] = &[
    "name",
    "link",
    "towards",
    "rung",
    "every",
    "timeout",
    "icmp",
    "tcp",
    "dns",
    "http",
    "tls",
    "sip",
    "ntp",
    "path",
    "snmp",
    "modem",
    "host",
    "throughput",
    "ussd",
    "exec",
];

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_struct("target", TARGET_KEYS, TargetVisitor)
    }
}

struct TargetVisitor;

impl<'de> Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a target")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Target, A::Error> {
        let (mut name, mut link, mut rung, mut probe) = (None, None, None, None);
        let (mut towards, mut every, mut timeout) = (String::new(), one_minute(), three_seconds());
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "name" => name = Some(map.next_value()?),
                "link" => link = Some(map.next_value()?),
                "rung" => rung = Some(map.next_value::<Word<Rung>>()?.0),
                "towards" => towards = map.next_value()?,
                "every" => every = map.next_value()?,
                "timeout" => timeout = map.next_value()?,
                _ if probe.is_some() => return Err(de::Error::custom("a target has one probe; make a second target for another")),
                kind => probe = Some(map.next_value_seed(OfKind(kind))?),
            }
        }
        Ok(Target {
            name: name.ok_or_else(|| de::Error::missing_field("name"))?,
            link: link.ok_or_else(|| de::Error::missing_field("link"))?,
            rung: rung.ok_or_else(|| de::Error::missing_field("rung"))?,
            towards,
            every,
            timeout,
            probe: probe.ok_or_else(|| de::Error::custom(format!("no probe; add one of {}", ProbeConfig::KEYS.join(", "))))?,
        })
    }
}

/// Reads a value as the settings of one probe kind.
struct OfKind<'a>(&'a str);

impl<'de> de::DeserializeSeed<'de> for OfKind<'_> {
    type Value = ProbeConfig;

    fn deserialize<D: Deserializer<'de>>(self, settings: D) -> Result<ProbeConfig, D::Error> {
        ProbeConfig::deserialize(Variant { kind: self.0, settings })
    }
}

/// Presents a kind and its settings as the enum serde derived.
struct Variant<'a, D> {
    kind: &'a str,
    settings: D,
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Variant<'_, D> {
    type Error = D::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        visitor.visit_enum(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de, D: Deserializer<'de>> de::EnumAccess<'de> for Variant<'_, D> {
    type Error = D::Error;
    type Variant = Settings<D>;

    fn variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Settings<D>), D::Error> {
        let kind = seed.deserialize(self.kind.into_deserializer())?;
        Ok((kind, Settings(self.settings)))
    }
}

struct Settings<D>(D);

impl<'de, D: Deserializer<'de>> de::VariantAccess<'de> for Settings<D> {
    type Error = D::Error;

    fn unit_variant(self) -> Result<(), D::Error> {
        Err(de::Error::custom("settings are expected"))
    }

    fn newtype_variant_seed<S: de::DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, D::Error> {
        seed.deserialize(self.0)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct("settings", fields, visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_keys_name_every_probe_kind() {
        assert_eq!(&TARGET_KEYS[6..], ProbeConfig::KEYS);
    }
}
