//! Lays an import that speaks of a part of the registry over the version in force.
//!
//! What the import does not speak of stays:
//! - Regions, sites and links: of every province the import's list has rows of, the rows become those of the import; rows of
//!   other provinces stay. So one list, or one province, is brought in as a whole.
//! - Everything else (nodes, declared figures, goals, the YAML files) belongs to no province: an entry of the import takes
//!   the place of the one with the same code, name or subject, and the others stay.

use std::collections::{HashMap, HashSet};

use super::documents::{Documents, Item};
use super::draft::{Draft, Written};

/// A region under a region under …: village to province are five levels; codes that go in circles end there, and the build
/// then refuses them.
const LEVELS: usize = 8;

/// Lays `import` over `base`. Rows taken from `base` have no row number: they stand in none of the files being imported.
pub fn over(base: Draft, import: Draft) -> Draft {
    let provinces = Provinces::of(&base, &import);
    let region = |row: &Written<super::Region>| provinces.of_region(&row.item.code);
    let site = |row: &Written<super::Site>| provinces.of_region(&row.refers.owner);
    let link = |row: &Written<super::Link>| provinces.of_site(&row.refers.owner);
    Draft {
        regions: replaced(base.regions, import.regions, |row| row.item.code.clone(), region),
        sites: replaced(base.sites, import.sites, |row| row.item.code.clone(), site),
        links: replaced(base.links, import.links, |row| format!("{}/{}", row.refers.owner, row.item.name), link),
        nodes: entries(base.nodes, import.nodes, |node| node.item.code.clone()),
        declared: entries(base.declared, import.declared, |row| {
            let item = &row.item;
            [&item.kpi, &row.refers.owner, &item.as_of, &item.publisher].map(String::as_str).join("\n")
        }),
        goals: entries(base.goals, import.goals, |row| {
            [&row.item.kpi, &row.refers.owner, row.item.due_on.as_ref().unwrap_or(&String::new())].map(String::as_str).join("\n")
        }),
        documents: documents(base.documents, import.documents),
    }
}

fn documents(base: Documents, import: Documents) -> Documents {
    Documents {
        services: items(base.services, import.services, |service| &service.id),
        profiles: items(base.profiles, import.profiles, |profile| &profile.name),
        calendars: items(base.calendars, import.calendars, |calendar| &calendar.name),
        events: items(base.events, import.events, |event| &event.id),
        maintenance: items(base.maintenance, import.maintenance, |window| &window.id),
    }
}

/// Which province a region and a site belong to: the import's word goes before that of the version in force.
struct Provinces {
    /// Parents by code.
    parents: HashMap<String, String>,
    /// Regions of sites by code.
    regions: HashMap<String, String>,
}

impl Provinces {
    fn of(base: &Draft, import: &Draft) -> Self {
        let both = [base, import];
        let regions = both.iter().flat_map(|draft| &draft.regions).map(|row| (row.item.code.clone(), row.refers.owner.clone()));
        let sites = both.iter().flat_map(|draft| &draft.sites).map(|row| (row.item.code.clone(), row.refers.owner.clone()));
        Provinces { parents: regions.collect(), regions: sites.collect() }
    }

    fn of_region(&self, code: &str) -> String {
        let mut top = code;
        for _ in 0..LEVELS {
            match self.parents.get(top) {
                Some(parent) if !parent.is_empty() => top = parent,
                _ => break,
            }
        }
        top.to_owned()
    }

    fn of_site(&self, code: &str) -> String {
        self.regions.get(code).map(|region| self.of_region(region)).unwrap_or_default()
    }
}

/// Takes the rows of `import`, and those of `base` that are of none of its provinces and have none of its keys.
fn replaced<T>(
    base: Vec<Written<T>>,
    import: Vec<Written<T>>,
    key: impl Fn(&Written<T>) -> String,
    province: impl Fn(&Written<T>) -> String,
) -> Vec<Written<T>> {
    let provinces: HashSet<String> = import.iter().map(&province).collect();
    let keys: HashSet<String> = import.iter().map(&key).collect();
    let stays = |row: &Written<T>| !provinces.contains(&province(row)) && !keys.contains(&key(row));
    base.into_iter().filter(stays).map(from_no_file).chain(import).collect()
}

fn entries<T>(base: Vec<Written<T>>, import: Vec<Written<T>>, key: impl Fn(&Written<T>) -> String) -> Vec<Written<T>> {
    let keys: HashSet<String> = import.iter().map(&key).collect();
    base.into_iter().filter(|row| !keys.contains(&key(row))).map(from_no_file).chain(import).collect()
}

fn items<T>(base: Vec<Item<T>>, import: Vec<Item<T>>, key: impl Fn(&T) -> &String) -> Vec<Item<T>> {
    let keys: HashSet<String> = import.iter().map(|item| key(&item.text).clone()).collect();
    let stays = base.into_iter().filter(|item| !keys.contains(key(&item.text))).map(|item| Item { line: 0, ..item });
    stays.chain(import).collect()
}

fn from_no_file<T>(row: Written<T>) -> Written<T> {
    Written { row: 0, ..row }
}
