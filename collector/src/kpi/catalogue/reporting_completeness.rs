//! `reporting_completeness`: whether agents report what they should.

use crate::kpi::{Breakdown, Kpi, Measure, SiteFact, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "reporting_completeness",
    names: ("کامل بودن گزارش عامل", "agent completeness"),
    formula: (
        "گزارش‌های رسیده (دیررسیده‌ها هم)، بخش بر گزارش‌هایی که برنامه می‌خواهد؛ رسیده تا ۱۰ دقیقه، صدک ۹۵ تأخیر و صدک ۹۵ اختلاف ساعت کنار آن",
        "reports received (late ones included) over reports expected from the schedule; on time within 10 minutes, p95 of the lag and p95 of the clock skew beside",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator],
    needs: ("گزارش دست‌کم یک عامل", "reports of at least one agent"),
    measures: &[Measure::Site(measure)],
    ..Kpi::BASE
};

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let reports = site.reports?;
    let tally = Tally::share(reports.received as f64, reports.expected as f64, 0.0).with_sum("on_time", reports.on_time as f64);
    Some(tally.with_beside("lag_s_p95", &reports.lag_s).with_beside("skew_ms_p95", &reports.skew_ms))
}
