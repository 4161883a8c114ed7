//! What people were told, by names that outlive an inventory version: the form in which events are kept, and from which
//! an engine goes on after a restart.

use rusta_wire::{AgentId, Rung, UnixMs};

use super::event::Event;
use super::live::Engine;
use super::state::{AgentState, Cause, LinkState, SiteState, VillageState};
use crate::inventory::{RegionId, word_enum};

word_enum! {
    /// What somebody was told about.
    Subject {
        /// A link.
        Link = "link",
        /// A site.
        Site = "site",
        /// A village.
        Village = "village",
        /// An agent.
        Agent = "agent",
        /// The fleet as a whole.
        Fleet = "fleet",
    }
}

/// One thing people were told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// What about.
    pub subject: Subject,
    /// Site code, region code or agent id.
    pub code: String,
    /// The link's name; empty otherwise.
    pub link: String,
    /// When the engine could know.
    pub known_at: UnixMs,
    /// Since when it is so.
    pub since: UnixMs,
    /// The state before.
    pub was: String,
    /// The state.
    pub state: String,
    /// Why, if it is not up and a reason is known.
    pub cause: Option<Cause>,
    /// Of an agent: when its last batch arrived.
    pub heard_at: Option<UnixMs>,
    /// Of an agent: when its newest sample was observed.
    pub observed_at: Option<UnixMs>,
}

impl Engine {
    /// Names what an event tells people; `None` for one that only says which days to build.
    pub fn tell(&self, event: &Event) -> Option<Told> {
        let told = |subject, code: &str, known_at, since, was: &str, state: &str| Told {
            subject,
            code: code.to_owned(),
            link: String::new(),
            known_at,
            since,
            was: was.to_owned(),
            state: state.to_owned(),
            cause: None,
            heard_at: None,
            observed_at: None,
        };
        match *event {
            Event::LinkChanged { link, known_at, since, from, to, cause } => {
                let of = self.inventory.link(link);
                let site = &self.inventory.site(of.site).code;
                let told = told(Subject::Link, site, known_at, since, from.as_str(), to.as_str());
                Some(Told { link: of.name.clone(), cause, ..told })
            }
            Event::CauseChanged { link, known_at, cause } => {
                let (of, track) = (self.inventory.link(link), &self.links[link.index()]);
                let (site, state) = (&self.inventory.site(of.site).code, track.state.as_str());
                let told = told(Subject::Link, site, known_at, track.since, state, state);
                Some(Told { link: of.name.clone(), cause, ..told })
            }
            Event::SiteChanged { site, known_at, since, from, to, cause } => {
                let told = told(Subject::Site, &self.inventory.site(site).code, known_at, since, from.as_str(), to.as_str());
                Some(Told { cause, ..told })
            }
            Event::VillageChanged { region, known_at, since, from, to } => {
                Some(told(Subject::Village, &self.inventory.region(region).code, known_at, since, from.as_str(), to.as_str()))
            }
            Event::AgentChanged { agent, known_at, since, from, to, .. } => {
                let told = told(Subject::Agent, &agent.to_string(), known_at, since, from.as_str(), to.as_str());
                let view = self.agent_places.get(&agent).map(|place| &self.agents[*place].view);
                Some(Told { heard_at: view.and_then(|v| v.received_at), observed_at: view.and_then(|v| v.observed_at), ..told })
            }
            Event::FleetQuiet { known_at, quiet, fleet } => {
                Some(told(Subject::Fleet, "", known_at, known_at, "", &format!("quiet {quiet}/{fleet}")))
            }
            Event::FleetBack { known_at } => Some(told(Subject::Fleet, "", known_at, known_at, "quiet", "back")),
            Event::DayTouched { .. } => None,
        }
    }

    /// Takes what people were told before a restart as what holds. Call it on a fresh engine, before it reads the last
    /// stretch of the log again.
    pub fn resume(&mut self, told: &[Told]) {
        for one in told {
            match one.subject {
                Subject::Link => self.resume_link(one),
                Subject::Agent => self.resume_agent(one),
                Subject::Site | Subject::Village | Subject::Fleet => {}
            }
        }
        self.index_agents();
        self.retell(told);
    }

    fn resume_link(&mut self, told: &Told) {
        let (Some(link), Ok(state)) = (self.told_link(told), told.state.parse::<LinkState>()) else { return };
        let track = &mut self.links[link];
        // A flapping link or one in a window says nothing of itself; the log says it again.
        if matches!(state, LinkState::Up | LinkState::Degraded | LinkState::Down) {
            track.machine.resume(state, told.since, told.cause);
            track.raw = state;
        }
    }

    fn resume_agent(&mut self, told: &Told) {
        let place = told.code.parse::<AgentId>().ok().and_then(|agent| self.agent_places.get(&agent).copied());
        let (Some(place), Ok(state)) = (place, told.state.parse::<AgentState>()) else { return };
        let agent = &mut self.agents[place];
        (agent.view.state, agent.since) = (state, told.since);
        (agent.view.received_at, agent.view.observed_at) = (told.heard_at, told.observed_at);
    }

    /// Takes what people were told as told, so that the next events are the differences to it: none lost, none repeated.
    /// Call it when the last stretch of the log has been read again.
    pub fn retell(&mut self, told: &[Told]) {
        for one in told {
            match one.subject {
                Subject::Link => {
                    if let (Some(link), Ok(state)) = (self.told_link(one), one.state.parse()) {
                        let track = &mut self.links[link];
                        (track.state, track.since, track.cause) = (state, one.since, one.cause);
                    }
                }
                Subject::Site => {
                    if let (Some(site), Ok(state)) = (self.inventory.site_by_code(&one.code), one.state.parse::<SiteState>()) {
                        let track = &mut self.sites[site.index()];
                        (track.state, track.since, track.cause) = (state, one.since, one.cause);
                    }
                }
                Subject::Village => {
                    let region = self.inventory.region_by_code(&one.code);
                    if let (Some(place), Ok(state)) = (region.and_then(|region| self.village_place(region)), one.state.parse()) {
                        let track: &mut super::track::VillageTrack = &mut self.villages[place];
                        let state: VillageState = state;
                        (track.state, track.since) = (state, one.since);
                    }
                }
                Subject::Agent | Subject::Fleet => {}
            }
        }
    }

    /// Says the differences between what people were told and what holds.
    pub fn tell_differences(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        let all: Vec<_> = (0..self.links.len()).map(super::live::link_id).collect();
        self.links.iter_mut().for_each(|track| track.dirty = true);
        self.dirty.clone_from(&all);
        self.refresh_links(&all, &mut events);
        for index in 0..self.sites.len() {
            let since = self.sites[index].since;
            self.refresh_site(crate::inventory::SiteId(u32::try_from(index).unwrap_or(u32::MAX)), since, &mut events);
        }
        events
    }

    fn told_link(&self, told: &Told) -> Option<usize> {
        let site = self.inventory.site_by_code(&told.code)?;
        self.inventory.link_by_name(site, &told.link).map(crate::inventory::LinkId::index)
    }

    fn village_place(&self, region: RegionId) -> Option<usize> {
        self.villages.binary_search_by_key(&region, |village| village.region).ok()
    }
}

/// Reads a cause as it is kept.
pub fn cause_of(rung: Option<u32>, confidence: Option<u8>) -> Option<Cause> {
    Some(Cause { rung: Rung::from_code(rung?)?, confidence: confidence? })
}
