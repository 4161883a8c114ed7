//! `villages_connected_month`: how many villages were connected for most of the month.

use crate::history::StateSeconds;
use crate::kpi::{Breakdown, Form, Kpi, Measure, Tally, Term, Terms, VillageFact, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "villages_connected_month",
    work: Work::ConnectsNobody,
    names: ("روستاهای متصل در ماه", "villages connected in month"),
    formula: (
        "روستایی که دست‌کم ۹۰٪ زمان معلومش متصل و دست‌کم نیمی از زمانش معلوم است، بخش بر همه روستاهای دارای سکنه",
        "villages connected for at least 90 % of their known time with at least half of the time known, over all inhabited villages",
    ),
    form: Form::ShareOfAll,
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Cohort],
    stands_on: &[Term::Policy, Term::Connected, Term::Measured],
    whole: true,
    measures: &[Measure::Village(measure)],
    second: Some(|first| Kpi {
        formula: (
            "روستایی که دست‌کم ۹۰٪ زمان معلومش متصل بوده، بخش بر روستاهای سنجیده؛ سنجیده روستایی است که دست‌کم نیمی از زمانش معلوم است؛ روستای سنجیده‌نشده جدا و در کران‌ها می‌آید؛ سه سهم متصل، نامتصل و سنجیده‌نشده روی هم یک است",
            "villages connected for at least 90 % of their known time, over measured villages; measured is a village with at least half of its time known; unmeasured villages stand apart and make the bounds; the shares connected, not connected and unmeasured add up to one",
        ),
        form: Form::Share,
        measures: &[Measure::Village(judge)],
        whole_of: &[("connected", "share_connected"), ("not_connected", "share_not_connected"), ("unmeasured", "share_unmeasured")],
        ..*first
    }),
    ..Kpi::BASE
};

/// Judges seconds: connected for most of the known time; `None` if too little is known.
pub fn is_connected(seconds: &StateSeconds, terms: &Terms) -> Option<bool> {
    let known = seconds.known_ratio().is_some_and(|ratio| ratio >= terms.measured) && seconds.known() > 0;
    known.then(|| seconds.carried() as f64 >= terms.connected * seconds.known() as f64)
}

fn judge(village: &VillageFact<'_>) -> Option<Tally> {
    let connected = is_connected(&village.state(), village.terms);
    let one = |is: bool| f64::from(u8::from(is));
    let tally = Tally::of(connected).with_sum("connected", one(connected == Some(true)));
    Some(tally.with_sum("not_connected", one(connected == Some(false))).with_sum("unmeasured", one(connected.is_none())))
}

fn measure(village: &VillageFact<'_>) -> Option<Tally> {
    let connected = is_connected(&village.state(), village.terms);
    let one = |is: bool| f64::from(u8::from(is));
    let tally = Tally {
        numerator: one(connected == Some(true)),
        denominator: 1.0,
        known: one(connected.is_some()),
        unknown: one(connected.is_none()),
        objects: 1,
        ..Tally::default()
    };
    Some(tally.with_sum("not_connected", one(connected == Some(false))).with_sum("unmeasured", one(connected.is_none())))
}
