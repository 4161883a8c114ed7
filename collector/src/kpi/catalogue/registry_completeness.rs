//! `registry_completeness`: whether the registry itself is filled.

use crate::kpi::{Breakdown, Counted, Kpi, Measure, SiteFact, Tally, VillageFact};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "registry_completeness",
    names: ("کامل بودن شناسنامه", "registry completeness"),
    formula: (
        "فیلدهای پرشده، بخش بر فیلدهای لازم روستا و سایت؛ شمار روستاهایی که آمار خانوارشان بیش از پنج سال کهنه است کنار آن",
        "filled fields over required fields of villages and sites; villages whose household count is older than five years beside",
    ),
    by: &[Breakdown::Region, Breakdown::SiteKind],
    basis: "programme goal",
    whole: true,
    measures: &[Measure::Village(village), Measure::Site(site)],
    counts: (Counted::Fields, Counted::Fields),
    ..Kpi::BASE
};

/// A household count older than this is flagged.
const STALE_YEARS: i32 = 5;

fn village(village: &VillageFact<'_>) -> Option<Tally> {
    let region = village.region();
    let filled = [
        region.households.is_some(),
        region.population.is_some(),
        region.households_as_of.is_some(),
        region.lat.is_some() && region.lon.is_some(),
        region.fixed_line.is_some(),
        !region.name_en.is_empty(),
    ];
    let counted = region.households_as_of.as_deref().and_then(|text| text.parse::<jiff::civil::Date>().ok());
    let now = crate::day::Day::of(village.section.window.until).date();
    let stale = counted.is_some_and(|day| (i32::from(now.year()) - i32::from(day.year())) > STALE_YEARS);
    Some(fields(&filled).with_sum("stale_household_counts", f64::from(u8::from(stale))))
}

fn site(site: &SiteFact<'_>) -> Option<Tally> {
    let record = site.site();
    let inventory = &site.section.inventory;
    let links = || inventory.links_of(site.id).map(|id| inventory.link(id));
    let filled = [
        record.lat.is_some() && record.lon.is_some(),
        !record.contact.is_empty(),
        !record.name_en.is_empty(),
        links().next().is_some(),
        links().all(|link| link.access.is_some()),
        links().all(|link| !link.parents.is_empty()),
    ];
    Some(fields(&filled))
}

fn fields(filled: &[bool]) -> Tally {
    Tally::share(filled.iter().filter(|f| **f).count() as f64, filled.len() as f64, 0.0)
}
