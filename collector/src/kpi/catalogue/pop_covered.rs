//! `pop_covered_2g`, `_3g`, `_4g`: residents living where that generation, or a better one, was seen.

use super::coverage::best_generation;
use crate::kpi::{Breakdown, Kpi, Measure, Tally, VillageFact, Weight};

const SHARED: Kpi = Kpi {
    formula: (
        "جمعیت روستاهایی که مودمی در آن این نسل یا بهتر را دیده، بخش بر جمعیت روستاهای سنجیده؛ بر پایه محل سکونت",
        "residents of villages where a modem saw this generation or better, over residents of measured villages; by residence, subscribed or not",
    ),
    weights: &[Weight::Population],
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator],
    basis: "SDG 9.c.1",
    whole: true,
    needs: ("خوانش مودم از دست‌کم یک روستا", "modem readings of at least one village"),
    ..Kpi::BASE
};

/// 2G or better.
pub const KPI_2G: Kpi = Kpi {
    id: "pop_covered_2g",
    names: ("جمعیت تحت پوشش نسل دوم", "population covered by 2G"),
    measures: &[Measure::Village(|village| measure(village, 2))],
    ..SHARED
};
/// 3G or better.
pub const KPI_3G: Kpi = Kpi {
    id: "pop_covered_3g",
    names: ("جمعیت تحت پوشش نسل سوم", "population covered by 3G"),
    measures: &[Measure::Village(|village| measure(village, 3))],
    ..SHARED
};
/// 4G or better.
pub const KPI_4G: Kpi = Kpi {
    id: "pop_covered_4g",
    names: ("جمعیت تحت پوشش نسل چهارم", "population covered by 4G"),
    measures: &[Measure::Village(|village| measure(village, 4))],
    ..SHARED
};

fn measure(village: &VillageFact<'_>, least: u8) -> Option<Tally> {
    Some(Tally::of(best_generation(village).map(|generation| generation >= least)))
}
