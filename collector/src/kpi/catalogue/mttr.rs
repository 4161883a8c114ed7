//! `mttr`: how long it takes to restore a link, and how long each stage of that takes.
//!
//! ```text
//! first failure --detect--> an incident holds the link --acknowledge--> somebody took it --restore--> first answer
//! |<------------------------------------------- mttr ----------------------------------------------------------->|
//! ```
//! What came after the first answer is cut off: an outage that nobody heard of in time was detected as long as it lasted.

use rusta_wire::UnixMs;

use crate::history::Ended;
use crate::kpi::facts::{Affected, OutageFact};
use crate::kpi::{Breakdown, Counted, Form, Kpi, Measure, OutageIn, Tally, Unit, Work};

const SHARED: Kpi = Kpi {
    unit: Unit::Minutes,
    form: Form::Mean,
    counts: (Counted::Minutes, Counted::Outages),
    scale: (60.0, 1.0),
    by: &[Breakdown::Region, Breakdown::SiteKind, Breakdown::Operator, Breakdown::Technology, Breakdown::Cause, Breakdown::Responsible],
    basis: "E.800",
    work: Work::SplitsNothing,
    ..Kpi::BASE
};

/// The whole.
pub const KPI: Kpi = Kpi {
    id: "mttr",
    names: ("میانگین زمان بازیابی", "mean time to restore"),
    formula: (
        "جمع مدت کامل قطعی‌هایی که در بازه بازیابی شده (با بخش پیش از بازه)، بخش بر شمارشان؛ قطعی‌های باز جدا شمرده می‌شود",
        "full duration of outages restored in the window, also the part before it, over their number; open outages are listed apart",
    ),
    measures: &[Measure::Outage(measure)],
    second: Some(|first| Kpi {
        formula: (
            "جمع مدت کامل قطعی‌هایی که در بازه بازیابی شده (با بخش پیش از بازه)، بخش بر شمارشان؛ قطعی‌های باز، قطعی‌هایی که با خاموشی پایان یافته و قطعی‌هایی که با کار اعلام‌شده پایان یافته، هر کدام جدا با شمار و مدت می‌آید",
            "full duration of outages restored in the window, also the part before it, over their number; open outages, outages that ended by silence and outages that ended by announced work stand apart, each with their number and duration",
        ),
        measures: &[Measure::Outage(|outage| measure(outage).or_else(|| unseen(outage)))],
        ..*first
    }),
    ..SHARED
};
/// Its first stage.
pub const KPI_DETECT: Kpi = Kpi {
    id: "mttr_detect",
    names: ("میانگین زمان آشکارسازی", "mean time to detect"),
    formula: (
        "از نخستین شکست تا ثبت لینک در یک رخداد، برای قطعی‌های بازیابی‌شده در بازه که رخدادی داشته",
        "from the first failure until an incident held the link, over outages restored in the window that an incident held",
    ),
    needs: ("قطعی بازیابی‌شده‌ای که رخدادی داشته", "a restored outage that an incident held"),
    measures: &[Measure::Outage(|outage| stage(outage, |of| Some((of.started_at, of.detected_at?))))],
    ..SHARED
};
/// Its second stage.
pub const KPI_ACKNOWLEDGE: Kpi = Kpi {
    id: "mttr_acknowledge",
    names: ("میانگین زمان تأیید دریافت", "mean time to acknowledge"),
    formula: (
        "از ثبت لینک در رخداد تا تأیید دریافت آن، برای قطعی‌های بازیابی‌شده در بازه که رخدادشان تأیید شده",
        "from an incident's taking the link until its acknowledgement, over outages restored in the window whose incident was acknowledged",
    ),
    needs: ("قطعی بازیابی‌شده‌ای که رخدادش تأیید شده", "a restored outage whose incident was acknowledged"),
    measures: &[Measure::Outage(|outage| stage(outage, |of| Some((of.detected_at?, of.acknowledged_at?))))],
    ..SHARED
};
/// Its last stage.
pub const KPI_RESTORE: Kpi = Kpi {
    id: "mttr_restore",
    names: ("میانگین زمان رفع پس از تأیید", "mean time to restore after acknowledgement"),
    formula: (
        "از تأیید دریافت رخداد تا نخستین پاسخ لینک، برای قطعی‌های بازیابی‌شده در بازه که رخدادشان تأیید شده",
        "from the incident's acknowledgement until the first answer, over outages restored in the window whose incident was acknowledged",
    ),
    needs: ("قطعی بازیابی‌شده‌ای که رخدادش تأیید شده", "a restored outage whose incident was acknowledged"),
    measures: &[Measure::Outage(|outage| stage(outage, |of| Some((of.acknowledged_at?, of.ended_at?))))],
    ..SHARED
};

/// Returns when an outage of a link ended, if that was in the window and measured.
fn restored(outage: &OutageIn<'_>) -> Option<UnixMs> {
    let of = outage.outage;
    of.ended_at
        .filter(|ended| matches!(of.of, Affected::Link(_)) && of.ended == Some(Ended::Restored) && outage.section.window.contains(*ended))
}

fn measure(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    match (restored(outage), of.ended_at) {
        (Some(ended), _) => Some(took(of.started_at, ended)),
        (None, None) if matches!(of.of, Affected::Link(_)) => Some(Tally { sums: vec![("open", 1.0)], ..Tally::default() }),
        _ => None,
    }
}

/// Counts an outage whose restoration nobody saw though it ended in the window: what ended it stands apart.
fn unseen(outage: &OutageIn<'_>) -> Option<Tally> {
    let of = outage.outage;
    let ended = of.ended_at.filter(|ended| matches!(of.of, Affected::Link(_)) && outage.section.window.contains(*ended))?;
    let (count, minutes) = match of.ended? {
        Ended::Restored => return None,
        Ended::Silence => ("ended_by_silence", "ended_by_silence_minutes"),
        Ended::Work => ("ended_by_work", "ended_by_work_minutes"),
    };
    let took = (ended.seconds() - of.started_at.seconds()) as f64 / 60.0;
    Some(Tally { sums: vec![(count, 1.0), (minutes, took)], ..Tally::default() })
}

fn stage(outage: &OutageIn<'_>, bounds: fn(&OutageFact) -> Option<(UnixMs, UnixMs)>) -> Option<Tally> {
    let ended = restored(outage)?;
    let (from, until) = bounds(outage.outage)?;
    let inside = |at: UnixMs| at.max(outage.outage.started_at).min(ended);
    Some(took(inside(from), inside(until.max(from))))
}

fn took(from: UnixMs, until: UnixMs) -> Tally {
    let seconds = (until.seconds() - from.seconds()) as f64;
    Tally::mean(seconds, 1.0, (1.0, 0.0)).with_value(seconds / 60.0)
}
