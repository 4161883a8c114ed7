//! `reporting_completeness`: whether agents report what they should.

use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally};

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
    counts: (Counted::Reports, Counted::Reports),
    measures: &[Measure::Site(measure)],
    second: Some(|first| Kpi {
        formula: (
            "میانگین سایت‌ها از سهم گزارش‌های رسیده (دیررسیده‌ها هم) از گزارش‌هایی که برنامه می‌خواهد، گرد شده به یک‌میلیونم؛ هر سایت یک بار شمرده می‌شود، هر چند بار که گزارش دهد؛ رسیده تا ۱۰ دقیقه، صدک ۹۵ تأخیر و صدک ۹۵ اختلاف ساعت کنار آن",
            "mean over sites of the share of reports received (late ones included) of those expected from the schedule, rounded to a millionth; a site counts once however often it reports; on time within 10 minutes, p95 of the lag and p95 of the clock skew beside",
        ),
        counts: (Counted::Sites, Counted::Sites),
        whole: true,
        scale: (MILLION, 1.0),
        measures: &[Measure::Site(by_site)],
        ..*first
    }),
    ..Kpi::BASE
};

/// A site's share in whole millionths: shares of sites add up exactly.
const MILLION: f64 = 1e6;

fn by_site(site: &SiteFact<'_>) -> Option<Tally> {
    let reports = site.reports.filter(|reports| reports.expected > 0)?;
    let share = (reports.received as f64 / reports.expected as f64 * MILLION).round();
    let tally = Tally::share(share, 1.0, 0.0).with_sum("expected", reports.expected as f64).with_sum("received", reports.received as f64);
    let tally = tally.with_sum("on_time", reports.on_time as f64);
    Some(tally.with_beside("lag_s_p95", &reports.lag_s).with_beside("skew_ms_p95", &reports.skew_ms))
}

fn measure(site: &SiteFact<'_>) -> Option<Tally> {
    let reports = site.reports?;
    let tally = Tally::share(reports.received as f64, reports.expected as f64, 0.0).with_sum("on_time", reports.on_time as f64);
    Some(tally.with_beside("lag_s_p95", &reports.lag_s).with_beside("skew_ms_p95", &reports.skew_ms))
}
