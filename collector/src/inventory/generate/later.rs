//! What happens to a registry over a year: a county splits, a village is renamed, another becomes a city, a decree widens
//! the programme. Each is a whole later version, as a real registry would send it.

use crate::inventory::RegionKind;
use crate::inventory::draft::Draft;

/// A version and the day it comes into force.
pub struct Later {
    /// Gregorian day.
    pub effective_from: &'static str,
    /// A word for its folder.
    pub what: &'static str,
    /// The whole registry from that day on.
    pub draft: Draft,
}

/// Returns the later versions, each built on the one before.
pub fn versions(first: &Draft) -> Vec<Later> {
    let mut all = Vec::new();
    let mut draft = first.clone();
    forget_previous_codes(&mut draft);
    if split_county(&mut draft) {
        all.push(Later { effective_from: SPLIT, what: "county-split", draft: draft.clone() });
    }
    forget_previous_codes(&mut draft);
    rename_village(&mut draft);
    all.push(Later { effective_from: RENAME, what: "rename", draft: draft.clone() });
    forget_previous_codes(&mut draft);
    village_to_city(&mut draft);
    all.push(Later { effective_from: UPGRADE, what: "village-to-city", draft: draft.clone() });
    forget_previous_codes(&mut draft);
    widen_programme(&mut draft);
    all.push(Later { effective_from: DECREE, what: "definition-change", draft });
    all
}

/// 1405-07-15: in the middle of a month, so that a month has two maps.
const SPLIT: &str = "2026-10-07";
/// 1405-09-01.
const RENAME: &str = "2026-11-22";
/// 1405-11-01.
const UPGRADE: &str = "2027-01-21";
/// 1405-12-01.
const DECREE: &str = "2027-02-20";

fn forget_previous_codes(draft: &mut Draft) {
    draft.regions.iter_mut().for_each(|w| w.item.previous_code = None);
}

/// Makes a county of the last district of the county with the most districts; every code below changes.
fn split_county(draft: &mut Draft) -> bool {
    let kind = |kind| draft.regions.iter().filter(move |w| w.item.kind == kind);
    let districts_of = |county: &str| kind(RegionKind::District).filter(|w| w.refers.owner == county).count();
    // The first of the counties with the most districts.
    let largest = kind(RegionKind::County).map(|w| w.item.code.clone()).rev().max_by_key(|code| districts_of(code));
    let Some(county) = largest.filter(|code| districts_of(code) >= 2) else { return false };
    let Some(district) = kind(RegionKind::District).rfind(|w| w.refers.owner == county).map(|w| w.item.clone()) else { return false };
    let province = county[..2].to_owned();
    let highest =
        kind(RegionKind::County).filter(|w| w.refers.owner == province).filter_map(|w| w.item.code[2..].parse::<u32>().ok()).max();
    let new_county = format!("{province}{:02}", highest.unwrap_or(0) + 1);
    let new_district = format!("{new_county}01");
    let renamed = |code: &str| code.strip_prefix(&district.code).map(|rest| format!("{new_district}{rest}"));

    let mut fresh = draft.region(&new_county, RegionKind::County, &province).clone();
    (fresh.name_fa, fresh.name_en) = (district.name_fa.clone(), district.name_en.clone());
    (fresh.lat, fresh.lon) = (district.lat, district.lon);
    if let Some(added) = draft.regions.last_mut() {
        added.item = fresh;
    }
    for written in &mut draft.regions {
        if let Some(code) = renamed(&written.item.code) {
            written.item.previous_code = Some(std::mem::replace(&mut written.item.code, code));
        }
        if let Some(owner) = renamed(&written.refers.owner) {
            written.refers.owner = owner;
        }
        if written.item.code == new_district {
            written.refers.owner.clone_from(&new_county);
        }
    }
    let others = draft.sites.iter_mut().map(|w| &mut w.refers.owner).chain(draft.declared.iter_mut().map(|w| &mut w.refers.owner));
    for owner in others {
        if let Some(code) = renamed(owner) {
            *owner = code;
        }
    }
    true
}

fn rename_village(draft: &mut Draft) {
    let village = draft.regions.iter_mut().find(|w| w.item.kind == RegionKind::Village && w.item.inhabited);
    if let Some(village) = village {
        village.item.name_fa = format!("{} شهید رجایی", village.item.name_fa);
        village.item.name_en = format!("{} Shahid Rajai", village.item.name_en);
    }
}

/// The largest village becomes a city of its district.
fn village_to_city(draft: &mut Draft) {
    let villages = draft.regions.iter().enumerate().filter(|(_, w)| w.item.kind == RegionKind::Village);
    let Some(at) = villages.max_by_key(|(at, w)| (w.item.households, std::cmp::Reverse(*at))).map(|(at, _)| at) else { return };
    let (old, rural_district) = (draft.regions[at].item.code.clone(), draft.regions[at].refers.owner.clone());
    let Some(district) = draft.regions.iter().find(|w| w.item.code == rural_district).map(|w| w.refers.owner.clone()) else { return };
    let cities = draft.regions.iter().filter(|w| w.item.kind == RegionKind::City && w.refers.owner == district).count();
    let new = format!("{district}{:04}", 1_001 + cities);
    let city = &mut draft.regions[at];
    city.item.kind = RegionKind::City;
    city.item.code.clone_from(&new);
    city.item.previous_code = Some(old.clone());
    city.refers.owner = district;
    let others = draft.sites.iter_mut().map(|w| &mut w.refers.owner).chain(draft.declared.iter_mut().map(|w| &mut w.refers.owner));
    others.filter(|owner| **owner == old).for_each(|owner| owner.clone_from(&new));
}

/// What announces the figures that replace the older ones.
const DECREE_SOURCE: &str = "decree 1405/12";

/// The programme now promises the national network to villages of 10 to 19 households too, and the share of those with 20
/// and more is announced anew, with the old figure marked as replaced.
fn widen_programme(draft: &mut Draft) {
    let mut announced = Vec::new();
    for written in draft.declared.iter_mut().filter(|w| w.item.kpi == "nin_share_20plus" && w.item.superseded_by.is_none()) {
        let mut fresh = written.clone();
        written.item.superseded_by = Some(DECREE_SOURCE.to_owned());
        (fresh.item.as_of, fresh.item.source) = (DECREE.to_owned(), DECREE_SOURCE.to_owned());
        announced.push(fresh);
    }
    draft.declared.extend(announced);
    let of_larger: Vec<_> = draft.goals.iter().filter(|w| w.item.kpi == "nin_share_20plus").cloned().collect();
    for mut goal in of_larger {
        (goal.item.kpi, goal.item.baseline, goal.item.policy_ref) = ("nin_share_10_19".to_owned(), None, DECREE_SOURCE.to_owned());
        draft.goals.push(goal);
    }
}
