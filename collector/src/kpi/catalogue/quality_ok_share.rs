//! `quality_ok_share`: how much of the known time the quality was good.

use crate::kpi::{Breakdown, Counted, Kpi, LinkFact, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "quality_ok_share",
    names: ("سهم زمان با کیفیت مناسب", "time share of good quality"),
    formula: (
        "بازه‌های پنج‌دقیقه‌ای با صدک ۹۵ تأخیر تا ۲۰۰ م‌ث، اتلاف تا ۲٪ و لرزش تا ۵۰ م‌ث، بخش بر بازه‌های دارای ۱۰ نمونه یا بیشتر",
        "five-minute slots with RTT p95 up to 200 ms, loss up to 2 % and jitter up to 50 ms, over slots with at least 10 samples",
    ),
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology, Breakdown::Network],
    needs: ("بازه‌ای پنج‌دقیقه‌ای با ۱۰ نمونه", "a five-minute slot with 10 samples"),
    counts: (Counted::Slots, Counted::Slots),
    measures: &[Measure::Link(measure)],
    second: Some(|first| Kpi {
        formula: (
            "بازه‌های پنج‌دقیقه‌ای که صدک ۹۵ تأخیر بسته‌هایش تا ۲۰۰ م‌ث، اتلاف تا ۲٪ و صدک ۹۵ لرزش بسته‌هایش تا ۵۰ م‌ث است، بخش بر بازه‌های دارای دست‌کم ده دور سنجش",
            "five-minute slots whose packets have an RTT p95 up to 200 ms, loss up to 2 % and a delay variation p95 up to 50 ms, over slots with at least ten rounds",
        ),
        ..*first
    }),
    ..Kpi::BASE
};

/// Seconds of a slot: what is not known of the link's time is not known of its slots.
const SLOT_S: f64 = 300.0;

fn measure(link: &LinkFact<'_>) -> Option<Tally> {
    let rounds = link.facts.rounds.as_ref().filter(|r| r.slots > 0)?;
    Some(Tally::share(rounds.good_slots as f64, rounds.slots as f64, (link.facts.state.unknown as f64 / SLOT_S).floor()))
}
