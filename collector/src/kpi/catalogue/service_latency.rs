//! `service_latency_p95`: how long successful transactions take.

use crate::kpi::facts::{Section, ServiceFact};
use crate::kpi::{Breakdown, Counted, Form, Kpi, Measure, Tally, Unit};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "service_latency_p95",
    names: ("زمان پاسخ خدمت", "service response time"),
    formula: (
        "صدک ۹۵ زمان تراکنش‌های موفق؛ ناموفق‌ها جدا شمرده می‌شوند و هرگز صفر نیستند",
        "95th percentile of successful transactions; failures are counted apart, never as zero",
    ),
    unit: Unit::Milliseconds,
    form: Form::Percentile(95, 1_000),
    by: &[Breakdown::Region, Breakdown::Service, Breakdown::Network],
    basis: "programme goal",
    needs: ("دست‌کم یک آزمون موفق خدمت", "at least one successful attempt to use a service"),
    measures: &[Measure::Service(measure)],
    counts: (Counted::Attempts, Counted::Attempts),
    ..Kpi::BASE
};

fn measure(_: &Section, fact: &ServiceFact) -> Option<Tally> {
    let good = fact.latency_us.count() as f64;
    if good == 0.0 {
        return Some(Tally { objects: 1, sums: vec![("failed", fact.attempts as f64)], ..Tally::default() });
    }
    let tally = Tally::mean(good, fact.attempts as f64, (1.0, 0.0)).with_histogram(&fact.latency_us);
    Some(tally.with_sum("failed", (fact.attempts - fact.ok) as f64))
}
