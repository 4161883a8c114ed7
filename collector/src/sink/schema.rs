//! The frozen schema of what is written to time-series databases: measurements, tags and fields.
//!
//! InfluxDB 3 never changes a table's tags and no database changes a field's type, so both are fixed here. Field names
//! come from the metric catalogue, turned into base units: seconds, bytes, ratios from 0 to 1.
//!
//! ```text
//! measurement   tags                                                        fields
//! probe         province county site link network target rung probe        ok, one per catalogue metric measured
//! link_state    province county site link network operator access          up degraded down flapping unknown maintenance not_in_service
//! site_state    province county site kind                                  up degraded backup_only down unknown maintenance not_in_service
//!                                                                          lat lon
//! agent         province county site agent                                 reporting late silent buffered never_seen spool_frames
//!                                                                          clock_skew_seconds lost_samples_total
//! kpi           kpi region region_kind period weight                       value lo hi known_ratio numerator denominator
//! ```
//! A KPI's period is `now`, every minute, or `month`: the running month so far, every five minutes.
//! State fields are 1 or 0, so a mean over sites is a share and no panel needs a join.

use rusta_wire::Metric;

use crate::engine::{AgentState, LinkState, SiteState};

/// Tags of `probe`, in the order they are written.
pub const PROBE_TAGS: [&str; 8] = ["province", "county", "site", "link", "network", "target", "rung", "probe"];
/// Tags of `link_state`.
pub const LINK_STATE_TAGS: [&str; 7] = ["province", "county", "site", "link", "network", "operator", "access"];
/// Tags of `site_state`.
pub const SITE_STATE_TAGS: [&str; 4] = ["province", "county", "site", "kind"];
/// Fields of `site_state` beside one flag per site state: degrees, so that a map needs no join.
pub const SITE_PLACE_FIELDS: [&str; 2] = ["lat", "lon"];
/// Tags of `agent`.
pub const AGENT_TAGS: [&str; 4] = ["province", "county", "site", "agent"];
/// Fields of `agent` beside one flag per agent state.
pub const AGENT_FIELDS: [&str; 3] = ["spool_frames", "clock_skew_seconds", "lost_samples_total"];
/// Tags of `kpi`.
pub const KPI_TAGS: [&str; 5] = ["kpi", "region", "region_kind", "period", "weight"];
/// Fields of `kpi`.
pub const KPI_FIELDS: [&str; 6] = ["value", "lo", "hi", "known_ratio", "numerator", "denominator"];

/// A catalogue metric as databases see it.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// Field name, with its base unit.
    pub name: String,
    /// Factor from the catalogue's integer to the base unit.
    pub factor: f64,
}

impl Published {
    /// Returns the field a metric is written as.
    pub fn of(metric: Metric) -> Published {
        let info = metric.info();
        let (from, to, factor) = match info.unit {
            "us" => ("_us", "_seconds", 1e-6),
            "ms" => ("_ms", "_seconds", 1e-3),
            "s" => ("_s", "_seconds", 1.0),
            "min" => ("_minutes", "_seconds", 60.0),
            "KiB" => ("_kib", "_bytes", 1024.0),
            "percent" => ("_pct", "_ratio", 0.01),
            "milli" => ("_milli", "", 1e-3),
            "0.1degC" => ("_dc", "_celsius", 0.1),
            "mV" => ("_mv", "_volts", 1e-3),
            "0.1V" => ("_dv", "_volts", 0.1),
            "0.1dB" => ("_cb", "_db", 0.1),
            "0.01dBm" => ("_cdbm", "_dbm", 0.01),
            _ => ("", "", 1.0),
        };
        Published { name: rename(info.name, from, to), factor }
    }

    /// Turns the catalogue's integer into the base unit.
    pub fn value(&self, integer: i64) -> f64 {
        integer as f64 * self.factor
    }
}

/// Replaces a unit suffix that stands at the end or before a qualifier (`rtt_us_min`), and only there.
fn rename(name: &str, from: &str, to: &str) -> String {
    if from.is_empty() {
        return name.to_owned();
    }
    match name.strip_suffix(from) {
        Some(stem) => format!("{stem}{to}"),
        None => name.replacen(&format!("{from}_"), &format!("{to}_"), 1),
    }
}

/// Says the schema in Markdown, with every field of the metric catalogue.
pub fn document() -> String {
    let words = |list: &[&str]| list.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    let states = |list: Vec<&str>| words(&list);
    let mut text = String::from(
        "# What the sink writes\n\nFrozen: tags never change and a field keeps its type (float). Units are base units, ratios 0 to 1; a state field is 1 or 0,\n\
         so that a mean over sites is a share. What is not known is an absent field, never 0.\n\n| measurement | how often | tags | fields |\n|---|---|---|---|\n",
    );
    let place = [states(SiteState::ALL.iter().map(|s| s.as_str()).collect()), words(&SITE_PLACE_FIELDS)].join(", ");
    let agent = [states(AgentState::ALL.iter().map(|s| s.as_str()).collect()), words(&AGENT_FIELDS)].join(", ");
    let rows = [
        ("probe", "each round", words(&PROBE_TAGS), "`ok` and those below".to_owned()),
        ("site_state", "each minute, every site", words(&SITE_STATE_TAGS), place),
        ("link_state", "each minute, every link", words(&LINK_STATE_TAGS), states(LinkState::ALL.iter().map(|s| s.as_str()).collect())),
        ("agent", "each minute, every agent", words(&AGENT_TAGS), agent),
        ("kpi", "`period` now: each minute; month: every five", words(&KPI_TAGS), words(&KPI_FIELDS)),
    ];
    for (measurement, often, tags, fields) in rows {
        text += &format!("| `{measurement}` | {often} | {tags} | {fields} |\n");
    }
    text += "\n## Fields of `probe`\n\nVictoriaMetrics and Prometheus know field `f` as `probe_f`. They keep a point that was sent twice twice, unless\n\
             VictoriaMetrics runs with `-dedup.minScrapeInterval=1ms`; InfluxDB keeps it once.\n\n| field | meaning | standard |\n|---|---|---|\n";
    for metric in Metric::ALL {
        let info = metric.info();
        text += &format!("| `{}` | {} | {} |\n", Published::of(*metric).name, info.meaning, info.standard);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_carry_base_units_and_stay_unique() {
        let names: BTreeSet<String> = Metric::ALL.iter().map(|m| Published::of(*m).name).collect();
        assert_eq!(names.len(), Metric::ALL.len());
        assert!(
            names.iter().all(|n| !["_us", "_kib", "_pct", "_milli", "_dc", "_mv", "_dv", "_cb", "_cdbm"].iter().any(|u| n.ends_with(u)))
        );
    }

    #[test]
    fn examples() {
        assert_eq!(Published::of(Metric::RttUsMin).name, "rtt_seconds_min");
        assert_eq!(Published::of(Metric::PdvUsP95).name, "pdv_seconds_p95");
        assert_eq!(Published::of(Metric::ConnectUs).name, "connect_seconds");
        assert_eq!(Published::of(Metric::UpsMinutesLeft).name, "ups_seconds_left");
        assert_eq!(Published::of(Metric::UpsOnBatteryS).name, "ups_on_battery_seconds");
        assert_eq!(Published::of(Metric::IfHcInOctets).name, "ifHCInOctets");
        assert!((Published::of(Metric::RsrqCb).value(-115) + 11.5).abs() < 1e-9);
    }

    #[test]
    fn no_tag_shares_a_name_with_a_field() {
        let fields: BTreeSet<String> = Metric::ALL.iter().map(|m| Published::of(*m).name).collect();
        for tag in PROBE_TAGS.iter().chain(&KPI_TAGS).chain(&SITE_STATE_TAGS).chain(&LINK_STATE_TAGS).chain(&AGENT_TAGS) {
            assert!(!fields.contains(*tag) && !KPI_FIELDS.contains(tag), "{tag} is both");
        }
    }
}
