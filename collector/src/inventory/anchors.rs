//! Anchors that prove less than they seem to.
//!
//! A link is up while any of its anchors answers: a target on rung gateway, pop, core, nin, or for an internet link
//! international. A router's own LAN address on rung gateway answers while everything beyond it is cut, so the link would never
//! be down; and a link with no anchor but a gateway is up while PoP, core and the national network are lost.

use std::net::IpAddr;

use rusta_wire::Rung;
use serde_yaml::Value;

use super::builder::Note;
use super::fault::Place;
use super::model::Inventory;
use super::{assignment, profile::TargetTemplate};

/// Lists what is doubtful about the anchors of a registry.
pub fn doubts(inventory: &Inventory) -> Vec<Note> {
    let mut notes = Vec::new();
    for profile in &inventory.profiles {
        for target in profile.targets.iter().filter(|target| target.rung == Rung::Gateway && is_in_a_lan(target)) {
            let name = format!("{}/{}", profile.name, target.name);
            notes.push(note(
                format!("target {name} on rung gateway is an address of a LAN: it answers while everything beyond the router is cut, and its links are never down; give it the address of the gateway beyond the link, or take it out"),
                format!("هدف {name} روی پله gateway نشانی شبکه محلی است: وقتی همه‌چیز پس از مسیریاب قطع است هم پاسخ می‌دهد و لینک هرگز قطع شمرده نمی‌شود؛ نشانی درگاه آن سوی لینک را بدهید یا آن را بردارید"),
            ));
        }
    }
    let mut bare = Vec::new();
    for site in (0..inventory.sites.len()).filter_map(|index| u32::try_from(index).ok()).map(super::SiteId) {
        for link in inventory.links_of(site) {
            let mut anchors = assignment::rungs_of(inventory, site, link).filter(|rung| rung.is_anchor_of(inventory.link(link).network));
            if anchors.next() == Some(Rung::Gateway) && anchors.all(|rung| rung == Rung::Gateway) {
                bare.push(inventory.link_code(link));
            }
        }
    }
    if let Some(first) = bare.first() {
        let count = bare.len();
        notes.push(note(
            format!("{count} links have no anchor but a gateway, such as {first}: they are up while PoP, core and the national network are lost; add a target on rung pop, core or nin to their profile"),
            format!("{count} لینک جز درگاه مرجعی ندارند، مانند {first}: وقتی نقطه حضور و هسته و شبکه ملی قطع است هم وصل شمرده می‌شوند؛ در نمایه آن‌ها هدفی روی پله pop یا core یا nin بگذارید"),
        ));
    }
    notes
}

fn note(english: String, persian: String) -> Note {
    Note { place: Place { file: "profiles.yaml".to_owned(), ..Place::default() }, english, persian }
}

/// Tells whether a target's address is one that routers give their own LAN, or the router itself.
fn is_in_a_lan(target: &TargetTemplate) -> bool {
    let address = target.settings.get("address").and_then(Value::as_str).unwrap_or_default();
    let host = address.rsplit_once(':').map_or(address, |(host, port)| if port.parse::<u16>().is_ok() { host } else { address });
    match host.trim_matches(['[', ']']).parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.octets()[..2] == [192, 168],
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unicast_link_local(),
        Err(_) => host == "localhost",
    }
}

#[cfg(test)]
mod tests {
    use rusta_wire::{Network, UnixMs};

    use crate::inventory::{Draft, RegionKind, SiteKind};

    fn doubts_of(profiles: &str) -> Vec<String> {
        let mut draft = Draft::default();
        draft.region("p", RegionKind::Province, "");
        draft.region("c", RegionKind::County, "p");
        draft.region("v", RegionKind::Village, "c").households = Some(9);
        draft.site("s", SiteKind::Village, "v");
        draft.link("s", "apn0", Network::Apn, "");
        let mut faults = Vec::new();
        draft.documents.read("profiles.yaml", profiles, &mut faults);
        assert!(faults.is_empty(), "{faults:?}");
        draft.build(1, UnixMs(0)).unwrap().notes.into_iter().map(|note| note.english).collect()
    }

    #[test]
    fn a_lans_address_and_a_lonely_gateway_are_doubted() {
        let gateway = |address: &str| {
            format!("- name: apn\n  networks: [apn]\n  targets:\n  - {{name: gw, rung: gateway, icmp: {{address: '{address}'}}}}\n")
        };
        let core = "  - {name: core, rung: core, icmp: {address: 'core.example'}}\n";
        let lan = doubts_of(&(gateway("192.168.1.1") + core));
        assert!(lan.len() == 1 && lan[0].contains("apn/gw"), "{lan:?}");
        let lonely = doubts_of(&gateway("gw.example"));
        assert!(lonely.len() == 1 && lonely[0].contains("s/apn0"), "{lonely:?}");
        assert_eq!(doubts_of(&gateway("192.168.1.1")).len(), 2);
        assert!(doubts_of(&(gateway("10.8.0.1") + core)).is_empty());
    }
}
