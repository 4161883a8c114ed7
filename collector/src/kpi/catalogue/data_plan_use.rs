//! `data_plan_use`: how much of their data plans metered links have used, and how they will end.

use rusta_wire::UnixMs;

use crate::kpi::{Breakdown, Counted, Form, Kpi, LinkFact, Measure, Tally};
use crate::persian::JalaliDate;

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "data_plan_use",
    names: ("مصرف بسته", "data plan use"),
    formula: (
        "حجم مصرفی این دوره، بخش بر حجم بسته؛ پیش‌بینی خطی تا پایان دوره و سهم خود پایش کنار آن",
        "bytes used in this cycle over the plan; a linear forecast to the cycle's end and the monitoring's own share beside",
    ),
    form: Form::Mean,
    by: &[Breakdown::Region, Breakdown::Operator, Breakdown::SiteKind],
    whole: true,
    needs: ("خوانش بسته دست‌کم یک لینک", "the plan reading of at least one link"),
    measures: &[Measure::Link(measure)],
    counts: (Counted::Kibibytes, Counted::Kibibytes),
    ..Kpi::BASE
};

fn measure(link: &LinkFact<'_>) -> Option<Tally> {
    let plan = link.facts.rounds.as_ref()?.plan.filter(|p| p.limit_kib > 0)?;
    let forecast = plan.used_kib as f64 / elapsed(plan.at, link.link().cycle_day.unwrap_or(1));
    let tally = Tally::mean(plan.used_kib as f64, plan.limit_kib as f64, (1.0, 0.0));
    let tally = tally.with_value(plan.used_kib as f64 / plan.limit_kib as f64);
    let will_run_out = f64::from(u8::from(forecast > plan.limit_kib as f64));
    Some(tally.with_sum("own_kib", plan.own_kib as f64).with_sum("forecast_kib", forecast).with_sum("plans_running_out", will_run_out))
}

/// Returns the elapsed part of the Jalali billing cycle that holds a moment, never under a day of thirty.
fn elapsed(at: UnixMs, cycle_day: u8) -> f64 {
    let today = JalaliDate::at(at);
    let start_in = |months: i32| {
        let first = today.month_start(months);
        first.plus_days(i64::from(cycle_day.min(first.days_in_month())) - 1).start()
    };
    let (from, until) = if start_in(0) <= at { (start_in(0), start_in(1)) } else { (start_in(-1), start_in(0)) };
    ((at.0 - from.0) as f64 / (until.0 - from.0).max(1) as f64).max(1.0 / 30.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_may_begin_on_a_day_the_month_does_not_have() {
        let at = |year, month, day| JalaliDate::new(year, month, day).unwrap().start();
        assert_eq!(elapsed(at(1405, 1, 16), 1), 15.0 / 31.0);
        // 1404 has no 30 Esfand: the cycle of day 31 begins on the 29th and ends with Farvardin.
        assert_eq!(elapsed(at(1405, 1, 16), 31), 16.0 / 31.0);
    }
}
