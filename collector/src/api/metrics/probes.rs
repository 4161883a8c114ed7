//! Last rounds under the names of Prometheus' blackbox_exporter, where they mean the same.
//!
//! | name | from |
//! |---|---|
//! | `probe_success` | whether the round's outcome is a success |
//! | `probe_duration_seconds` | the round trip, or all phases together |
//! | `probe_icmp_duration_seconds{phase="rtt"}` | median round trip |
//! | `probe_dns_lookup_time_seconds`, `probe_http_duration_seconds{phase}` | the phases |
//! | `probe_http_status_code`, `probe_ssl_earliest_cert_expiry` | as there; the expiry is a Unix time |
//!
//! A round that proves nothing (not run, not permitted) or is older than what counts as now has no sample.

use rusta_wire::{Metric, ProbeKind, Verdict};

use super::coverage::county_of;
use crate::engine::{Snapshot, TargetView};
use crate::inventory::{RegionKind, SiteId};
use crate::sink::schema::Published;
use crate::telemetry::{Exposition, Kind};
use crate::view::Sight;
use crate::web::WebState;

/// Targets of one scrape, about 2 MB of text; a province has a few thousand outside its villages.
const MOST_TARGETS: usize = 5_000;

/// A target's last round with its labels.
struct Round<'a> {
    labels: [(&'static str, &'a str); 7],
    target: &'a TargetView,
}

/// Writes the rounds of sites that stand in no village: offices, points of presence, the core. They see the services and
/// the ways to the villages, and there are few of them.
pub fn write(out: &mut Exposition, web: &WebState, snapshot: &Snapshot, sight: Sight) {
    let inventory = &snapshot.inventory;
    let outside = |id: &SiteId| inventory.region(inventory.site(*id).region).kind != RegionKind::Village;
    let sites = (0..).map(SiteId).take(inventory.sites.len());
    let rounds: Vec<_> =
        sites.filter(|id| outside(id) && sight.sees_site(inventory, *id)).flat_map(|id| rounds_of(web, snapshot, id)).collect();
    let left_out = rounds.len().saturating_sub(MOST_TARGETS);
    let help = "Targets outside villages that a scrape has no room for; ask for their sites";
    out.family("rusta_probe_targets_left_out", Kind::Gauge, help).add(&[], left_out as f64);
    write_rounds(out, &rounds[..rounds.len() - left_out]);
}

/// Writes the rounds of one site.
pub fn write_site(out: &mut Exposition, web: &WebState, snapshot: &Snapshot, site: SiteId) {
    let rounds = rounds_of(web, snapshot, site);
    write_rounds(out, &rounds[..rounds.len().min(MOST_TARGETS)]);
}

fn rounds_of<'a>(web: &WebState, snapshot: &'a Snapshot, site: SiteId) -> Vec<Round<'a>> {
    let inventory = &snapshot.inventory;
    let (province, county) = county_of(inventory, inventory.site(site).region);
    let oldest = snapshot.at - web.thresholds.now_max_age;
    let links = inventory.links_of(site).flat_map(|id| snapshot.link(id).targets.iter().map(move |target| (id, target)));
    let speaks = |target: &TargetView| target.outcome.verdict() != Verdict::NoEvidence && target.observed_at >= oldest;
    links
        .filter(|(_, target)| speaks(target))
        .map(|(id, target)| {
            let link = inventory.link(id);
            let labels = [
                ("province", province),
                ("county", county),
                ("site", inventory.site(site).code.as_str()),
                ("link", link.name.as_str()),
                ("network", link.network.as_str()),
                ("target", target.name.as_str()),
                ("probe", target.probe.as_str()),
            ];
            Round { labels, target }
        })
        .collect()
}

impl Round<'_> {
    /// Returns a measured value in its base unit.
    fn value(&self, metric: Metric) -> Option<f64> {
        let measured = self.target.values.iter().find(|(name, _)| *name == metric);
        measured.map(|(_, value)| Published::of(metric).value(*value))
    }

    /// Returns how long the round took; `None` if it never ended.
    fn duration(&self) -> Option<f64> {
        let whole = [Metric::RttUsP50, Metric::QueryUs].into_iter().find_map(|metric| self.value(metric));
        let phases = PHASES.iter().filter_map(|(_, metric)| self.value(*metric));
        whole.or_else(|| phases.reduce(|sum, phase| sum + phase))
    }
}

/// blackbox_exporter's phases of an HTTP probe.
const PHASES: [(&str, Metric); 5] = [
    ("resolve", Metric::ResolveUs),
    ("connect", Metric::ConnectUs),
    ("tls", Metric::TlsUs),
    ("processing", Metric::FirstByteUs),
    ("transfer", Metric::TransferUs),
];

fn write_rounds(out: &mut Exposition, rounds: &[Round<'_>]) {
    let mut family = |name: &str, help: &str, value: &dyn Fn(&Round<'_>) -> Option<f64>| {
        let mut family = out.family(name, Kind::Gauge, help);
        for round in rounds {
            family.add_known(&round.labels, value(round));
        }
    };
    let succeeded = |round: &Round<'_>| Some(if round.target.outcome.verdict() == Verdict::Success { 1.0 } else { 0.0 });
    family("probe_success", "Whether the last round succeeded", &succeeded);
    family("probe_duration_seconds", "How long the last round took", &|round: &Round<'_>| round.duration());
    family("probe_dns_lookup_time_seconds", "How long the name took to resolve", &|round: &Round<'_>| round.value(Metric::ResolveUs));
    family("probe_http_status_code", "Status of the last answer", &|round: &Round<'_>| round.value(Metric::HttpStatus));
    let expiry = |round: &Round<'_>| round.value(Metric::CertificateS).map(|left| round.target.observed_at.0 as f64 / 1e3 + left);
    family("probe_ssl_earliest_cert_expiry", "When the first certificate of the chain expires, Unix time", &expiry);
    let mut family = out.family("probe_icmp_duration_seconds", Kind::Gauge, "Median round trip");
    for round in rounds.iter().filter(|round| round.target.probe == ProbeKind::Icmp) {
        family.add_known(&with_phase(round, "rtt"), round.value(Metric::RttUsP50));
    }
    let mut family = out.family("probe_http_duration_seconds", Kind::Gauge, "Phases of an HTTP round");
    for round in rounds.iter().filter(|round| round.target.probe == ProbeKind::Http) {
        for (phase, metric) in PHASES {
            family.add_known(&with_phase(round, phase), round.value(metric));
        }
    }
}

fn with_phase<'a>(round: &Round<'a>, phase: &'a str) -> Vec<(&'static str, &'a str)> {
    round.labels.into_iter().chain([("phase", phase)]).collect()
}
