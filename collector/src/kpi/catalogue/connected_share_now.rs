//! `connected_share_now`: the share of inhabited villages that are connected at this moment.

use std::collections::BTreeMap;

use crate::engine::{Snapshot, VillageState, VillageView};
use crate::inventory::{RegionId, has_come};
use crate::persian::Period;

use crate::kpi::compute::asked_on;
use crate::kpi::parts::{Subject, part};
use crate::kpi::{Ask, Breakdown, ByRegion, Figure, Kpi, Measure, Status, Tally, Weight, Work};

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "connected_share_now",
    work: Work::ConnectsNobody,
    names: ("سهم روستاهای متصل (لحظه)", "connected now"),
    formula: (
        "وزن روستاهایی که دست‌کم یک مسیر مجازشان برقرار است، بخش بر وزن روستاهای با وضعیت معلوم؛ هر مسیر با عمر شاهد خودش سنجیده می‌شود: کهنه‌تر از ۱۰ دقیقه، یا کهنه‌تر از دو دور و ربع اگر دورها کم‌شمارترند، نامشخص است",
        "weight of villages with an in-policy path up, over the weight of villages whose state is known; each path is judged by its own evidence: older than 10 minutes, or than two and a quarter rounds where rounds are rarer, is unknown",
    ),
    weights: Weight::ALL,
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator, Breakdown::Technology, Breakdown::Cohort],
    basis: "programme goal; SDG 9.c.1 logic",
    measures: &[Measure::Now(measure)],
    ..Kpi::BASE
};

/// Measures one village. A village counts while a path of it is up, also when a service behind it is not (`partial`). The
/// engine has judged each path by its own age, so map, counts and this figure are one number.
pub fn measure(village: &VillageView) -> Tally {
    Tally::of(match village.state {
        VillageState::Unknown => None,
        VillageState::Connected | VillageState::Partial => Some(true),
        VillageState::Disconnected => Some(false),
    })
}

/// Returns the figure of every region level above the village, province first.
pub fn figures(snapshot: &Snapshot, weight: Weight) -> Vec<Figure> {
    answer(snapshot, Ask { weight, ..Ask::default() })
}

/// Lists what every village adds, with what it counts for; one whose count is not recorded, or is of a day to come, does not.
pub fn weighed(snapshot: &Snapshot, weight: Weight) -> impl Iterator<Item = (RegionId, f64, Tally)> {
    snapshot.villages.iter().filter_map(move |village| {
        let region = snapshot.inventory.region(village.region);
        let holds = weight == Weight::Village || region.households_as_of.as_deref().is_none_or(|day| has_come(day, snapshot.at));
        let weight = weight.of(region).filter(|_| holds)?;
        Some((village.region, weight, measure(village).weighted(weight)))
    })
}

/// Returns the figures asked for, with the breakdown if this one has it.
pub fn answer(snapshot: &Snapshot, ask: Ask<'_>) -> Vec<Figure> {
    let inventory = &snapshot.inventory;
    let by = ask.by.filter(|by| KPI.by.contains(by) && *by != Breakdown::Region);
    let mut parts: BTreeMap<Option<String>, ByRegion> = BTreeMap::new();
    if by.is_none() {
        parts.insert(None, ByRegion::new(inventory));
    }
    for (region, _, tally) in weighed(snapshot, ask.weight) {
        let part = by.map(|by| part(inventory, Subject::Village(region), by));
        parts.entry(part).or_insert_with(|| ByRegion::new(inventory)).add(region, &tally);
    }
    let regions = asked_on(inventory, ask);
    let mut figures = Vec::new();
    for (part, sums) in parts {
        let sums = sums.roll_up(inventory);
        for region in regions.iter().filter(|region| part.is_none() || sums.get(**region).objects > 0) {
            let mut figure = KPI.figure(&inventory.region(*region).code, Period::Now, ask.weight, Status::Live, &sums.get(*region));
            figure.part = by.zip(part.clone());
            figures.push(figure);
        }
    }
    figures
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rusta_wire::UnixMs;

    use super::*;
    use crate::inventory::{Draft, Inventory, RegionKind};
    use crate::kpi::Standing;

    fn inventory() -> Arc<Inventory> {
        let mut draft = Draft::default();
        draft.region("p", RegionKind::Province, "");
        for county in ["c1", "c2", "c3"] {
            draft.region(county, RegionKind::County, "p");
        }
        for (village, county, households) in [("v1", "c1", 10), ("v2", "c1", 30), ("v3", "c1", 60), ("v4", "c2", 5), ("v5", "c2", 5)] {
            let region = draft.region(village, RegionKind::Village, county);
            region.households = Some(households);
        }
        draft.region("empty", RegionKind::Village, "c3").inhabited = false;
        Arc::new(draft.build(1, UnixMs(0)).unwrap().inventory)
    }

    fn snapshot(states: &[(&str, VillageState, i64)]) -> Snapshot {
        let (inventory, at) = (inventory(), UnixMs(10_000_000));
        let view = |&(code, state, age_s): &(&str, VillageState, i64)| VillageView {
            region: inventory.region_by_code(code).unwrap(),
            state,
            since: UnixMs(0),
            evidence_at: Some(UnixMs(at.0 - age_s * 1000)),
            networks_up: Vec::new(),
        };
        let villages = states.iter().map(view).collect();
        Snapshot { at, inventory, links: Vec::new(), sites: Vec::new(), villages, agents: Vec::new(), fleet_quiet_since: None }
    }

    fn of<'a>(figures: &'a [Figure], region: &str) -> &'a Figure {
        figures.iter().find(|f| f.region == region).unwrap()
    }

    #[test]
    fn counties_add_up_to_the_province() {
        use VillageState::{Connected, Disconnected, Partial, Unknown};
        let all = [("v1", Connected, 0), ("v2", Partial, 600), ("v3", Disconnected, 1), ("v4", Unknown, 601), ("v5", Unknown, 0)];
        let figures = figures(&snapshot(&all), Weight::Village);
        assert_eq!(figures[0].region, "p");
        let (p, c1, c2) = (of(&figures, "p"), of(&figures, "c1"), of(&figures, "c2"));
        assert_eq!((c1.numerator, c1.denominator, c1.unknown), (2.0, 3.0, 0.0));
        assert_eq!(c1.value, Some(2.0 / 3.0));
        assert_eq!((c2.numerator, c2.denominator, c2.unknown), (0.0, 0.0, 2.0));
        assert_eq!((c2.value, c2.lo, c2.hi, c2.standing), (None, Some(0.0), Some(1.0), Standing::Unmeasured));
        assert_eq!((p.numerator, p.denominator, p.unknown), (2.0, 3.0, 2.0));
        assert_eq!((p.value, p.known_ratio, p.standing), (None, Some(0.6), Standing::Insufficient));
        assert_eq!((p.lo, p.hi), (Some(0.4), Some(0.8)));
        assert_eq!(of(&figures, "c3").standing, Standing::Empty, "nobody lives there");
    }

    #[test]
    fn households_weigh_villages() {
        let states = [("v1", VillageState::Connected, 0), ("v2", VillageState::Connected, 0), ("v3", VillageState::Disconnected, 0)];
        let figures = figures(&snapshot(&states), Weight::Household);
        assert_eq!(of(&figures, "c1").value, Some(0.4));
    }

    #[test]
    fn parts_of_a_breakdown_add_up_to_the_whole_and_children_to_their_parent() {
        let all = [
            ("v1", VillageState::Connected, 0),
            ("v2", VillageState::Partial, 0),
            ("v3", VillageState::Disconnected, 0),
            ("v4", VillageState::Unknown, 0),
        ];
        let snapshot = snapshot(&all);
        let ask = |region, by| answer(&snapshot, Ask { region: Some(region), by, ..Ask::default() });
        let whole = &ask("p", None)[0];
        let bands = ask("p", Some(Breakdown::Band));
        let names: Vec<&str> = bands.iter().map(|f| f.part.as_ref().unwrap().1.as_str()).collect();
        assert_eq!(names, ["10-15", "20-30", "31-70", "5-9"]);
        let children = ask("p", Some(Breakdown::Region));
        assert_eq!(children.iter().map(|f| f.region.as_str()).collect::<Vec<_>>(), ["c1", "c2", "c3"]);
        let villages = ask("c1", Some(Breakdown::Region));
        assert_eq!(villages.iter().map(|f| f.region.as_str()).collect::<Vec<_>>(), ["v1", "v2", "v3"]);
        for parts in [bands, children] {
            let sum = |of: fn(&Figure) -> f64| parts.iter().map(of).sum::<f64>();
            assert_eq!(
                (sum(|f| f.numerator), sum(|f| f.denominator), sum(|f| f.unknown)),
                (whole.numerator, whole.denominator, whole.unknown)
            );
        }
    }
}
