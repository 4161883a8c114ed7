//! What a probe is, and the one place that runs them.
//!
//! A probe is a method with its settings, checked when it was built. [`Prober::measure`] runs one round of it over one
//! link's [`Way`] and returns data. A probe never logs its result, never retries, and never sleeps past its deadline;
//! the schedule owns time and retries. Failure is a value: a lost packet, a refused port, a missing privilege are
//! outcomes, and what was not measured is absent.
//!
//! ```text
//! configuration --serde--> ProbeConfig --check--> Probe --measure(way, timeout)--> Measurement
//! ```

mod echo;
mod flow;
mod moment;
mod process;
mod rates;
mod resolve;
mod resolvers;
mod round;
mod serial;
mod stream;
#[cfg(test)]
pub(crate) mod tests_support;
mod text;
mod trust;

pub mod dns;
pub mod exec;
pub mod host;
pub mod http;
pub mod icmp;
pub mod modem;
pub mod ntp;
pub mod path;
pub mod sip;
#[cfg_attr(not(feature = "snmp"), path = "snmp_absent.rs")]
pub mod snmp;
pub mod tcp;
pub mod throughput;
pub mod tls;
pub mod ussd;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rusta_wire::{Metric, Outcome, ProbeKind};
use serde::Deserialize;
use tokio::time::timeout_at;

use crate::socket::Way;
pub use round::Payer;
use round::Round;
pub use stream::DialFault;
pub use text::{Host, Place};

macro_rules! probes {
    ($($kind:ident $module:ident $key:literal;)+) => {
        /// A probe's settings as typed: one key names the kind (`icmp: { address: 10.1.0.1 }`).
        #[derive(Debug, Clone, PartialEq, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProbeConfig { $(#[doc = concat!("`", $key, "`")] $kind($module::Config),)+ }

        /// A probe ready to run: settings that make sense, and the memory that rates need.
        #[derive(Debug)]
        pub enum Probe { $(#[doc = concat!("`", $key, "`")] $kind($module::$kind),)+ }

        impl ProbeConfig {
            /// Lists the paths of files and devices of this machine that the settings name.
            pub fn files(&self) -> Vec<String> {
                match self { $(ProbeConfig::$kind(config) => config.files(),)+ }
            }

            /// Lists the keys that name a probe kind in a target's configuration.
            pub const KEYS: &'static [&'static str] = &[$($key,)+];
        }

        impl Probe {
            /// Builds a probe from its settings.
            ///
            /// # Errors
            /// One sentence for the person who typed them: which setting, and what would be right.
            pub fn from_config(config: ProbeConfig) -> Result<Probe, String> {
                match config { $(ProbeConfig::$kind(config) => $module::$kind::new(config).map(Probe::$kind),)+ }
            }

            /// Returns the method.
            pub fn kind(&self) -> ProbeKind {
                match self { $(Probe::$kind(_) => ProbeKind::$kind,)+ }
            }

            /// Lists what a round may measure, in the order of the series.
            pub fn metrics(&self) -> Vec<Metric> {
                match self { $(Probe::$kind(probe) => probe.metrics(),)+ }
            }

            /// Lists what each [`Part`] of a round may measure; empty for a probe without parts.
            pub fn part_metrics(&self) -> Vec<Metric> {
                match self { $(Probe::$kind(probe) => probe.part_metrics(),)+ }
            }

            /// Estimates the bytes one round moves on the IP layer, both ways together.
            pub fn estimated_bytes(&self) -> u64 {
                match self { $(Probe::$kind(probe) => probe.estimated_bytes(),)+ }
            }

            /// Says what is probed, for people: an address, a URL, a device.
            pub fn address(&self) -> String {
                match self { $(Probe::$kind(probe) => probe.address(),)+ }
            }
        }

        impl Prober {
            /// Runs one round of `probe` over `way` and returns by `timeout` at the latest.
            pub async fn measure(&self, probe: &Probe, way: &Way, timeout: Duration) -> Measurement {
                let round = Round::new(self, way, timeout);
                let measured = async {
                    // Boxed one by one: a round of pings must not take the memory of a round of HTTPS.
                    match probe { $(Probe::$kind(probe) => Box::pin(probe.measure(&round)).await,)+ }
                };
                let measured = timeout_at(round.deadline + GRACE, measured).await;
                let measured = measured.unwrap_or_else(|_| Measurement::failed(Outcome::Timeout));
                let is_silence = matches!(measured.outcome, Outcome::Timeout | Outcome::ResolveFailed);
                let measured = if is_silence && round.has_lost_its_time() { Measurement::failed(Outcome::NotRun) } else { measured };
                Measurement { bytes: round.bytes(), ..measured }
            }
        }
    };
}

probes! {
    Icmp icmp "icmp";
    Tcp tcp "tcp";
    Dns dns "dns";
    Http http "http";
    Tls tls "tls";
    Sip sip "sip";
    Ntp ntp "ntp";
    Path path "path";
    Snmp snmp "snmp";
    Modem modem "modem";
    Host host "host";
    Throughput throughput "throughput";
    Ussd ussd "ussd";
    Exec exec "exec";
}

/// What one round found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measurement {
    /// What came of it.
    pub outcome: Outcome,
    /// What was measured; a metric that is absent had nothing to measure.
    pub values: Vec<(Metric, i64)>,
    /// A device's parts, each a series of its own.
    pub parts: Vec<Part>,
    /// Bytes moved on the IP layer, both ways together.
    pub bytes: u64,
}

/// One part of a device: an interface, a hop, a plugin's performance value. It becomes the series `target/name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The part's name.
    pub name: String,
    /// What came of reading it.
    pub outcome: Outcome,
    /// What was measured.
    pub values: Vec<(Metric, i64)>,
}

impl Probe {
    /// Makes each round as light as its method allows, for a link that is paid by the byte.
    pub fn lighten(&mut self) {
        if let Probe::Icmp(probe) = self {
            probe.lighten();
        }
    }
}

impl Measurement {
    /// Returns a round that measured nothing.
    pub fn failed(outcome: Outcome) -> Self {
        Measurement { outcome, values: Vec::new(), parts: Vec::new(), bytes: 0 }
    }

    /// Returns the value of a metric, if it was measured.
    pub fn value(&self, metric: Metric) -> Option<i64> {
        self.values.iter().find(|(m, _)| *m == metric).map(|(_, value)| *value)
    }
}

/// What is known of the time of day. Certificates are judged by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// The system clock, in seconds since 1970.
    pub system_s: i64,
    /// A moment that has certainly passed: the newest of build time and the last time a collector told.
    pub floor_s: i64,
    /// Whether the system clock is known to be right: set by NTP or confirmed by a collector.
    pub trusted: bool,
}

/// What every probe of an agent shares.
#[derive(Clone)]
pub struct Settings {
    /// Resolvers to ask for names; empty: the system's.
    pub resolvers: Vec<SocketAddr>,
    /// Tells the time of day, as certificates are judged by it.
    pub wall: Arc<dyn Fn() -> WallTime + Send + Sync>,
    /// Reads the system clock, right or wrong, in microseconds since 1970: what an NTP server is compared with.
    pub system_us: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Tells whether the kernel says that its clock is synchronised.
    pub is_synchronised: Arc<dyn Fn() -> bool + Send + Sync>,
}

/// Probes keep their deadline themselves, so that they can tell what they had measured by then. This is for the one that
/// does not.
const GRACE: Duration = Duration::from_millis(50);

/// Runs probes. It keeps the ICMP sockets of each link open between rounds.
pub struct Prober {
    settings: Settings,
    echoes: echo::Echoes,
}

impl Prober {
    /// Makes a prober. It opens nothing until a probe needs it.
    pub fn new(settings: Settings) -> Self {
        Prober { settings, echoes: echo::Echoes::default() }
    }
}
