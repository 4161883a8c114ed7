//! `declared_measured_gap`: what was announced, beside what was measured.

use std::collections::{BTreeMap, HashMap};

use rusta_wire::UnixMs;

use crate::inventory::{Declared, Inventory, RegionId, newest};
use crate::kpi::compute::asked_regions;
use crate::kpi::parts::{Subject, part};
use crate::kpi::{Amount, Ask, Breakdown, ByRegion, Facts, Figure, Kpi, Measure, Standing, Tally, Unit, VillageFact, Work, by_id, compute};

use super::coverage::best_generation;
use super::g4_share::is_on_4g;
use super::nin_share;
use super::villages_connected_month::is_connected;

/// The definition.
pub const KPI: Kpi = Kpi {
    id: "declared_measured_gap",
    work: Work::AsCompared,
    names: ("شکاف اعلامی و سنجیده", "declared versus measured gap"),
    formula: (
        "مقدار اعلامی منهای مقدار سنجیده، به واحد امتیاز درصد، با همان مخرج و تاریخ؛ به تفکیک بازه خانوار یا اپراتور: سهم روستاهای متصل به شبکه ملی، از روستاهایی که درباره‌شان اعلامی هست",
        "declared value minus measured value in points, with the same denominator rule and as-of date; by household band or operator: the share of villages connected to the national network, of the villages something was declared about",
    ),
    unit: Unit::Points,
    by: &[Breakdown::Region, Breakdown::Band, Breakdown::Operator, Breakdown::Kpi],
    measures: &[Measure::Derived(derive)],
    ..Kpi::BASE
};

/// One announced figure beside the measured one.
#[derive(Debug, Clone)]
pub struct Comparison {
    /// What was announced.
    pub declared: Declared,
    /// What was measured for the same KPI and region.
    pub measured: Figure,
    /// Declared minus measured; `None` while there is no single measured number.
    pub gap: Option<Amount>,
    /// The gap's bounds; `None` where nothing of the announced unit was measured.
    pub bounds: Option<(Amount, Amount)>,
}

impl Comparison {
    /// Returns the unit something was announced in.
    pub fn unit(&self) -> Option<Unit> {
        self.declared.unit.parse().ok()
    }

    /// Returns value and bounds as measured, in the announced unit.
    pub fn measured(&self) -> [Option<f64>; 3] {
        self.unit().map_or([None; 3], |unit| self.measured.amounts(unit)).map(|amount| amount.map(|amount| amount.value))
    }
}

/// Lists the announced figures that hold for a region, each beside the measured one: of a KPI and a region the newest that is
/// not superseded.
pub fn comparisons(facts: &Facts, ask: Ask<'_>) -> Vec<Comparison> {
    let map = facts.last_map();
    let regions = asked_regions(facts, ask);
    let mut held: HashMap<(RegionId, &str), &Declared> = HashMap::new();
    for row in map.declared.iter().filter(|row| row.holds_at(facts.last_moment())) {
        let known = held.entry((row.region, &row.kpi)).or_insert(row);
        *known = newest([*known, row].into_iter()).unwrap_or(row);
    }
    let holds = |row: &&Declared| held.get(&(row.region, row.kpi.as_str())).is_some_and(|held| std::ptr::eq(*held, *row));
    let mut found = Vec::new();
    for declared in map.declared.iter().filter(holds) {
        let code = map.region(declared.region).code.as_str();
        let Some(kpi) = by_id(&declared.kpi).filter(|kpi| kpi.id != KPI.id && regions.iter().any(|r| r == code)) else { continue };
        let measured = compute(kpi, facts, Ask { region: Some(code), by: None, ..ask });
        if let Some(measured) = measured.into_iter().next() {
            let unit: Option<Unit> = declared.unit.parse().ok();
            let [value, lo, hi] = unit.map_or([None; 3], |unit| measured.amounts(unit));
            let gap = |measured: Option<Amount>| Amount::new(declared.value, unit?).minus(measured?);
            let bounds = gap(hi).zip(gap(lo));
            let gap = gap(value.filter(|_| measured.standing == Standing::Known));
            found.push(Comparison { declared: declared.clone(), measured, gap, bounds });
        }
    }
    found
}

fn derive(kpi: &Kpi, facts: &Facts, ask: Ask<'_>) -> Vec<Figure> {
    if let Some(by) = ask.by.filter(|by| matches!(by, Breakdown::Band | Breakdown::Operator)) {
        return by_part(kpi, facts, ask, by);
    }
    let map = facts.last_map();
    let mut figures = Vec::new();
    for comparison in comparisons(facts, Ask { by: ask.by.filter(|by| *by == Breakdown::Region), ..ask }) {
        let code = &map.region(comparison.declared.region).code;
        let mut figure = kpi.figure(code, facts.period, ask.weight, facts.status, &Tally::default());
        figure.part = Some((Breakdown::Kpi, comparison.declared.kpi.clone()));
        figure.value = comparison.gap.map(|gap| gap.value);
        (figure.lo, figure.hi) = comparison.bounds.map(|(lo, hi)| (lo.value, hi.value)).unzip();
        figure.unit = comparison.gap.or(comparison.bounds.map(|(lo, _)| lo)).map_or(kpi.unit, |amount| amount.unit);
        figure.counts = comparison.measured.counts;
        (figure.numerator, figure.denominator) = (comparison.measured.numerator, comparison.measured.denominator);
        (figure.unknown, figure.known_ratio) = (comparison.measured.unknown, comparison.measured.known_ratio);
        figure.standing = comparison.measured.standing;
        figures.push(figure);
    }
    figures
}

/// Compares village by village what was declared of the national network with what was measured, in each part of a region.
/// Nobody announces figures by band or operator; villages are announced one by one.
fn by_part(kpi: &Kpi, facts: &Facts, ask: Ask<'_>, by: Breakdown) -> Vec<Figure> {
    let (whole, terms) = (facts.whole(), facts.in_force(&nin_share::KPI_20_PLUS).terms);
    // Declared and measured, by region and part.
    let mut sums: BTreeMap<(String, String), (Tally, Tally)> = BTreeMap::new();
    for section in &whole.sections {
        let map = &section.inventory;
        let declared = declared_by_village(map, facts.last_moment());
        let mut parts: BTreeMap<String, (ByRegion, ByRegion)> = BTreeMap::new();
        for (id, seconds) in (0..).map(RegionId).zip(&section.villages).filter_map(|(id, seconds)| Some((id, (*seconds)?))) {
            let claim = Claim::NationalNetwork;
            let Some(is_declared) = declared.get(&id).and_then(|rows| claim.declared(rows)) else { continue };
            let measured = claim.measured(&VillageFact { section, id, seconds, terms: &terms });
            let of_part = parts.entry(part(map, Subject::Village(id), by)).or_insert_with(|| (ByRegion::new(map), ByRegion::new(map)));
            of_part.0.add(id, &Tally::of(Some(is_declared)));
            of_part.1.add(id, &Tally::of(measured));
        }
        for (part, (declared, measured)) in parts {
            let (declared, measured) = (declared.roll_up(map), measured.roll_up(map));
            for (id, announced) in declared.counted() {
                let of = sums.entry((map.region(id).code.clone(), part.clone())).or_default();
                of.0.add(announced);
                of.1.add(&measured.get(id));
            }
        }
    }
    let asked = asked_regions(facts, ask);
    let figures = asked.iter().flat_map(|code| {
        let here = sums.iter().filter(move |((region, _), _)| region == code);
        here.map(move |((_, part), (declared, measured))| {
            let mut figure = kpi.figure(code, facts.period, ask.weight, facts.status, measured);
            let announced = declared.numerator / declared.denominator;
            figure.value = figure.value.map(|value| announced - value);
            (figure.lo, figure.hi) = (figure.hi.map(|hi| announced - hi), figure.lo.map(|lo| announced - lo));
            figure.part = Some((by, part.clone()));
            figure
        })
    });
    figures.collect()
}

/// Declared yes, no × measured yes, no, unknown, with the villages of each cell.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CrossTable {
    /// Codes of villages; first index declared yes, no; second measured yes, no, unknown.
    pub villages: [[Vec<String>; 3]; 2],
    /// Villages nobody declared anything about.
    pub undeclared: Vec<String>,
}

/// What can be declared per village, and how it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Connected to the national network (`nin_connected`).
    NationalNetwork,
    /// Any coverage (`best_technology` of 2 or more).
    Coverage,
    /// 4G (`best_technology` of 4 or more).
    FourG,
}

impl Claim {
    /// Reads what was declared about a village; `None` if nothing was.
    fn declared(self, rows: &[&Declared]) -> Option<bool> {
        let of = |kpi: &str| newest(rows.iter().copied().filter(|row| row.kpi == kpi)).map(|row| row.value);
        match self {
            Claim::NationalNetwork => of("nin_connected").map(|value| value > 0.0),
            Claim::Coverage => of("best_technology").map(|generation| generation >= 2.0),
            Claim::FourG => of("best_technology").map(|generation| generation >= 4.0),
        }
    }

    fn measured(self, village: &VillageFact<'_>) -> Option<bool> {
        match self {
            Claim::NationalNetwork => is_connected(&village.seconds.nin, village.terms),
            Claim::Coverage => best_generation(village).map(|generation| generation >= 2),
            Claim::FourG => is_on_4g(village),
        }
    }
}

/// Builds the table of a claim for the villages of a region with at least `households`.
pub fn cross_table(facts: &Facts, claim: Claim, region: &str, households: u32) -> CrossTable {
    let (whole, terms) = (facts.whole(), facts.in_force(&nin_share::KPI_20_PLUS).terms);
    let mut table = CrossTable::default();
    for section in &whole.sections {
        let inventory = &section.inventory;
        let Some(region) = inventory.region_by_code(region) else { continue };
        let declared = declared_by_village(inventory, facts.last_moment());
        let known = (0..).map(RegionId).zip(&section.villages).filter_map(|(id, seconds)| Some((id, (*seconds)?)));
        for (id, seconds) in known.filter(|(id, _)| inventory.is_within(*id, region)) {
            if inventory.region(id).households.is_none_or(|count| count < households) {
                continue;
            }
            let code = inventory.region(id).code.clone();
            let rows = declared.get(&id).map_or(&[][..], Vec::as_slice);
            let Some(is_declared) = claim.declared(rows) else {
                table.undeclared.push(code);
                continue;
            };
            let column = match claim.measured(&VillageFact { section, id, seconds, terms: &terms }) {
                Some(true) => 0,
                Some(false) => 1,
                None => 2,
            };
            table.villages[usize::from(!is_declared)][column].push(code);
        }
    }
    table
}

fn declared_by_village(inventory: &Inventory, until: UnixMs) -> HashMap<RegionId, Vec<&Declared>> {
    let mut by_village: HashMap<RegionId, Vec<&Declared>> = HashMap::new();
    for declared in inventory.declared.iter().filter(|declared| declared.holds_at(until)) {
        by_village.entry(declared.region).or_default().push(declared);
    }
    by_village
}
