//! Breakdowns: which part of a figure an object belongs to.

use rusta_wire::{Network, Rung};

use super::figure::Breakdown;
use crate::inventory::{Access, Inventory, LinkId, RegionId, Role, SiteId, SiteKind};
use crate::persian::{Lang, Named, digits, operator_names};

/// Household bands of `inventory.md`: lower limits and names.
const BANDS: [(u32, &str); 8] =
    [(101, "101+"), (71, "71-100"), (31, "31-70"), (20, "20-30"), (16, "16-19"), (10, "10-15"), (5, "5-9"), (1, "1-4")];

/// A part for objects that have none: a village without operator, a site without technology.
pub const NONE: &str = "none";

/// The part of outages nobody could explain.
pub const UNATTRIBUTED: &str = "unattributed";

/// Returns the household band's name.
pub fn band(households: Option<u32>) -> &'static str {
    households.and_then(|count| BANDS.iter().find(|(least, _)| count >= *least)).map_or(NONE, |(_, name)| name)
}

/// What a breakdown looks at.
#[derive(Debug, Clone, Copy)]
pub enum Subject<'a> {
    /// A village.
    Village(RegionId),
    /// A site.
    Site(SiteId),
    /// A link.
    Link(LinkId),
    /// A link's outage with its cause.
    Outage(&'a super::facts::OutageFact),
    /// A service seen from a site.
    Service(&'a str, SiteId),
}

/// Names the part of `by` a subject belongs to.
pub fn part(inventory: &Inventory, subject: Subject<'_>, by: Breakdown) -> String {
    let (village, site, link) = places(inventory, subject);
    let of_link = |text: fn(&crate::inventory::Link) -> String| link.map(|id| text(inventory.link(id)));
    let found = match by {
        Breakdown::Region | Breakdown::Kpi => None,
        Breakdown::Band => Some(band(village.and_then(|v| inventory.region(v).households)).to_owned()),
        Breakdown::Cohort => village.and_then(|v| inventory.region(v).cohort.clone()),
        Breakdown::SiteKind => site.map(|s| inventory.site(s).kind.to_string()),
        Breakdown::Operator => of_link(|l| l.operator.clone()),
        Breakdown::Technology => of_link(|l| l.access.map(|a| a.to_string()).unwrap_or_default()),
        Breakdown::Network => of_link(|l| l.network.as_str().to_owned()),
        Breakdown::Service => match subject {
            Subject::Service(id, _) => Some(id.to_owned()),
            _ => None,
        },
        Breakdown::Cause => cause(subject),
        Breakdown::Responsible => Some(match subject {
            Subject::Outage(outage) => responsible(outage.cause, &of_link(|l| l.operator.clone()).unwrap_or_default()),
            _ => of_link(|l| l.operator.clone()).unwrap_or_default(),
        }),
    };
    found.filter(|text| !text.is_empty()).unwrap_or_else(|| NONE.to_owned())
}

fn cause(subject: Subject<'_>) -> Option<String> {
    match subject {
        Subject::Outage(outage) => Some(outage.cause.map_or(UNATTRIBUTED, Rung::as_str).to_owned()),
        _ => None,
    }
}

/// Names who has to mend a cause: the power company, the site, the operator, the governorate.
pub fn responsible(cause: Option<Rung>, operator: &str) -> String {
    let name = match cause {
        None | Some(Rung::Unknown(_)) => UNATTRIBUTED,
        Some(Rung::Power) => "power_company",
        Some(Rung::Device | Rung::Modem | Rung::Sim) => "site",
        Some(Rung::Radio | Rung::Bearer | Rung::Gateway) if !operator.is_empty() => operator,
        Some(Rung::Radio | Rung::Bearer | Rung::Gateway) => "operator",
        Some(Rung::Pop | Rung::Core | Rung::Naming) => "governorate",
        Some(Rung::Nin | Rung::International) => "national_network",
        Some(Rung::Service) => "service_owner",
        Some(Rung::Collector) => "collector",
    };
    name.to_owned()
}

/// Names a part for people, Persian first; what the registry alone names keeps its code.
pub fn part_names(part: &str, by: Breakdown, inventory: &Inventory) -> (String, String) {
    let both = |names: (&str, &str)| Some((names.0.to_owned(), names.1.to_owned()));
    let named = match by {
        _ if part == NONE => both(("بدون گروه", "none")),
        _ if part == UNATTRIBUTED => both(("علت نامشخص", "unattributed")),
        Breakdown::Responsible => both(responsible_names(part).unwrap_or_else(|| operator_names(part))),
        Breakdown::Operator => both(operator_names(part)),
        Breakdown::Cause => part.parse::<Rung>().ok().and_then(|rung| both(rung.names())),
        Breakdown::Technology => part.parse::<Access>().ok().and_then(|access| both(access.names())),
        Breakdown::SiteKind => part.parse::<SiteKind>().ok().and_then(|kind| both(kind.names())),
        Breakdown::Network => part.parse::<Network>().ok().and_then(|network| both(network.names())),
        Breakdown::Band => Some((format!("{} خانوار", digits(part, Lang::Fa)), format!("{part} households"))),
        Breakdown::Service => {
            inventory.services.iter().find(|service| service.id == part).and_then(|found| both((&found.name_fa, &found.name_en)))
        }
        Breakdown::Kpi => super::by_id(part).and_then(|kpi| both(kpi.names)),
        Breakdown::Region | Breakdown::Cohort => None,
    };
    named.unwrap_or_else(|| (part.to_owned(), part.to_owned()))
}

/// Names those whom [`responsible`] names by a word of its own.
fn responsible_names(part: &str) -> Option<(&'static str, &'static str)> {
    Some(match part {
        "power_company" => ("شرکت برق", "power company"),
        "site" => ("خود سایت", "the site"),
        "operator" => ("اپراتور", "operator"),
        "governorate" => ("استانداری", "governorate"),
        "national_network" => ("شبکه ملی اطلاعات", "national network"),
        "service_owner" => ("متولی خدمت", "service owner"),
        "collector" => ("سامانه پایش", "the monitoring itself"),
        _ => return None,
    })
}

/// Finds the village, site and link a subject speaks of; a village's and a site's link is its primary one.
fn places(inventory: &Inventory, subject: Subject<'_>) -> (Option<RegionId>, Option<SiteId>, Option<LinkId>) {
    use super::facts::Affected;
    let primary = |site: SiteId| inventory.links_of(site).min_by_key(|id| inventory.link(*id).role != Role::Primary);
    let of_site = |site: SiteId| (inventory.village_of(site), Some(site), primary(site));
    let of_link = |link: LinkId| {
        let site = inventory.link(link).site;
        (inventory.village_of(site), Some(site), Some(link))
    };
    let of_village = |village: RegionId| {
        let link = inventory.sites_of(village).iter().find_map(|site| primary(*site));
        (Some(village), inventory.sites_of(village).first().copied(), link)
    };
    match subject {
        Subject::Village(village) => of_village(village),
        Subject::Site(site) | Subject::Service(_, site) => of_site(site),
        Subject::Link(link) => of_link(link),
        Subject::Outage(outage) => match outage.of {
            Affected::Link(link) => of_link(link),
            Affected::Site(site) => of_site(site),
            Affected::Village(village) => of_village(village),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_household_count_has_one_band() {
        let counts = [Some(1), Some(4), Some(5), Some(15), Some(16), Some(20), Some(31), Some(100), Some(101), Some(9_999), Some(0), None];
        let bands = ["1-4", "1-4", "5-9", "10-15", "16-19", "20-30", "31-70", "71-100", "101+", "101+", NONE, NONE];
        assert_eq!(counts.map(band), bands);
    }

    #[test]
    fn every_cause_has_somebody_to_mend_it() {
        assert_eq!(responsible(Some(Rung::Radio), "mci"), "mci");
        assert_eq!(responsible(Some(Rung::Power), "mci"), "power_company");
        assert_eq!(responsible(None, "mci"), "unattributed");
    }
}
