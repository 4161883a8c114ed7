//! `radio_band_share`: how good the radio is, by the bands of a fixed rural antenna.

use crate::history::Histogram;
use crate::kpi::{Breakdown, Counted, Kpi, LinkFact, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "radio_band_share",
    names: ("توزیع کیفیت رادیویی", "radio quality bands"),
    formula: (
        "نمونه‌های RSRP در باند متوسط یا بهتر (\u{2066}−۱۰۵ dBm\u{2069} و بیشتر)، بخش بر همه نمونه‌ها؛ شمار هر باند RSRP و SINR کنار آن",
        "RSRP samples in band fair or better (−105 dBm and above) over all samples; the count of each RSRP and SINR band beside",
    ),
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology],
    basis: "TS 36.133 ranges",
    needs: ("دست‌کم یک خوانش RSRP", "at least one RSRP reading"),
    measures: &[Measure::Link(measure)],
    counts: (Counted::Readings, Counted::Readings),
    ..Kpi::BASE
};

/// Lower limits of excellent, good, fair and weak; below is unusable (`domain.md`).
const RSRP_DBM: [(i64, &str); 5] =
    [(-85, "rsrp_excellent"), (-95, "rsrp_good"), (-105, "rsrp_fair"), (-115, "rsrp_weak"), (i64::MIN, "rsrp_unusable")];
/// The same in tenths of a decibel.
const SINR_CB: [(i64, &str); 5] =
    [(200, "sinr_excellent"), (130, "sinr_good"), (30, "sinr_fair"), (0, "sinr_weak"), (i64::MIN, "sinr_unusable")];

fn measure(link: &LinkFact<'_>) -> Option<Tally> {
    let rounds = link.facts.rounds.as_ref().filter(|r| r.rsrp_dbm.count() > 0)?;
    let rsrp = counts(&rounds.rsrp_dbm, RSRP_DBM);
    let fair: u64 = rsrp[..3].iter().map(|(_, count)| count).sum();
    let mut tally = Tally::share(fair as f64, rounds.rsrp_dbm.count() as f64, 0.0);
    for (name, count) in rsrp.into_iter().chain(counts(&rounds.sinr_cb, SINR_CB)) {
        tally = tally.with_sum(name, count as f64);
    }
    Some(tally)
}

/// Counts samples by band. A bucket that straddles a limit counts by its middle.
fn counts(samples: &Histogram, bands: [(i64, &'static str); 5]) -> [(&'static str, u64); 5] {
    let mut out = bands.map(|(_, name)| (name, 0));
    for (low, high, count) in samples.buckets() {
        let middle = low + (high - low) / 2;
        if let Some(at) = bands.iter().position(|(least, _)| middle >= *least) {
            out[at].1 += count;
        }
    }
    out
}
