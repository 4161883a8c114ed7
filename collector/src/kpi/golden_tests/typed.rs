//! A golden fixture as it is typed: one file, one small case computed by hand.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fixture {
    /// The hand computation in words.
    pub(super) why: String,
    pub(super) period: String,
    pub(super) sections: Vec<SectionText>,
    /// Pages, acknowledged quickly, actionable, suppressed, by who is responsible.
    #[serde(default)]
    pub(super) alerts: Option<BTreeMap<String, [u64; 4]>>,
    #[serde(default)]
    pub(super) definitions: Vec<DefinitionText>,
    pub(super) expect: Vec<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DefinitionText {
    pub(super) kpi: String,
    pub(super) version: u32,
    pub(super) from: String,
    pub(super) set: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionText {
    #[serde(default)]
    pub(super) from: Option<String>,
    #[serde(default)]
    pub(super) until: Option<String>,
    pub(super) regions: Vec<RegionText>,
    #[serde(default)]
    pub(super) sites: Vec<SiteText>,
    #[serde(default)]
    pub(super) links: Vec<LinkText>,
    #[serde(default)]
    pub(super) declared: Vec<DeclaredText>,
    #[serde(default)]
    pub(super) goals: Vec<GoalText>,
    /// Ids of services; a trailing `*` marks a single window.
    #[serde(default)]
    pub(super) services: Vec<String>,
    #[serde(default)]
    pub(super) villages: BTreeMap<String, Seconds>,
    #[serde(default)]
    pub(super) nin: BTreeMap<String, Seconds>,
    #[serde(default)]
    pub(super) site_seconds: BTreeMap<String, Seconds>,
    /// What of `site_seconds` was measured inside work announced too late.
    #[serde(default)]
    pub(super) site_short_notice: BTreeMap<String, Seconds>,
    #[serde(default)]
    pub(super) link_short_notice: BTreeMap<String, Seconds>,
    /// Villages under the policy `dehyari_uplink`.
    #[serde(default)]
    pub(super) dehyari_uplink: BTreeMap<String, Seconds>,
    #[serde(default)]
    pub(super) link_seconds: BTreeMap<String, Seconds>,
    #[serde(default)]
    pub(super) rounds: BTreeMap<String, RoundsText>,
    #[serde(default)]
    pub(super) outages: Vec<OutageText>,
    #[serde(default)]
    pub(super) attempts: Vec<AttemptText>,
    #[serde(default)]
    pub(super) reports: BTreeMap<String, ReportsText>,
    #[serde(default)]
    pub(super) young: Vec<String>,
    /// Villages at this moment: state and the age of the evidence in seconds.
    #[serde(default)]
    pub(super) now: BTreeMap<String, (String, i64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RegionText {
    pub(super) code: String,
    pub(super) kind: String,
    #[serde(default)]
    pub(super) parent: String,
    #[serde(default)]
    pub(super) households: Option<u32>,
    #[serde(default)]
    pub(super) population: Option<u32>,
    #[serde(default)]
    pub(super) households_as_of: Option<String>,
    #[serde(default)]
    pub(super) fixed_line: Option<bool>,
    #[serde(default)]
    pub(super) cohort: Option<String>,
    #[serde(default)]
    pub(super) uninhabited: bool,
    #[serde(default)]
    pub(super) previous_code: Option<String>,
    #[serde(default)]
    pub(super) name_en: String,
    #[serde(default)]
    pub(super) place: Option<(f64, f64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SiteText {
    pub(super) code: String,
    pub(super) kind: String,
    pub(super) region: String,
    #[serde(default)]
    pub(super) class: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkText {
    pub(super) of: String,
    pub(super) name: String,
    pub(super) network: String,
    #[serde(default)]
    pub(super) access: Option<String>,
    #[serde(default)]
    pub(super) operator: String,
    #[serde(default)]
    pub(super) metered: bool,
    #[serde(default)]
    pub(super) cycle_day: Option<u8>,
    #[serde(default)]
    pub(super) parent: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeclaredText {
    pub(super) kpi: String,
    pub(super) region: String,
    pub(super) value: f64,
    #[serde(default)]
    pub(super) unit: Option<String>,
    #[serde(default)]
    pub(super) as_of: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GoalText {
    pub(super) kpi: String,
    pub(super) region: String,
    pub(super) value: f64,
    #[serde(default)]
    pub(super) baseline: Option<f64>,
}

#[derive(Deserialize, Default, Clone, Copy)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Seconds {
    pub(super) up: u64,
    pub(super) degraded: u64,
    pub(super) down: u64,
    pub(super) unknown: u64,
    pub(super) maintenance: u64,
    pub(super) not_in_service: u64,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RoundsText {
    pub(super) sent: u64,
    pub(super) lost: u64,
    pub(super) rtt_us: Vec<i64>,
    pub(super) pdv_us: Vec<i64>,
    pub(super) packet_rtt_us: Vec<i64>,
    pub(super) packet_pdv_us: Vec<i64>,
    pub(super) ipdv_us: Vec<i64>,
    /// Generation and count.
    pub(super) generation: Vec<(i64, u64)>,
    pub(super) rsrp_dbm: Vec<i64>,
    pub(super) sinr_cb: Vec<i64>,
    pub(super) download_bps: Vec<i64>,
    pub(super) upload_bps: Vec<i64>,
    pub(super) slots: u64,
    pub(super) good_slots: u64,
    /// When, used, own, limit.
    pub(super) plan: Option<(String, u64, u64, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutageText {
    /// Announced work inside it.
    #[serde(default)]
    pub(super) work: Vec<(String, String)>,
    /// `link s/l`, `site s` or `village v`.
    pub(super) of: String,
    pub(super) from: String,
    #[serde(default)]
    pub(super) until: Option<String>,
    #[serde(default)]
    pub(super) lost_from_sight: bool,
    #[serde(default)]
    pub(super) ended_by_work: bool,
    #[serde(default)]
    pub(super) cause: Option<String>,
    /// When an incident held the link, and when that was acknowledged.
    #[serde(default)]
    pub(super) detected: Option<String>,
    #[serde(default)]
    pub(super) acknowledged: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttemptText {
    pub(super) service: String,
    pub(super) site: String,
    pub(super) attempts: u64,
    pub(super) ok: u64,
    pub(super) up: u64,
    #[serde(default)]
    pub(super) latency_us: Vec<i64>,
    /// Good ones while the link was up; all good ones if not given.
    #[serde(default)]
    pub(super) ok_up: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportsText {
    /// Seconds learnt late, of those down, and days with any.
    #[serde(default)]
    pub(super) late: Option<(u64, u64, u64)>,
    pub(super) expected: u64,
    pub(super) received: u64,
    pub(super) on_time: u64,
    #[serde(default)]
    pub(super) lag_s: Vec<i64>,
    #[serde(default)]
    pub(super) skew_ms: Vec<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub(super) kpi: String,
    pub(super) region: String,
    #[serde(default)]
    pub(super) weight: Option<String>,
    #[serde(default)]
    pub(super) by: Option<String>,
    #[serde(default)]
    pub(super) part: Option<String>,
    #[serde(default)]
    pub(super) numerator: Option<Number>,
    #[serde(default)]
    pub(super) denominator: Option<Number>,
    #[serde(default)]
    pub(super) unknown: Option<Number>,
    /// `null` or left out: there must be no value.
    #[serde(default)]
    pub(super) value: Option<Number>,
    #[serde(default)]
    pub(super) lo: Option<Number>,
    #[serde(default)]
    pub(super) hi: Option<Number>,
    #[serde(default)]
    pub(super) known_ratio: Option<Number>,
    pub(super) standing: String,
    /// The third mark and its error.
    #[serde(default)]
    pub(super) estimate: Option<(f64, f64)>,
    /// There must be no third mark.
    #[serde(default)]
    pub(super) no_estimate: bool,
    #[serde(default)]
    pub(super) details: BTreeMap<String, f64>,
}

/// A number or a fraction such as `2/3`, so that the hand computation stands in the file.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Number {
    Whole(f64),
    Fraction(String),
}
