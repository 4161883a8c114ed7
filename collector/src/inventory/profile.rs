//! Which targets a site measures: profiles by site kind and link network, and the catalogue of services.

use rusta_wire::{Network, Rung};
use serde_yaml::{Mapping, Value};

use super::model::{Criticality, RegionId, SiteKind};

/// A target as written in `profiles.yaml`; the agent's configuration has the same words.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetTemplate {
    /// Unique inside the profile; the assignment puts the link's name before it.
    pub name: String,
    /// The rung it proves.
    pub rung: Rung,
    /// How often, such as `60s`; the agent's default if not given.
    pub every: Option<String>,
    /// Waiting time, such as `3s`.
    pub timeout: Option<String>,
    /// The probe's word, such as `icmp`.
    pub probe: String,
    /// The probe's own settings, with `{site}`, `{county}`, `{province}`, `{link}` and `{operator}` to be filled in.
    pub settings: Value,
}

/// Targets for every link it matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Unique name.
    pub name: String,
    /// Site kinds it is for; empty means all.
    pub kinds: Vec<SiteKind>,
    /// Site classes it is for; empty means all.
    pub classes: Vec<Criticality>,
    /// Sites it is for, by code; the site's own additions.
    pub sites: Vec<String>,
    /// Link networks it is for; empty means all.
    pub networks: Vec<Network>,
    /// Only for metered (`true`) or unmetered (`false`) links.
    pub metered: Option<bool>,
    /// Its targets.
    pub targets: Vec<TargetTemplate>,
}

/// Where a service is offered.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Scope {
    /// Regions; empty means everywhere.
    pub regions: Vec<RegionId>,
    /// Only villages of this cohort.
    pub cohort: Option<String>,
}

/// An e-service of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Stable name.
    pub id: String,
    /// Persian name.
    pub name_fa: String,
    /// English name.
    pub name_en: String,
    /// The organisation that answers for it.
    pub owner: String,
    /// How much its loss matters.
    pub criticality: Criticality,
    /// Working calendar; empty means 24 × 7.
    pub calendar: String,
    /// How people reach it: web, app, sip, ussd, counter.
    pub channel: String,
    /// How it is checked; `None` while nobody has said how.
    pub check: Option<Check>,
    /// Site kinds that check it.
    pub vantages: Vec<SiteKind>,
    /// Where it is offered.
    pub scope: Scope,
    /// Whether it counts in the catalogue.
    pub active: bool,
    /// Whether an agency is obliged to offer it as its single window.
    pub single_window: bool,
}

/// A service's check: a probe and its settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// The probe's word, such as `http`.
    pub probe: String,
    /// Its settings.
    pub settings: Value,
    /// How often.
    pub every: Option<String>,
}

/// Reads `{probe: settings}` out of a mapping whose other keys are `known`.
pub(super) fn probe_of(mapping: &Mapping, known: &[&str]) -> Result<(String, Value), String> {
    let mut found = mapping.iter().filter(|(key, _)| !key.as_str().is_some_and(|k| known.contains(&k)));
    let probe = found.next().and_then(|(key, value)| key.as_str().map(|k| (k.to_owned(), value.clone())));
    let (probe, settings) = probe.ok_or_else(|| format!("names no probe; add one of {}", PROBES.join(", ")))?;
    if !PROBES.contains(&probe.as_str()) {
        return Err(format!("`{probe}` is none of {}, nor a probe ({})", known.join(", "), PROBES.join(", ")));
    }
    match found.next() {
        None => Ok((probe, settings)),
        Some((second, _)) => Err(format!("names two probes, {probe} and {}", second.as_str().unwrap_or("?"))),
    }
}

/// Probe words of the agent's configuration.
const PROBES: &[&str] = &["icmp", "tcp", "dns", "http", "tls", "sip", "ntp", "path", "snmp", "modem", "host", "throughput", "ussd", "exec"];
