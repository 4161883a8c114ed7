//! Turns the YAML files' words into meaning: codes into ids, names into kinds, text into time.

use rusta_wire::{Network, Rung};
use serde_yaml::Mapping;

use super::calendar::{Covered, Hours, MaintenanceWindow, PublicEvent, Repeat, ServiceCalendar};
use super::dates;
use super::documents::{CalendarText, Documents, EventText, Item, MaintenanceText, ProfileText, ServiceText, text_of};
use super::fault::{Fault, Kind, nearest};
use super::model::{Criticality, Inventory, RegionId, SiteKind};
use super::profile::{Check, Profile, Scope, Service, TargetTemplate, probe_of};

/// Resolves all documents into the inventory.
pub fn documents(documents: &Documents, inventory: &mut Inventory, faults: &mut Vec<Fault>) {
    let mut resolver = Resolver { inventory, faults, file: "calendars.yaml", line: 0 };
    let calendars = resolver.each(&documents.calendars, "calendars.yaml", Resolver::calendar);
    let events = resolver.each(&documents.events, "events.yaml", Resolver::event);
    let maintenance = resolver.each(&documents.maintenance, "maintenance.yaml", Resolver::maintenance);
    let profiles = resolver.each(&documents.profiles, "profiles.yaml", Resolver::profile);
    resolver.inventory_names(&documents.calendars, "calendars.yaml", |c| &c.name);
    resolver.inventory_names(&documents.events, "events.yaml", |e| &e.id);
    resolver.inventory_names(&documents.maintenance, "maintenance.yaml", |m| &m.id);
    resolver.inventory_names(&documents.profiles, "profiles.yaml", |p| &p.name);
    resolver.inventory_names(&documents.services, "services.yaml", |s| &s.id);
    let services = resolver.each(&documents.services, "services.yaml", |r, text| {
        let known = text.calendar.is_empty() || documents.calendars.iter().any(|c| c.text.name == text.calendar);
        if !known {
            r.unknown::<()>("calendar", &text.calendar, "calendars.yaml", "");
        }
        r.service(text)
    });
    inventory.calendars.services = calendars;
    inventory.calendars.events = events;
    inventory.maintenance = maintenance;
    inventory.profiles = profiles;
    inventory.services = services;
}

struct Resolver<'a> {
    inventory: &'a Inventory,
    faults: &'a mut Vec<Fault>,
    file: &'static str,
    line: u32,
}

impl Resolver<'_> {
    fn each<T, R>(&mut self, items: &[Item<T>], file: &'static str, mut read: impl FnMut(&mut Self, &T) -> Option<R>) -> Vec<R> {
        self.file = file;
        let mut found = Vec::with_capacity(items.len());
        for item in items {
            self.line = item.line;
            found.extend(read(self, &item.text));
        }
        found
    }

    fn inventory_names<T>(&mut self, items: &[Item<T>], file: &'static str, name: impl Fn(&T) -> &String) {
        for (at, item) in items.iter().enumerate() {
            if let Some(first) = items[..at].iter().find(|other| name(&other.text) == name(&item.text)) {
                let first = super::Place { file: file.to_owned(), row: first.line, column: String::new() };
                self.faults.push(Fault::at(file, item.line, "", Kind::Collision { found: name(&item.text).clone(), first }));
            }
        }
    }

    fn calendar(&mut self, text: &CalendarText) -> Option<ServiceCalendar> {
        let mut week: [Hours; 7] = [None; 7];
        for (hours, day) in week.iter_mut().zip(text.week.days()) {
            if let Some(day) = day {
                *hours = self.read("week", day, span_of_day);
            }
        }
        let mut holidays: Vec<_> = text.holidays.iter().filter_map(|day| self.read("holidays", day, dates::day)).collect();
        holidays.sort_unstable();
        Some(ServiceCalendar { name: text.name.clone(), week, holidays })
    }

    fn event(&mut self, text: &EventText) -> Option<PublicEvent> {
        let span = self.span(&text.from, &text.until);
        let regions = self.regions(&text.regions);
        Some(PublicEvent {
            id: text.id.clone(),
            name_fa: text.name_fa.clone(),
            name_en: text.name_en.clone(),
            span: span?,
            tags: text.tags.clone(),
            regions,
        })
    }

    fn maintenance(&mut self, text: &MaintenanceText) -> Option<MaintenanceWindow> {
        let span = self.span(&text.from, &text.until);
        let announced_at = self.read("announced", &text.announced, dates::moment);
        let mut covers: Vec<Covered> = self.regions(&text.regions).into_iter().map(Covered::Region).collect();
        for code in &text.sites {
            let found = self.inventory.site_by_code(code).map(Covered::Site);
            covers.extend(found.or_else(|| self.unknown("sites", code, "sites.csv", "")));
        }
        for code in &text.links {
            let split = code.split_once('/').and_then(|(site, link)| self.inventory.link_by_name(self.inventory.site_by_code(site)?, link));
            covers.extend(split.map(Covered::Link).or_else(|| self.unknown("links", code, "links.csv (site/link)", "")));
        }
        for code in &text.nodes {
            let found = self.inventory.node_by_code(code).map(Covered::Node);
            covers.extend(found.or_else(|| self.unknown("nodes", code, "nodes.csv", "")));
        }
        Some(MaintenanceWindow {
            ended_at: None,
            id: text.id.clone(),
            reason: text.reason.clone(),
            span: span?,
            repeat: if text.weekly { Repeat::Weekly } else { Repeat::Never },
            announced_at: announced_at?,
            covers,
        })
    }

    fn profile(&mut self, text: &ProfileText) -> Option<Profile> {
        for code in &text.sites {
            if self.inventory.site_by_code(code).is_none() {
                self.unknown::<()>("sites", code, "sites.csv", "");
            }
        }
        let targets: Vec<_> = text.targets.iter().filter_map(|target| self.target(target)).collect();
        for (at, target) in targets.iter().enumerate() {
            if targets[..at].iter().any(|other| other.name == target.name) {
                let first = super::Place { file: self.file.to_owned(), row: self.line, column: String::new() };
                self.fault("targets", Kind::Collision { found: target.name.clone(), first });
            }
        }
        let class = |word: &str| word.parse::<Criticality>().map_err(|_| "one of A, B, C".to_owned());
        Some(Profile {
            name: text.name.clone(),
            kinds: self.kinds("kinds", &text.kinds),
            classes: text.classes.iter().filter_map(|word| self.read("classes", word, class)).collect(),
            sites: text.sites.clone(),
            networks: text.networks.iter().filter_map(|word| self.read("networks", word, network)).collect(),
            metered: text.metered,
            targets,
        })
    }

    fn target(&mut self, text: &Mapping) -> Option<TargetTemplate> {
        let name = text_of(text, "name");
        if name.is_none() {
            self.fault("targets", Kind::Missing { en: "the target's name".to_owned(), fa: "نام هدف سنجش".to_owned() });
        }
        let word = text_of(text, "rung").unwrap_or_default();
        let rung = self.read("rung", &word, rung);
        let probe = probe_of(text, &["name", "rung", "every", "timeout"]);
        if let Err(reason) = &probe {
            let reason = format!("target {} {reason}", name.as_deref().unwrap_or("?"));
            self.fault("targets", Kind::Unreadable { reason });
        }
        let (probe, settings) = probe.ok()?;
        Some(TargetTemplate { name: name?, rung: rung?, every: text_of(text, "every"), timeout: text_of(text, "timeout"), probe, settings })
    }

    fn service(&mut self, text: &ServiceText) -> Option<Service> {
        let criticality = match &text.criticality {
            Some(word) => self.read("criticality", word, |w| w.parse::<Criticality>().map_err(|_| "one of A, B, C".to_owned()))?,
            None => Criticality::C,
        };
        let check = match text.check.as_ref().map(|mapping| (mapping, probe_of(mapping, &["every"]))) {
            Some((mapping, Ok((probe, settings)))) => Some(Check { probe, settings, every: text_of(mapping, "every") }),
            Some((_, Err(reason))) => {
                self.fault("check", Kind::Unreadable { reason: format!("the check {reason}") });
                None
            }
            None => None,
        };
        Some(Service {
            id: text.id.clone(),
            name_fa: text.name_fa.clone(),
            name_en: text.name_en.clone(),
            owner: text.owner.clone(),
            criticality,
            calendar: text.calendar.clone(),
            channel: text.channel.clone(),
            check,
            vantages: self.kinds("vantages", &text.vantages),
            scope: Scope { regions: self.regions(&text.scope.regions), cohort: text.scope.cohort.clone() },
            active: text.active,
            single_window: text.single_window,
        })
    }

    fn span(&mut self, from: &str, until: &str) -> Option<(rusta_wire::UnixMs, rusta_wire::UnixMs)> {
        let span = (self.read("from", from, dates::moment), self.read("until", until, dates::moment));
        let (Some(from), Some(until)) = span else { return None };
        if from >= until {
            self.fault("until", Kind::Contradiction { en: "`until` is not after `from`", fa: "«until» بعد از «from» نیست" });
            return None;
        }
        Some((from, until))
    }

    fn kinds(&mut self, key: &str, words: &[String]) -> Vec<SiteKind> {
        let kind = |word: &str| {
            word.parse::<SiteKind>().map_err(|e| e.split_once(" is none of ").map_or(e.clone(), |(_, l)| format!("one of {l}")))
        };
        words.iter().filter_map(|word| self.read(key, word, kind)).collect()
    }

    fn regions(&mut self, codes: &[String]) -> Vec<RegionId> {
        let mut found = Vec::new();
        for code in codes {
            let near = || nearest(code, self.inventory.regions.iter().map(|r| r.code.as_str())).unwrap_or_default().to_owned();
            match self.inventory.region_by_code(code) {
                Some(region) => found.push(region),
                None => {
                    let near = near();
                    self.unknown::<()>("regions", code, "regions.csv", &near);
                }
            }
        }
        found
    }

    fn read<T>(&mut self, key: &str, text: &str, read: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        match read(text) {
            Ok(value) => Some(value),
            Err(expected) => {
                self.fault(key, Kind::BadValue { found: text.to_owned(), expected });
                None
            }
        }
    }

    fn unknown<T>(&mut self, key: &str, found: &str, list: &'static str, near: &str) -> Option<T> {
        self.fault(key, Kind::UnknownReference { found: found.to_owned(), list, nearest: near.to_owned() });
        None
    }

    fn fault(&mut self, key: &str, kind: Kind) {
        self.faults.push(Fault::at(self.file, self.line, key, kind));
    }
}

fn network(word: &str) -> Result<Network, String> {
    Network::ALL.iter().copied().find(|n| n.as_str() == word).ok_or_else(|| "one of gov, apn, nin, internet".to_owned())
}

fn rung(word: &str) -> Result<Rung, String> {
    let words = || Rung::ALL.iter().map(|r| r.as_str()).collect::<Vec<_>>().join(", ");
    Rung::ALL.iter().copied().find(|r| r.as_str() == word).ok_or_else(|| format!("one of {}", words()))
}

fn span_of_day(text: &str) -> Result<(u16, u16), String> {
    let expected = || "opening hours such as 07:30-14:30".to_owned();
    let (from, until) = text.split_once('-').ok_or_else(expected)?;
    match (dates::minutes_of_day(from), dates::minutes_of_day(until)) {
        (Some(from), Some(until)) if from < until => Ok((from, until)),
        _ => Err(expected()),
    }
}
