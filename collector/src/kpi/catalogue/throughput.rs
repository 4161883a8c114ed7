//! `throughput_dl`, `throughput_ul`: what throughput tests moved.

use crate::history::Histogram;
use crate::kpi::facts::Rounds;
use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally, Unit};

const SHARED: Kpi = Kpi {
    formula: (
        "میانه آزمون‌های ۴ تا ۱۰ ثانیه‌ای؛ دهک بدتر کنار آن؛ آزمون انجام‌نشده شمرده نمی‌شود",
        "median of tests of 4 to 10 s, worst decile beside; a test that was not run does not count",
    ),
    unit: Unit::Mbps,
    form: Form::Percentile(50, 1_000_000),
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology],
    basis: "RFC 6349",
    needs: ("دست‌کم یک آزمون گذردهی", "at least one throughput test"),
    counts: (Counted::Nothing, Counted::Tests),
    ..Kpi::BASE
};

/// Towards the site.
pub const KPI_DL: Kpi = Kpi {
    id: "throughput_dl",
    names: ("گذردهی دریافت", "download throughput"),
    measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.download_bps))],
    ..SHARED
};
/// From the site.
pub const KPI_UL: Kpi = Kpi {
    id: "throughput_ul",
    names: ("گذردهی ارسال", "upload throughput"),
    measures: &[Measure::Link(|link| measure(link, |rounds| &rounds.upload_bps))],
    ..SHARED
};

fn measure(link: &LinkFact<'_>, of: fn(&Rounds) -> &Histogram) -> Option<Tally> {
    let tests = of(link.facts.rounds.as_ref()?);
    let median = tests.quantile(0.5)? as f64 / 1e6;
    // Tests are rare by design, so what is known is the tests, not the time.
    Some(Tally::mean(0.0, tests.count() as f64, (tests.count() as f64, 0.0)).with_histogram(tests).with_value(median))
}
