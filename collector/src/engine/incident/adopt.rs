//! Incidents across inventory versions and restarts: what joins the versions is the code of a site and the name of a link.

use std::collections::BTreeMap;
use std::sync::Arc;

use rusta_wire::{Network, UnixMs};

use super::record::{Incident, IncidentId, Trouble};
use super::topology::{Scope, Topology};
use super::watch::Watch;
use super::{Incidents, Settings};
use crate::inventory::{Inventory, LinkId};

/// A scope by its codes, which mean the same in every inventory version: what is stored and shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
pub struct ScopeCode {
    /// `link`, `site`, `node`, `cell`, `operator`, `county` or `collector`.
    pub kind: &'static str,
    /// Its code; `site/link` for a link, `network/operator` for an operator.
    pub code: String,
}

impl ScopeCode {
    /// Names a scope of an inventory version.
    pub fn of(scope: Scope, inventory: &Inventory, topology: &Topology) -> ScopeCode {
        let (kind, code) = match scope {
            Scope::Link(link) => {
                let link = inventory.link(link);
                ("link", format!("{}/{}", inventory.site(link.site).code, link.name))
            }
            Scope::Site(site) => ("site", inventory.site(site).code.clone()),
            Scope::Node(node) => ("node", inventory.nodes[node.index()].code.clone()),
            Scope::Cell(cell) => ("cell", cell.to_string()),
            Scope::Operator(place) => {
                let named = topology.operators.get(usize::from(place));
                ("operator", named.map_or_else(String::new, |(network, name)| format!("{network}/{name}")))
            }
            Scope::County(region) => ("county", inventory.region(region).code.clone()),
            Scope::Collector => ("collector", String::new()),
        };
        ScopeCode { kind, code }
    }

    /// Finds the scope in an inventory version; `None` if it is not in it.
    pub fn find(kind: &str, code: &str, inventory: &Inventory, topology: &Topology) -> Option<Scope> {
        match kind {
            "link" => {
                let (site, link) = code.split_once('/')?;
                inventory.link_by_name(inventory.site_by_code(site)?, link).map(Scope::Link)
            }
            "site" => inventory.site_by_code(code).map(Scope::Site),
            "node" => inventory.node_by_code(code).map(Scope::Node),
            "cell" => code.parse().ok().map(Scope::Cell),
            "operator" => {
                let (network, operator) = code.split_once('/')?;
                let network: Network = network.parse().ok()?;
                let place = topology.operators.iter().position(|(net, name)| *net == network && name == operator)?;
                u16::try_from(place).ok().map(Scope::Operator)
            }
            "county" => inventory.region_by_code(code).map(Scope::County),
            "collector" => Some(Scope::Collector),
            _ => None,
        }
    }
}

impl Incidents {
    /// Continues where a stopped collector left off. Ids must belong to `inventory`.
    pub fn restore(
        settings: Settings,
        inventory: Arc<Inventory>,
        open: Vec<Incident>,
        next: IncidentId,
        looked_at: Option<UnixMs>,
    ) -> Self {
        let mut incidents = Incidents::new(settings);
        incidents.topology = Topology::new(&inventory);
        incidents.watches = vec![Watch::default(); inventory.links.len()];
        incidents.inventory = inventory;
        incidents.next = next;
        incidents.looked_at = looked_at;
        for incident in open {
            incidents.take_in(incident);
        }
        incidents
    }

    fn take_in(&mut self, incident: Incident) {
        for (link, member) in incident.open_members() {
            let watch = &mut self.watches[link.index()];
            watch.trouble = Some(member.trouble);
            watch.since = member.since;
            watch.detected_at = member.attached_at;
            watch.incident = Some(incident.id);
        }
        if incident.trouble == Trouble::Ours {
            self.own.freeze(incident.started_at, incident.id, Default::default());
        }
        self.open.insert(incident.id, incident);
    }

    /// Moves everything to another inventory version; what is not in it any more leaves its incident.
    pub(super) fn adopt(&mut self, inventory: &Arc<Inventory>) {
        let old = std::mem::replace(&mut self.inventory, inventory.clone());
        let old_topology = std::mem::replace(&mut self.topology, Topology::new(inventory));
        let moved = (0..old.links.len() as u32).map(LinkId).filter_map(|link| Some((link, same_link(&old, inventory, link)?)));
        let moved = moved.collect::<BTreeMap<_, _>>();
        let watches = std::mem::replace(&mut self.watches, vec![Watch::default(); inventory.links.len()]);
        for (from, to) in &moved {
            self.watches[to.index()] = watches[from.index()];
        }
        self.not_before =
            std::mem::take(&mut self.not_before).into_iter().filter_map(|(link, at)| Some((*moved.get(&link)?, at))).collect();
        for incident in self.open.values_mut() {
            let code = ScopeCode::of(incident.root, &old, &old_topology);
            let members = std::mem::take(&mut incident.members);
            incident.members = members.into_iter().filter_map(|(link, member)| Some((*moved.get(&link)?, member))).collect();
            let first = incident.members.keys().next().copied();
            let root = ScopeCode::find(code.kind, &code.code, inventory, &self.topology);
            incident.root = root.or(first.map(|link| Scope::Site(inventory.link(link).site))).unwrap_or(Scope::Collector);
            incident.causes.clear();
        }
    }
}

fn same_link(old: &Inventory, new: &Inventory, link: LinkId) -> Option<LinkId> {
    let link = old.link(link);
    new.link_by_name(new.site_by_code(&old.site(link.site).code)?, &link.name)
}
