//! What comes late may lie before what was heard first: the present of its site is judged again, as if everything had come in
//! the order in which it was seen.

use std::collections::{BTreeMap, BTreeSet};

use rusta_wire::{AgentId, UnixMs};

use super::event::Event;
use super::live::{Engine, LEAD_IN_MS};
use super::record::{BootTime, Record};
use crate::inventory::{LinkId, SiteId};

/// One thing of a record, in the order in which they happened: that an agent had looked so far, or a sample of its.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Happened {
    at: UnixMs,
    /// Comes after reports that ended at this time.
    is_sample: bool,
    source: AgentId,
    /// The place of the record, and of the sample in it.
    record: usize,
    sample: usize,
}

impl Engine {
    /// Gives out the sites of which something was heard late since the last call. [`Engine::judge_again`] wants what was seen
    /// of them since [`Engine::judged_from`].
    pub fn take_late(&mut self) -> BTreeSet<SiteId> {
        std::mem::take(&mut self.late)
    }

    /// Notes the links that were judged by what others saw later than what a record tells of them.
    pub(super) fn notice_disorder(&mut self, place: usize, record: &Record, boot: BootTime) {
        for sample in &record.batch.samples {
            let Some(route) = self.agents[place].routes.get(usize::from(sample.series.0)).copied().flatten() else { continue };
            let (at, site) = (boot.date(sample.at), self.inventory.link(route.link).site);
            let nin = self.sites[site.index()].nin.as_ref().filter(|_| route.nin.is_some());
            let link = route.slot.is_some() && self.links[route.link.index()].machine.has_turned_since(at);
            if (link || nin.is_some_and(|nin| nin.has_turned_since(at))) && at >= self.judged_from() {
                self.late.insert(site);
            }
        }
    }

    /// Returns from when on what was seen decides what holds.
    pub fn judged_from(&self) -> UnixMs {
        UnixMs(self.now.0.saturating_sub(LEAD_IN_MS))
    }

    /// Lists the sites from which somebody looks at a site, its own among them.
    pub fn seen_from(&self, site: SiteId) -> BTreeSet<SiteId> {
        let shown = self.inventory.links_of(site).flat_map(|link| self.links[link.index()].shown.iter());
        let places = shown.filter(|shown| !shown.retired).filter_map(|shown| self.agent_places.get(&shown.source));
        places.map(|place| self.agents[*place].view.site).chain([site]).collect()
    }

    /// Judges a site's present again from everything that is known to have been seen of it since [`Engine::judged_from`].
    pub fn judge_again(&mut self, site: SiteId, records: &[&Record]) -> Vec<Event> {
        let (mut events, start) = (Vec::new(), self.judged_from());
        let links: Vec<LinkId> = self.inventory.links_of(site).collect();
        for link in &links {
            self.links[link.index()].machine.restart(start);
        }
        if let Some(nin) = &mut self.sites[site.index()].nin {
            nin.restart(start);
        }
        self.route_again(records);
        let own: Vec<usize> = (0..self.agents.len()).filter(|place| self.agents[*place].view.site == site).collect();
        let boots: Vec<_> = own.iter().map(|place| self.agents[*place].boot.take()).collect();
        for one in in_order(records, start) {
            let record = records[one.record];
            let place = self.agent_places.get(&one.source).copied();
            // A table the agent has no more measured targets that were given up.
            let place = place.filter(|place| self.agents[*place].table == Some(record.batch.table));
            if let (Some(place), Some(boot)) = (place, record.boot) {
                self.take_one(place, record, boot, &one, &links);
            }
        }
        for (place, before) in own.into_iter().zip(boots) {
            self.agents[place].boot = self.agents[place].boot.or(before);
        }
        self.evidence_is_due(site, &mut events);
        events
    }

    /// Finds where the series of agents go that were not heard since another registry came into force.
    fn route_again(&mut self, records: &[&Record]) {
        let ends = |record: &Record| record.boot.map(|boot| boot.date(record.batch.until));
        let mut newest: BTreeMap<AgentId, &Record> = BTreeMap::new();
        for record in records {
            let known = newest.entry(record.batch.id.agent).or_insert(record);
            if ends(known) < ends(record) {
                *known = record;
            }
        }
        for (agent, record) in newest {
            let place = self.agent_places.get(&agent).copied();
            if let Some(place) = place.filter(|place| self.agents[*place].table.is_none()) {
                self.route(place, &record.table);
                self.agents[place].table = Some(record.batch.table);
            }
        }
    }

    fn take_one(&mut self, place: usize, record: &Record, boot: BootTime, one: &Happened, links: &[LinkId]) {
        let is_own = links.first().is_some_and(|link| self.inventory.link(*link).site == record.site);
        if !one.is_sample {
            let is_known = self.agents[place].boot.is_none_or(|(known, _)| known == record.batch.id.boot);
            if is_own && !is_known {
                return;
            }
            if is_own {
                self.see_reason(record, one.at);
            }
            let patience = self.agents[place].patience(&self.thresholds);
            for link in links.iter().filter(|link| self.agents[place].links.contains(link)).copied().collect::<Vec<_>>() {
                self.progress(link, one.source, one.at, patience);
            }
            return;
        }
        let sample = &record.batch.samples[one.sample];
        let route = self.agents[place].routes.get(usize::from(sample.series.0)).copied().flatten();
        if is_own {
            self.see_boot(place, record, boot, links);
        }
        if let Some(route) = route.filter(|route| links.contains(&route.link)) {
            self.see_sample(record.site, &record.table, sample, one.at, route);
        }
    }
}

/// Lists what happened in records from a time on, in order.
fn in_order(records: &[&Record], from: UnixMs) -> Vec<Happened> {
    let mut all = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let Some(boot) = record.boot else { continue };
        let one = Happened { at: from, is_sample: true, source: record.batch.id.agent, record: place, sample: 0 };
        let samples = record.batch.samples.iter().enumerate();
        all.extend(samples.map(|(sample, seen)| Happened { at: boot.date(seen.at), sample, ..one }));
        all.push(Happened { at: boot.date(record.batch.until), is_sample: false, ..one });
    }
    all.retain(|one| one.at >= from);
    all.sort_unstable();
    all
}
