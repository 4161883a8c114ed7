//! Fills a draft with one province: tree, villages, masts, offices, links.

use rusta_wire::Network;

use super::dice::Dice;
use super::names::Namer;
use super::sums::Sums;
use crate::inventory::draft::{Draft, Refers, Written};
use crate::inventory::{Access, Criticality, Declared, Goal, Link, NodeKind, RegionId, RegionKind, Role, SiteKind};

/// When the households were counted.
const CENSUS: &str = "2016-10-22";
/// When the programme announced its figures.
const ANNOUNCED: &str = "2025-09-01";

/// A place with coordinates.
#[derive(Debug, Clone)]
struct Spot {
    code: String,
    name: (String, String),
    at: (f64, f64),
}

#[derive(Debug, Clone)]
struct VillageSpot {
    spot: Spot,
    county: usize,
    households: u32,
    /// Generation of the best technology: 4, 3, 2, or 0 for none.
    generation: u8,
    mast: usize,
}

#[derive(Debug, Clone)]
struct Mast {
    code: String,
    operator: &'static str,
}

/// Adds a province to the draft.
pub fn add(draft: &mut Draft, sums: &Sums, seed: u64) {
    let mut maker = Maker {
        dice: Dice::new(seed, &sums.code),
        sums,
        draft,
        counties: Vec::new(),
        districts: Vec::new(),
        rural_districts: Vec::new(),
        cities: Vec::new(),
        villages: Vec::new(),
        masts: Vec::new(),
        numbers: [0; SiteKind::ALL.len()],
    };
    maker.tree();
    maker.villages();
    maker.nodes();
    maker.core_offices();
    maker.village_sites();
    maker.dehyaris();
    maker.ict_offices();
    maker.figures();
}

struct Maker<'a> {
    dice: Dice,
    sums: &'a Sums,
    draft: &'a mut Draft,
    counties: Vec<Spot>,
    /// With the county's place.
    districts: Vec<(usize, Spot)>,
    /// With the district's place.
    rural_districts: Vec<(usize, Spot)>,
    /// With the county's place.
    cities: Vec<(usize, Spot)>,
    villages: Vec<VillageSpot>,
    masts: Vec<Mast>,
    numbers: [u32; SiteKind::ALL.len()],
}

impl Maker<'_> {
    fn tree(&mut self) {
        let sums = self.sums;
        let (south, north, west, east) = sums.bounds;
        let province = Spot {
            code: sums.code.clone(),
            name: (sums.names.0.to_owned(), sums.names.1.to_owned()),
            at: ((south + north) / 2.0, (west + east) / 2.0),
        };
        self.region(RegionKind::Province, "", &province);
        let mut namer = Namer::default();
        for number in 0..sums.counties {
            let name = match sums.county_names.get(number) {
                Some((fa, en)) => ((*fa).to_owned(), (*en).to_owned()),
                None => namer.next(&mut self.dice),
            };
            let at = (south + (north - south) * self.dice.unit(), west + (east - west) * self.dice.unit());
            let county = Spot { code: format!("{}{:02}", sums.code, number + 1), name, at };
            self.region(RegionKind::County, &sums.code, &county);
            self.counties.push(county);
        }
        self.districts();
        self.rural_districts();
        self.cities();
    }

    fn districts(&mut self) {
        let counts = self.dice.divide(self.sums.districts, self.counties.len(), 1);
        for (county, count) in counts.into_iter().enumerate() {
            let mut namer = Namer::default();
            for number in 0..count {
                let name = if number == 0 { ("مرکزی".to_owned(), "Central".to_owned()) } else { namer.next(&mut self.dice) };
                let parent = self.counties[county].clone();
                let spot = Spot { code: format!("{}{:02}", parent.code, number + 1), name, at: self.near(parent.at, 0.12) };
                self.region(RegionKind::District, &parent.code, &spot);
                self.districts.push((county, spot));
            }
        }
    }

    fn rural_districts(&mut self) {
        let counts = self.dice.divide(self.sums.rural_districts, self.districts.len(), 1);
        for (district, count) in counts.into_iter().enumerate() {
            let mut namer = Namer::default();
            for number in 0..count {
                let parent = self.districts[district].1.clone();
                let name = namer.next(&mut self.dice);
                let spot = Spot { code: format!("{}{:04}", parent.code, number + 1), name, at: self.near(parent.at, 0.08) };
                self.region(RegionKind::RuralDistrict, &parent.code, &spot);
                self.rural_districts.push((district, spot));
            }
        }
    }

    /// Each county has its seat; the other cities stand in any district. City numbers begin at 1001 inside a district.
    fn cities(&mut self) {
        let mut in_district = vec![0usize; self.districts.len()];
        let mut seats: Vec<usize> = (0..self.counties.len()).filter_map(|c| self.districts.iter().position(|(of, _)| *of == c)).collect();
        seats.extend((seats.len()..self.sums.cities).map(|_| self.dice.below(self.districts.len())));
        let mut namers: Vec<Namer> = self.districts.iter().map(|_| Namer::default()).collect();
        for (number, district) in seats.into_iter().take(self.sums.cities).enumerate() {
            let (county, parent) = self.districts[district].clone();
            let seat = (number < self.counties.len()).then(|| self.counties[county].name.clone());
            let name = match seat {
                Some(name) => name,
                None => namers[district].next(&mut self.dice),
            };
            namers[district].reserve(&name.0);
            in_district[district] += 1;
            let spot = Spot { code: format!("{}{:04}", parent.code, 1_000 + in_district[district]), name, at: self.near(parent.at, 0.03) };
            self.region(RegionKind::City, &parent.code, &spot);
            self.cities.push((county, spot));
        }
    }

    fn villages(&mut self) {
        let total: usize = self.sums.bands.iter().map(|b| b.villages).sum();
        let shares = self.dice.divide(total + self.sums.uninhabited, self.rural_districts.len(), 1);
        let mut places: Vec<usize> = shares.iter().enumerate().flat_map(|(at, count)| std::iter::repeat_n(at, *count)).collect();
        self.dice.shuffle(&mut places);
        let technology = [(4u8, 0), (3, 1), (2, 2), (0, 3)].map(|(generation, at)| (generation, self.sums.technology[at]));
        let mut generations = self.dice.deal(total, &technology);
        // Large villages have the better technology more often: of two dealt cards the larger village takes the better.
        let mut households: Vec<(u32, bool)> = Vec::with_capacity(total);
        for band in self.sums.bands {
            for number in 0..band.villages {
                households.push((self.households(band.households), number < band.declared));
            }
        }
        for at in 0..total / 2 {
            let other = total - 1 - at;
            if generations[at] > generations[other] {
                generations.swap(at, other);
            }
        }
        let mut fixed = vec![true; self.sums.fixed_lines.min(total)];
        fixed.resize(total, false);
        self.dice.shuffle(&mut fixed);
        let mut namers: Vec<Namer> = self.rural_districts.iter().map(|_| Namer::default()).collect();
        let mut numbers = vec![0u32; self.rural_districts.len()];
        for (at, place) in places.into_iter().enumerate() {
            let inhabited = households.get(at).map(|(households, declared)| (*households, *declared, generations[at], fixed[at]));
            self.village(place, &mut namers[place], &mut numbers[place], inhabited);
        }
    }

    fn households(&mut self, (low, high): (u32, u32)) -> u32 {
        if high < 1_000 {
            return self.dice.between(low, high);
        }
        // The open band has many villages just above its limit and few large ones.
        let u = self.dice.unit();
        low + (u * u * u * f64::from(high - low)) as u32
    }

    fn village(&mut self, place: usize, namer: &mut Namer, number: &mut u32, inhabited: Option<(u32, bool, u8, bool)>) {
        let (district, parent) = self.rural_districts[place].clone();
        let county = self.districts[district].0;
        *number += 1;
        let code = format!("{}{:06}", parent.code, number);
        let mut name = namer.next(&mut self.dice);
        let mut owner = parent.code.clone();
        // Three in a hundred entries of a real registry are wrong: a name twice in one place, or a wrong parent.
        match self.dice.below(200) {
            0..3 => name = ("علی‌آباد".to_owned(), "Aliabad".to_owned()),
            3..6 => owner = self.rural_districts[self.dice.below(self.rural_districts.len())].1.code.clone(),
            _ => {}
        }
        let households = inhabited.map_or(0, |(households, ..)| households);
        // Small villages lie farther out.
        let away = if households >= 101 { 0.05 } else { 0.09 };
        let spot = Spot { code, name, at: self.near(parent.at, away) };
        let population = (f64::from(households) * (3.1 + 0.2 * self.dice.normal())).round().max(f64::from(households)) as u32;
        let cohort = self.dice.below(40) == 0 && households >= 20;
        let region = self.region(RegionKind::Village, &owner, &spot);
        region.households = Some(households);
        region.population = Some(population);
        region.households_as_of = Some(CENSUS.to_owned());
        region.inhabited = inhabited.is_some();
        region.fixed_line = inhabited.map(|(.., fixed)| fixed);
        region.cohort = cohort.then(|| "smart-pilot".to_owned());
        if let Some((_, declared, generation, _)) = inhabited {
            self.declared(&spot.code, "nin_connected", f64::from(u8::from(declared)), "flag", None);
            self.declared(&spot.code, "best_technology", f64::from(generation), "generation", None);
            self.villages.push(VillageSpot { spot, county, households, generation, mast: 0 });
        }
    }

    /// Masts serve 1 to 8 neighbouring villages (mean 2.6); a county's PoPs carry up to 60 masts each.
    fn nodes(&mut self) {
        let province = self.sums.code.clone();
        let core = format!("CORE-{province}");
        self.node(&core, NodeKind::Core, "هسته استان", "");
        for (operator, _) in self.sums.operators {
            self.node(&format!("GW-{province}-{operator}"), NodeKind::ApnGateway, &format!("درگاه APN {operator}"), &core);
        }
        for county in 0..self.counties.len() {
            let mut here: Vec<usize> = (0..self.villages.len()).filter(|v| self.villages[*v].county == county).collect();
            here.sort_by(|a, b| self.villages[*a].spot.code.cmp(&self.villages[*b].spot.code));
            self.masts_of(county, &here, &core);
        }
    }

    fn masts_of(&mut self, county: usize, villages: &[usize], core: &str) {
        let (code, name) = (self.counties[county].code.clone(), self.counties[county].name.0.clone());
        let mut groups: Vec<&[usize]> = Vec::new();
        let mut rest = villages;
        while !rest.is_empty() {
            let size = *self.dice.pick(&[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 4, 5, 8]).min(&rest.len());
            let (group, after) = rest.split_at(size);
            groups.push(group);
            rest = after;
        }
        let pops = groups.len().div_ceil(MASTS_PER_POP).max(1);
        for pop in 0..pops {
            self.node(&format!("POP-{code}-{}", pop + 1), NodeKind::Pop, &format!("PoP {name} {}", pop + 1), core);
        }
        let operators = self.dice.deal(groups.len(), self.sums.operators);
        for (number, (group, operator)) in groups.into_iter().zip(operators).enumerate() {
            let mast = Mast { code: format!("BTS-{code}-{:03}", number + 1), operator };
            let pop = format!("POP-{code}-{}", number % pops + 1);
            self.node(&mast.code, NodeKind::Bts, &format!("دکل {name} {}", number + 1), &pop);
            group.iter().for_each(|village| self.villages[*village].mast = self.masts.len());
            self.masts.push(mast);
        }
    }

    fn core_offices(&mut self) {
        let core = format!("CORE-{}", self.sums.code);
        let capital = self.cities.first().map(|(_, city)| city.clone()).unwrap_or_else(|| self.counties[0].clone());
        let site = self.office(SiteKind::Core, &capital, "هسته", Criticality::A, "");
        self.wire(&site, "core0", Network::Gov, Access::Fibre, &core);
        for _ in 0..self.sums.headquarters {
            let site = self.office(SiteKind::Headquarters, &capital, "استانداری", Criticality::A, "");
            self.wire(&site, "gov0", Network::Gov, Access::FibreGpon, &core);
            self.wire(&site, "gov1", Network::Gov, Access::Radio, &core).role = Role::Backup;
        }
        for _ in 0..self.sums.provincial_offices {
            let site = self.office(SiteKind::ProvincialOffice, &capital, "اداره کل", Criticality::B, "office");
            self.wire(&site, "gov0", Network::Gov, Access::FibreGpon, &core);
        }
        let mut seats = Vec::new();
        for county in self.counties.clone() {
            let site = self.office(SiteKind::Farmandari, &county, "فرمانداری", Criticality::A, "");
            self.wire(&site, "gov0", Network::Gov, Access::Fibre, &format!("POP-{}-1", county.code));
            self.wire(&site, "gov1", Network::Gov, Access::Radio, &core).role = Role::Backup;
            seats.push(site);
        }
        for (county, district) in self.districts.clone() {
            let site = self.office(SiteKind::Bakhshdari, &district, "بخشداری", Criticality::B, "office");
            self.wire(&site, "gov0", Network::Gov, Access::Radio, &seats[county]);
        }
        self.county_offices(&seats);
    }

    fn county_offices(&mut self, seats: &[String]) {
        let shares = [(Access::FibreGpon, 55.0), (Access::Radio, 25.0), (Access::Dsl, 20.0)];
        for (kind, count, title, criticality) in [
            (SiteKind::CountyOffice, self.sums.county_offices, "اداره", Criticality::C),
            (SiteKind::PublicBody, self.sums.public_bodies, "نهاد عمومی", Criticality::C),
        ] {
            let per_county = if count == 0 { vec![0; seats.len()] } else { self.dice.divide(count, seats.len(), 0) };
            let access = self.dice.deal(count, &shares);
            let places = per_county.iter().enumerate().flat_map(|(county, count)| std::iter::repeat_n(county, *count));
            for (county, access) in places.zip(access) {
                let spot = self.counties[county].clone();
                let site = self.office(kind, &spot, title, criticality, "office");
                self.wire(&site, "gov0", Network::Gov, access, &seats[county]);
            }
        }
        if self.sums.county_offices > 0 {
            for (county, city) in self.cities.clone() {
                let site = self.office(SiteKind::Municipality, &city, "شهرداری", Criticality::B, "office");
                self.wire(&site, "gov0", Network::Gov, Access::FibreGpon, &seats[county]);
            }
        }
    }

    fn village_sites(&mut self) {
        for village in self.villages.clone().into_iter().filter(|v| v.generation > 0) {
            let criticality = if village.households >= 101 { Criticality::B } else { Criticality::C };
            let site = self.office(SiteKind::Village, &village.spot, "", criticality, "");
            let access = match village.generation {
                4 => Access::Lte,
                3 => Access::Umts,
                _ => Access::Gsm,
            };
            self.mobile(&site, "apn0", Network::Apn, access, village.mast);
        }
    }

    /// The largest villages have a dehyari.
    fn dehyaris(&mut self) {
        let total: usize = self.sums.dehyaris.iter().sum();
        let grades: Vec<usize> =
            self.sums.dehyaris.iter().enumerate().flat_map(|(at, count)| std::iter::repeat_n(at + 1, *count)).collect();
        let largest = self.largest(total);
        let uplinks = self.dice.deal(largest.len(), &self.sums.uplinks);
        // The largest villages have the highest grades.
        for ((village, grade), access) in largest.into_iter().zip(grades.into_iter().rev()).zip(uplinks) {
            let village = self.villages[village].clone();
            let site = self.office(SiteKind::Dehyari, &village.spot, "دهیاری", Criticality::C, "office");
            let polling = village.households >= 50;
            if let Some(written) = self.draft.sites.last_mut() {
                written.item.tags.push(format!("grade-{grade}"));
                written.item.tags.extend(polling.then(|| "polling".to_owned()));
            }
            match access {
                Access::Lte | Access::Umts | Access::Gsm | Access::TdLte => self.mobile(&site, "gov0", Network::Gov, access, village.mast),
                _ => {
                    let county = self.counties[village.county].code.clone();
                    self.wire(&site, "gov0", Network::Gov, access, &format!("POP-{county}-1"));
                }
            }
        }
    }

    fn ict_offices(&mut self) {
        for village in self.largest(self.sums.ict_offices) {
            let village = self.villages[village].clone();
            let site = self.office(SiteKind::IctOffice, &village.spot, "دفتر ICT روستایی", Criticality::B, "office");
            let county = self.counties[village.county].code.clone();
            self.wire(&site, "nin0", Network::Nin, Access::Dsl, &format!("POP-{county}-1"));
        }
    }

    fn figures(&mut self) {
        let over_20 = &self.sums.bands[4..];
        let villages = over_20.iter().map(|b| b.villages).sum::<usize>() as f64;
        let declared = over_20.iter().map(|b| b.declared).sum::<usize>() as f64;
        let code = self.sums.code.clone();
        self.declared(&code, "nin_share_20plus", declared / villages, "ratio", Some((declared, villages)));
        let technology = self.sums.technology;
        self.declared(&code, "g4_share", technology[0] / 100.0, "ratio", None);
        self.declared(&code, "coverage_share_any", (100.0 - technology[3]) / 100.0, "ratio", None);
        let all: usize = self.sums.bands.iter().map(|b| b.villages).sum();
        let fixed = self.sums.fixed_lines as f64;
        self.declared(&code, "fixed_line_share", fixed / all as f64, "ratio", Some((fixed, all as f64)));
        let buildings = self.draft.sites.iter().filter(|s| super::GOV_KINDS.contains(&s.item.kind)).count() as f64;
        self.declared(&code, "gov_buildings_connected", buildings, "count", None);
        if self.sums.code == "15" {
            // Another agency counts 2,861 villages of 20 and more households; both figures stand side by side.
            self.declared(&code, "villages_20plus", villages, "count", None);
            self.declared(&code, "villages_20plus", 2_861.0, "count", None);
            if let Some(written) = self.draft.declared.last_mut() {
                written.item.publisher = "another agency".to_owned();
            }
        }
        for (kpi, value, baseline) in [("nin_share_20plus", 1.0, declared / villages), ("g4_share", 0.95, technology[0] / 100.0)] {
            let item = Goal {
                kpi: kpi.to_owned(),
                region: RegionId(0),
                value,
                baseline: Some(baseline),
                due_on: Some("2028-03-19".to_owned()),
                policy_ref: "programme 1404".to_owned(),
            };
            self.draft.goals.push(Written { row: 0, refers: Refers { owner: code.clone(), ..Refers::default() }, item });
        }
    }

    fn largest(&self, count: usize) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.villages.len()).collect();
        order.sort_by(|&a, &b| {
            let (a, b) = (&self.villages[a], &self.villages[b]);
            b.households.cmp(&a.households).then_with(|| a.spot.code.cmp(&b.spot.code))
        });
        order.truncate(count);
        order
    }

    fn region(&mut self, kind: RegionKind, parent: &str, spot: &Spot) -> &mut crate::inventory::Region {
        let region = self.draft.region(&spot.code, kind, parent);
        (region.name_fa, region.name_en) = spot.name.clone();
        (region.lat, region.lon) = (Some(spot.at.0), Some(spot.at.1));
        region
    }

    fn node(&mut self, code: &str, kind: NodeKind, name: &str, parent: &str) {
        self.draft.node(code, kind, parent).name_fa = name.to_owned();
    }

    fn office(&mut self, kind: SiteKind, spot: &Spot, title: &str, criticality: Criticality, calendar: &str) -> String {
        let number = &mut self.numbers[kind as usize];
        *number += 1;
        let code = format!("{}-{}{:05}", self.sums.code, letters(kind), number);
        let title_of = |name: &str| if title.is_empty() { name.to_owned() } else { format!("{title} {name}") };
        let site = self.draft.site(&code, kind, &spot.code);
        site.name_fa = title_of(&spot.name.0);
        site.name_en = format!("{} {}", spot.name.1, kind.as_str().replace('_', " "));
        (site.lat, site.lon) = (Some(spot.at.0), Some(spot.at.1));
        site.criticality = criticality;
        site.calendar = calendar.to_owned();
        code
    }

    fn wire(&mut self, site: &str, name: &str, network: Network, access: Access, parent: &str) -> &mut Link {
        let link = self.draft.link(site, name, network, parent);
        link.access = Some(access);
        link.operator = match access {
            Access::Vsat => "vsat".to_owned(),
            _ => "tci".to_owned(),
        };
        link
    }

    fn mobile(&mut self, site: &str, name: &str, network: Network, access: Access, mast: usize) {
        let day = self.dice.between(1, 29) as u8;
        let Mast { code, operator } = self.masts[mast].clone();
        let link = self.draft.link(site, name, network, &code);
        link.access = Some(access);
        link.operator = operator.to_owned();
        link.metered = true;
        link.plan_bytes = Some(3 << 30);
        link.cycle_day = Some(day);
        link.interface = "wwan0".to_owned();
    }

    fn declared(&mut self, region: &str, kpi: &str, value: f64, unit: &str, of: Option<(f64, f64)>) {
        let item = Declared {
            kpi: kpi.to_owned(),
            value,
            unit: unit.to_owned(),
            numerator: of.map(|(n, _)| n),
            denominator: of.map(|(_, d)| d),
            region: RegionId(0),
            as_of: ANNOUNCED.to_owned(),
            announced_on: None,
            publisher: "programme".to_owned(),
            source: String::new(),
            superseded_by: None,
        };
        self.draft.declared.push(Written { row: 0, refers: Refers { owner: region.to_owned(), ..Refers::default() }, item });
    }

    /// Returns a point `degrees` or so away, at a metre's precision.
    fn near(&mut self, (lat, lon): (f64, f64), degrees: f64) -> (f64, f64) {
        let round = |v: f64| (v * 1e5).round() / 1e5;
        (round(lat + degrees * self.dice.normal()), round(lon + degrees * self.dice.normal()))
    }
}

/// The rule is 25 to 60.
const MASTS_PER_POP: usize = 60;

fn letters(kind: SiteKind) -> &'static str {
    match kind {
        SiteKind::Village => "V",
        SiteKind::Dehyari => "D",
        SiteKind::Farmandari => "F",
        SiteKind::Bakhshdari => "B",
        SiteKind::CountyOffice => "C",
        SiteKind::ProvincialOffice => "P",
        SiteKind::Headquarters => "H",
        SiteKind::Municipality => "M",
        SiteKind::PublicBody => "N",
        SiteKind::IctOffice => "I",
        _ => "X",
    }
}
