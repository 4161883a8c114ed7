//! `loss_ratio`: packets lost while the link was up.

use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "loss_ratio",
    names: ("نرخ اتلاف", "packet loss"),
    formula: (
        "بسته‌های گم‌شده، بخش بر فرستاده‌شده؛ زمان انتظار ۳ ثانیه؛ بازه‌های قطعی کنار گذاشته می‌شود؛ دست‌کم ۱۰۰ بسته",
        "packets lost over packets sent, waiting time 3 s; time of outages is left out; at least 100 packets",
    ),
    form: Form::Mean,
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::Technology, Breakdown::Network],
    basis: "RFC 7680",
    least: 100.0,
    needs: ("دست‌کم یک پینگ", "at least one ping"),
    measures: &[Measure::Link(measure)],
    counts: (Counted::Packets, Counted::Packets),
    ..Kpi::BASE
};

fn measure(link: &LinkFact<'_>) -> Option<Tally> {
    let seconds = link.facts.state;
    let (lost, sent) = link.facts.rounds.as_ref().map_or((0, 0), |r| (r.lost, r.sent));
    Some(Tally::mean(lost as f64, sent as f64, (seconds.known() as f64, seconds.unknown as f64)))
}
