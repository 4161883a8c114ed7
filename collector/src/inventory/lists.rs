//! The CSV lists of `inventory.md`: their columns, and how a row becomes a draft entry.

use rusta_wire::Network;

use super::dates;
use super::draft::{Draft, Refers, Written, parts};
use super::fault::{Fault, Kind};
use super::figures::{Declared, Goal};
use super::model::{Access, Criticality, Link, Node, NodeKind, Region, RegionId, RegionKind, Role, Site, SiteId, SiteKind};
use super::sheet::{Column, Row, Shape, Sheet};

macro_rules! shape {
    ($(#[$meta:meta])* $name:ident, $file:literal, required: [$($required:literal),*], optional: [$($optional:literal),*]) => {
        $(#[$meta])*
        pub const $name: Shape = Shape {
            file: $file,
            columns: &[$(Column { name: $required, required: true },)* $(Column { name: $optional, required: false },)*],
        };
    };
}

shape!(
    /// Regions.
    REGIONS, "regions.csv",
    required: ["code", "kind"],
    optional: ["parent_code", "name_fa", "name_en", "households", "population", "households_as_of", "lat", "lon", "inhabited",
        "fixed_line", "cohort", "previous_code"]
);
shape!(
    /// Sites.
    SITES, "sites.csv",
    required: ["code", "kind", "region_code", "name_fa"],
    optional: ["name_en", "lat", "lon", "criticality", "calendar", "contact", "tags", "vantage_for"]
);
shape!(
    /// Links.
    LINKS, "links.csv",
    required: ["site_code", "name", "network"],
    optional: ["role", "access", "operator", "metered", "plan_bytes", "cycle_day", "interface", "sla_class", "parent", "contract_mbps"]
);
shape!(
    /// Shared nodes.
    NODES, "nodes.csv",
    required: ["code", "kind", "name_fa"],
    optional: ["parent"]
);
shape!(
    /// Declared figures.
    DECLARED, "declared.csv",
    required: ["kpi", "value", "unit", "region_code", "as_of", "publisher"],
    optional: ["numerator", "denominator", "announced_on", "source", "superseded_by"]
);
shape!(
    /// Goals.
    GOALS, "goals.csv",
    required: ["kpi", "region_code", "value"],
    optional: ["baseline", "due_on", "policy_ref"]
);

/// Every list, in reading order.
pub const SHAPES: [Shape; 6] = [REGIONS, SITES, LINKS, NODES, DECLARED, GOALS];

/// Reads one list into the draft.
pub fn read(sheet: &Sheet, file: &str, draft: &mut Draft, faults: &mut Vec<Fault>) {
    match file {
        "regions.csv" => sheet.for_each(faults, |row| draft.regions.extend(region(row))),
        "sites.csv" => sheet.for_each(faults, |row| draft.sites.extend(site(row))),
        "links.csv" => sheet.for_each(faults, |row| draft.links.extend(link(row))),
        "nodes.csv" => sheet.for_each(faults, |row| draft.nodes.extend(node(row))),
        "declared.csv" => sheet.for_each(faults, |row| draft.declared.extend(declared(row))),
        _ => sheet.for_each(faults, |row| draft.goals.extend(goal(row))),
    }
}

fn region(row: &mut Row<'_>) -> Option<Written<Region>> {
    let kind = row.read("kind", word::<RegionKind>);
    let owner = row.read("parent_code", code).unwrap_or_default();
    let code = row.read("code", code);
    let name_fa = row.text("name_fa");
    if name_fa.is_empty() {
        row.fault("name_fa", Kind::Empty);
    }
    let item = Region {
        code: code?,
        kind: kind?,
        parent: None,
        name_fa,
        name_en: row.text("name_en"),
        households: row.read("households", whole),
        population: row.read("population", whole),
        households_as_of: row.read("households_as_of", date),
        lat: row.read("lat", |t| within(t, -90.0, 90.0)),
        lon: row.read("lon", |t| within(t, -180.0, 180.0)),
        inhabited: row.read("inhabited", flag).unwrap_or(true),
        fixed_line: row.read("fixed_line", flag),
        cohort: filled(row.text("cohort")),
        previous_code: row.read("previous_code", self::code),
    };
    written(row, item, owner)
}

fn site(row: &mut Row<'_>) -> Option<Written<Site>> {
    let code = row.read("code", code);
    let kind = row.read("kind", word::<SiteKind>);
    let owner = row.read("region_code", self::code).unwrap_or_default();
    let name_fa = row.text("name_fa");
    let item = Site {
        code: code?,
        kind: kind?,
        region: RegionId(0),
        name_fa,
        name_en: row.text("name_en"),
        lat: row.read("lat", |t| within(t, -90.0, 90.0)),
        lon: row.read("lon", |t| within(t, -180.0, 180.0)),
        criticality: row.read("criticality", word::<Criticality>).unwrap_or(Criticality::C),
        calendar: row.text("calendar"),
        contact: row.text("contact"),
        tags: parts(&row.text("tags")).map(str::to_owned).collect(),
        vantage_for: Vec::new(),
        links: 0..0,
    };
    let vantage_for = row.text("vantage_for");
    let mut written = written(row, item, owner)?;
    written.refers.vantage_for = vantage_for;
    Some(written)
}

fn link(row: &mut Row<'_>) -> Option<Written<Link>> {
    let owner = row.read("site_code", code).unwrap_or_default();
    let name = row.read("name", link_name);
    let network = row.read("network", network);
    let parents = row.text("parent");
    let sla = row.read("sla_class", word::<Criticality>);
    let item = Link {
        site: SiteId(0),
        name: name?,
        network: network?,
        role: row.read("role", word::<Role>).unwrap_or(Role::Primary),
        access: row.read("access", word::<Access>),
        operator: row.text("operator"),
        metered: row.read("metered", flag).unwrap_or(false),
        plan_bytes: row.read("plan_bytes", bytes),
        cycle_day: row.read("cycle_day", cycle_day),
        interface: row.text("interface"),
        sla_class: Criticality::C,
        parents: Vec::new(),
        contract_mbps: row.read("contract_mbps", |t| within(t, 0.0, 1e6)),
    };
    let mut written = written(row, item, owner)?;
    written.refers.parents = parents;
    written.refers.sla = sla;
    Some(written)
}

fn node(row: &mut Row<'_>) -> Option<Written<Node>> {
    let code = row.read("code", code);
    let kind = row.read("kind", word::<NodeKind>);
    let name_fa = row.text("name_fa");
    let owner = row.read("parent", self::code).unwrap_or_default();
    written(row, Node { code: code?, kind: kind?, name_fa, parent: None }, owner)
}

fn declared(row: &mut Row<'_>) -> Option<Written<Declared>> {
    let owner = row.read("region_code", code).unwrap_or_default();
    let value = row.read("value", number);
    let as_of = row.read("as_of", date);
    let item = Declared {
        kpi: row.text("kpi"),
        value: value?,
        unit: row.text("unit"),
        numerator: row.read("numerator", number),
        denominator: row.read("denominator", number),
        region: RegionId(0),
        as_of: as_of?,
        announced_on: row.read("announced_on", date),
        publisher: row.text("publisher"),
        source: row.text("source"),
        superseded_by: filled(row.text("superseded_by")),
    };
    written(row, item, owner)
}

fn goal(row: &mut Row<'_>) -> Option<Written<Goal>> {
    let owner = row.read("region_code", code).unwrap_or_default();
    let value = row.read("value", number);
    let item = Goal {
        kpi: row.text("kpi"),
        region: RegionId(0),
        value: value?,
        baseline: row.read("baseline", number),
        due_on: row.read("due_on", date),
        policy_ref: row.text("policy_ref"),
    };
    written(row, item, owner)
}

fn written<T>(row: &Row<'_>, item: T, owner: String) -> Option<Written<T>> {
    Some(Written { row: row.number(), refers: Refers { owner, ..Refers::default() }, item })
}

fn filled(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

/// Codes are text that stands in URLs and file names: letters, digits, `.`, `_`, `-`.
fn code(text: &str) -> Result<String, String> {
    let fits = text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'));
    if fits { Ok(text.to_owned()) } else { Err("a code of up to 64 letters, digits, dots, `_` or `-`".to_owned()) }
}

/// A link's name stands before its targets' names on the wire.
fn link_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 32 && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    if fits { Ok(text.to_owned()) } else { Err("a name of up to 32 letters, digits, `_` or `-`".to_owned()) }
}

fn word<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: String| match error.split_once(" is none of ") {
        Some((_, words)) => format!("one of {words}"),
        None => error,
    })
}

fn network(text: &str) -> Result<Network, String> {
    Network::ALL.iter().copied().find(|n| n.as_str().eq_ignore_ascii_case(text)).ok_or_else(|| "one of gov, apn, nin, internet".to_owned())
}

fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "y" | "بله" | "دارد" => Ok(true),
        "0" | "false" | "no" | "n" | "خیر" | "ندارد" => Ok(false),
        _ => Err("yes or no".to_owned()),
    }
}

fn whole(text: &str) -> Result<u32, String> {
    // Excel writes whole numbers with a fraction of zero.
    text.strip_suffix(".0").unwrap_or(text).parse().map_err(|_| "a whole number of 0 or more".to_owned())
}

fn number(text: &str) -> Result<f64, String> {
    let value: Option<f64> = text.replace('٫', ".").parse().ok();
    value.filter(|v| v.is_finite()).ok_or_else(|| "a number such as 0.89".to_owned())
}

fn within(text: &str, low: f64, high: f64) -> Result<f64, String> {
    number(text).ok().filter(|v| (low..=high).contains(v)).ok_or_else(|| format!("a number from {low} to {high}"))
}

fn cycle_day(text: &str) -> Result<u8, String> {
    let day = whole(text).ok().and_then(|v| u8::try_from(v).ok());
    day.filter(|d| (1..=31).contains(d)).ok_or_else(|| "a day of month, 1 to 31".to_owned())
}

/// Days are kept as Gregorian text, whichever calendar they were written in.
fn date(text: &str) -> Result<String, String> {
    dates::day(text).map(|d| d.to_string())
}

/// Reads `3GiB`, `500MB` or plain bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let expected = || "a size such as 3GiB".to_owned();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).trim_end();
    let unit = match text[digits.len()..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1u64,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        _ => return Err(expected()),
    };
    let count: u64 = digits.strip_suffix(".0").unwrap_or(digits).parse().map_err(|_| expected())?;
    count.checked_mul(unit).ok_or_else(expected)
}
