//! The configuration as typed: every key optional, every unknown key refused.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::directories::TypedSignIn;
use super::mistakes::Wrong;
use super::network::Network;
use super::thresholds::{RttLimits, Thresholds};
use super::units::{Size, Time};

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Config {
    data_dir: Option<PathBuf>,
    agents: Agents,
    http: Http,
    sign_in: TypedSignIn,
    backup: Backup,
    log: Log,
    thresholds: TypedThresholds,
    sinks: Vec<Sink>,
    alerts: Alerts,
    inventory: Inventory,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Inventory {
    drop_limit: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Backup {
    recipients: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Alerts {
    rules: Option<PathBuf>,
    oncall: Option<PathBuf>,
    channels: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Agents {
    listen: Option<SocketAddr>,
    names: Option<Vec<String>>,
    connections: Option<usize>,
    patience: Option<Time>,
    certificate_validity: Option<Time>,
    backlog_per_minute: Option<Size>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Http {
    listen: Option<SocketAddr>,
    anonymous: Option<Anonymous>,
    hosts: Vec<String>,
    trusted_proxies: Vec<String>,
    public_status: bool,
    second_factor: Vec<RoleName>,
    map: Option<PathBuf>,
    tls: Option<TlsFiles>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Anonymous {
    Viewer,
    None,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleName {
    Viewer,
    Operator,
    Admin,
}

impl RoleName {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            RoleName::Viewer => "viewer",
            RoleName::Operator => "operator",
            RoleName::Admin => "admin",
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct TlsFiles {
    certificate: PathBuf,
    key: PathBuf,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Log {
    retention_days: Option<u32>,
    group_commit: Option<Time>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sink {
    name: String,
    url: String,
    token_file: Option<PathBuf>,
    states_every: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TypedThresholds {
    cycle: Option<Time>,
    confirm_rounds: Option<u32>,
    confirm_time: Option<Time>,
    confirm_time_class_a: Option<Time>,
    recover_rounds: Option<u32>,
    slot: Option<Time>,
    degraded_slots: Option<u32>,
    slot_window: Option<u32>,
    degraded_loss: Option<f64>,
    clean_loss: Option<f64>,
    degraded_rtt: TypedRttLimits,
    clean_rtt_ratio: Option<f64>,
    clean_slots: Option<u32>,
    flap_changes: Option<u32>,
    flap_window: Option<Time>,
    flap_stable: Option<Time>,
    late_intervals: Option<u32>,
    silent_intervals: Option<u32>,
    silent_after: Option<Time>,
    evidence_intervals: Option<u32>,
    evidence_least: Option<Time>,
    now_max_age: Option<Time>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TypedRttLimits {
    lte: Option<Time>,
    fibre: Option<Time>,
    vsat: Option<Time>,
}

impl Config {
    /// Turns what was typed into what it means.
    pub(super) fn mean(self) -> Result<super::Config, Vec<Wrong>> {
        let mut wrong = Vec::new();
        let config = super::Config {
            data_dir: self.data_dir.unwrap_or_else(|| "/var/lib/rusta-collector".into()),
            agents: self.agents.mean(&mut wrong),
            http: self.http.mean(&mut wrong),
            sign_in: self.sign_in.mean(&mut wrong),
            backup_recipients: self.backup.mean(&mut wrong),
            log: self.log.mean(&mut wrong),
            thresholds: self.thresholds.mean(&mut wrong),
            sinks: sinks(self.sinks, &mut wrong),
            alerts: super::AlertFiles { rules: self.alerts.rules, oncall: self.alerts.oncall, channels: self.alerts.channels },
            drop_limit: self.inventory.mean(&mut wrong),
        };
        if wrong.is_empty() { Ok(config) } else { Err(wrong) }
    }
}

impl Inventory {
    fn mean(self, wrong: &mut Vec<Wrong>) -> f64 {
        let limit = self.drop_limit.unwrap_or(super::DROP_LIMIT);
        if !(0.0..=1.0).contains(&limit) {
            wrong.push(Wrong::at(&["inventory", "drop_limit"], "a ratio lies between 0 and 1"));
        }
        limit
    }
}

impl Agents {
    fn mean(self, wrong: &mut Vec<Wrong>) -> super::Agents {
        let names = self.names.unwrap_or_else(|| vec!["localhost".into(), "127.0.0.1".into()]);
        if names.is_empty() {
            wrong.push(Wrong::at(&["agents", "names"], "agents need at least one name or address to verify the collector by"));
        }
        super::Agents {
            listen: self.listen.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 8443))),
            names,
            connections: self.connections.unwrap_or(100_000),
            patience: duration(self.patience, Duration::from_secs(20)),
            certificate_validity: duration(self.certificate_validity, Duration::from_secs(365 * 86_400)),
            backlog_bytes_per_minute: self.backlog_per_minute.map_or(512 << 20, |size| size.0),
        }
    }
}

impl Http {
    fn mean(self, wrong: &mut Vec<Wrong>) -> super::Http {
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let loopback = listen.ip().is_loopback();
        if !loopback && self.tls.is_none() {
            wrong.push(Wrong::at(&["http", "listen"], "an address other than loopback needs `tls: { certificate, key }`"));
        }
        if !loopback && self.anonymous == Some(Anonymous::Viewer) {
            wrong.push(Wrong::at(&["http", "anonymous"], "visitors without a login are allowed on a loopback address only"));
        }
        for host in self.hosts.iter().filter(|host| !is_host(host)) {
            wrong.push(Wrong::at(&["http", "hosts"], &format!("`{host}` is no name or address: no scheme, no port, no path")));
        }
        let mut trusted_proxies = Vec::new();
        for typed in &self.trusted_proxies {
            match typed.parse::<Network>() {
                Ok(network) => trusted_proxies.push(network),
                Err(reason) => wrong.push(Wrong::at(&["http", "trusted_proxies"], &reason)),
            }
        }
        super::Http {
            listen,
            anonymous_viewer: self.anonymous == Some(Anonymous::Viewer),
            hosts: self.hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            trusted_proxies,
            public_status: self.public_status,
            second_factor: self.second_factor.into_iter().map(RoleName::as_str).collect(),
            map: self.map,
            tls: self.tls.map(|files| super::TlsFiles { certificate: files.certificate, key: files.key }),
        }
    }
}

impl Backup {
    fn mean(self, wrong: &mut Vec<Wrong>) -> Vec<String> {
        for recipient in self.recipients.iter().filter(|recipient| recipient.parse::<age::x25519::Recipient>().is_err()) {
            wrong.push(Wrong::at(&["backup", "recipients"], &format!("`{recipient}` is no public key that `age-keygen` prints: age1...")));
        }
        self.recipients
    }
}

/// Tells whether a text is a name such as `rusta.example` or `*.example`, or an address.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'));
    is_name || text.parse::<std::net::IpAddr>().is_ok()
}

impl Log {
    fn mean(self, wrong: &mut Vec<Wrong>) -> super::LogLimits {
        let limits = super::LogLimits {
            retention_days: self.retention_days.unwrap_or(super::RETENTION_DAYS),
            group_commit: duration(self.group_commit, Duration::from_millis(15)),
        };
        if limits.retention_days == 0 {
            wrong.push(Wrong::at(&["log", "retention_days"], "raw frames must be kept for at least one day"));
        }
        if limits.group_commit > Duration::from_millis(20) {
            wrong.push(Wrong::at(&["log", "group_commit"], "an acknowledgement may wait 20ms at most"));
        }
        limits
    }
}

/// Reads the sinks; each fault names its sink, because a list item has no key of its own.
fn sinks(typed: Vec<Sink>, wrong: &mut Vec<Wrong>) -> Vec<super::Sink> {
    let mut names = std::collections::BTreeSet::new();
    let mut sinks = Vec::with_capacity(typed.len());
    for sink in typed {
        let plain = !sink.name.is_empty() && sink.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain {
            wrong.push(Wrong::at(
                &["sinks"],
                &format!("`{}`: a sink's name is small letters, digits and hyphens: it names a file", sink.name),
            ));
        }
        if !names.insert(sink.name.clone()) {
            wrong.push(Wrong::at(&["sinks"], &format!("two sinks are called `{}`", sink.name)));
        }
        if !sink.url.starts_with("http://") && !sink.url.starts_with("https://") || sink.url.contains('@') {
            wrong.push(Wrong::at(&["sinks"], &format!("`{}`: `url` is the http or https write address, without a password", sink.name)));
        }
        let states_every = duration(sink.states_every, Duration::from_secs(60));
        if states_every < Duration::from_secs(1) {
            wrong.push(Wrong::at(&["sinks"], &format!("`{}`: `states_every` is at least 1s", sink.name)));
        }
        sinks.push(super::Sink { name: sink.name, url: sink.url, token_file: sink.token_file, states_every });
    }
    sinks
}

impl TypedThresholds {
    fn mean(self, wrong: &mut Vec<Wrong>) -> Thresholds {
        let base = Thresholds::default();
        let meant = Thresholds {
            cycle: duration(self.cycle, base.cycle),
            confirm_rounds: self.confirm_rounds.unwrap_or(base.confirm_rounds),
            confirm_time: duration(self.confirm_time, base.confirm_time),
            confirm_time_class_a: duration(self.confirm_time_class_a, base.confirm_time_class_a),
            recover_rounds: self.recover_rounds.unwrap_or(base.recover_rounds),
            slot: duration(self.slot, base.slot),
            degraded_slots: self.degraded_slots.unwrap_or(base.degraded_slots),
            slot_window: self.slot_window.unwrap_or(base.slot_window),
            degraded_loss: self.degraded_loss.unwrap_or(base.degraded_loss),
            clean_loss: self.clean_loss.unwrap_or(base.clean_loss),
            degraded_rtt: RttLimits {
                lte: duration(self.degraded_rtt.lte, base.degraded_rtt.lte),
                fibre: duration(self.degraded_rtt.fibre, base.degraded_rtt.fibre),
                vsat: duration(self.degraded_rtt.vsat, base.degraded_rtt.vsat),
            },
            clean_rtt_ratio: self.clean_rtt_ratio.unwrap_or(base.clean_rtt_ratio),
            clean_slots: self.clean_slots.unwrap_or(base.clean_slots),
            flap_changes: self.flap_changes.unwrap_or(base.flap_changes),
            flap_window: duration(self.flap_window, base.flap_window),
            flap_stable: duration(self.flap_stable, base.flap_stable),
            late_intervals: self.late_intervals.unwrap_or(base.late_intervals),
            silent_intervals: self.silent_intervals.unwrap_or(base.silent_intervals),
            silent_after: duration(self.silent_after, base.silent_after),
            evidence_intervals: self.evidence_intervals.unwrap_or(base.evidence_intervals),
            evidence_least: duration(self.evidence_least, base.evidence_least),
            now_max_age: duration(self.now_max_age, base.now_max_age),
        };
        check_thresholds(&meant, wrong);
        meant
    }
}

fn check_thresholds(meant: &Thresholds, wrong: &mut Vec<Wrong>) {
    let mut demand = |holds: bool, key: &'static str, fault: &str| {
        if !holds {
            wrong.push(Wrong::at(&["thresholds", key], fault));
        }
    };
    demand(meant.confirm_rounds > 0, "confirm_rounds", "one failure is the least that can confirm");
    demand(meant.recover_rounds > 0, "recover_rounds", "one success is the least that can prove recovery");
    demand(!meant.slot.is_zero(), "slot", "a slot has some length");
    demand(meant.degraded_slots > 0, "degraded_slots", "no bad slot cannot make a link degraded");
    demand(meant.degraded_slots <= meant.slot_window, "slot_window", "the window must hold `degraded_slots`");
    demand((0.0..=1.0).contains(&meant.degraded_loss), "degraded_loss", "a ratio lies between 0 and 1");
    demand((0.0..=meant.degraded_loss).contains(&meant.clean_loss), "clean_loss", "must lie between 0 and `degraded_loss`");
    demand((0.0..=1.0).contains(&meant.clean_rtt_ratio), "clean_rtt_ratio", "a ratio lies between 0 and 1");
    demand(meant.silent_intervals >= meant.late_intervals, "silent_intervals", "an agent is late before it is silent");
}

fn duration(typed: Option<Time>, default: Duration) -> Duration {
    typed.map_or(default, |time| time.0)
}
