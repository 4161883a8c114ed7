//! `service_reachability`: how often an attempt to use a service works.

use crate::kpi::facts::{Section, ServiceFact};
use crate::kpi::{Breakdown, Counted, Kpi, Measure, Tally};

const SHARED: Kpi = Kpi {
    by: &[Breakdown::Region, Breakdown::Service, Breakdown::Network, Breakdown::Cohort],
    basis: "programme goal",
    needs: ("دست‌کم یک آزمون خدمت", "at least one attempt to use a service"),
    counts: (Counted::Attempts, Counted::Attempts),
    ..Kpi::BASE
};

/// All attempts.
pub const KPI: Kpi = Kpi {
    id: "service_reachability",
    names: ("دسترسی به خدمت", "service reachability"),
    formula: ("آزمون‌های موفق، بخش بر همه آزمون‌ها", "good attempts over all attempts"),
    measures: &[Measure::Service(user)],
    ..SHARED
};
/// Attempts made while the site's own link worked.
pub const KPI_SERVICE_ONLY: Kpi = Kpi {
    id: "service_reachability_service_only",
    names: ("دسترسی به خدمت، بدون قطعی لینک", "service reachability, link up"),
    formula: (
        "آزمون‌های موفق، بخش بر آزمون‌هایی که هنگام برقراری لینک انجام شده",
        "good attempts over attempts, both while the link to the anchors was up",
    ),
    measures: &[Measure::Service(service_only)],
    ..SHARED
};

fn user(_: &Section, fact: &ServiceFact) -> Option<Tally> {
    Some(Tally::share(fact.ok as f64, fact.attempts as f64, 0.0))
}

fn service_only(_: &Section, fact: &ServiceFact) -> Option<Tally> {
    Some(Tally::share(fact.ok_up as f64, fact.attempts_up as f64, 0.0))
}
