//! A small province that lives through a story.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusta_collector::engine::incident::{IncidentId, Settings};
use rusta_collector::engine::{AgentState, LinkState, Snapshot};
use rusta_collector::inventory::{Criticality, Draft, Inventory, RegionKind, SiteId};
use rusta_collector::journal::{Act, Actor, Journal};
use rusta_collector::notify::{Notifier, Setup, parse_setup, reason_in_words};
use rusta_collector::persian::Lang;
use rusta_collector::rules::{DEFAULT_RULES, Facts, Rules};
use rusta_collector::store::{Store, StoreError};
use rusta_tests::by_hand;
use rusta_wire::{Network, UnixMs};

use super::samples::Samples;
use super::story::{Expect, Sites, Step, Story, duration};

const ONE_PERSON: &str = r#"
channels: [{ name: pager, preset: webhook, url: "http://127.0.0.1:9/" }]
people: [{ name: ali, addresses: { pager: x } }]
rotations: [{ name: noc, people: [ali], starts: "1405-08-02" }]
routes:
  - name: noc
    page: [{ on_call: [noc], channels: [pager] }]
    ticket: [{ on_call: [noc], channels: [pager] }]
"#;

/// A call as the outbox holds it.
struct Sent {
    at: i64,
    to: String,
    kind: String,
    sites: Vec<String>,
    lines: usize,
}

pub struct World {
    snapshot: Snapshot,
    samples: Option<Samples>,
    begins: UnixMs,
    /// Steps of our clock so far: what a story calls time goes on steadily.
    clock_ms: i64,
    store: Store,
    rules: Rules,
    setup: Arc<Setup>,
    notifier: Option<Notifier>,
    last_step: i64,
    calls_before: usize,
    _dir: tempfile::TempDir,
}

impl World {
    pub fn new(story: &Story) -> World {
        let begins = rusta_collector::inventory::dates::moment(&story.begins).unwrap();
        let inventory = Arc::new(inventory(story));
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let rules = rusta_collector::rules::parse("rules", story.rules.as_deref().unwrap_or(DEFAULT_RULES)).unwrap();
        let setup = Arc::new(parse_setup("oncall", story.oncall.as_deref().unwrap_or(ONE_PERSON), &[]).unwrap());
        let mut world = World {
            samples: story.samples.then(|| Samples::new(&inventory, begins)),
            snapshot: by_hand::calm(inventory, begins),
            begins,
            clock_ms: 0,
            store,
            rules,
            setup,
            notifier: None,
            last_step: begins.0,
            calls_before: 0,
            _dir: dir,
        };
        world.start();
        world.look();
        world
    }

    pub fn live(mut self, story: &Story) {
        let mut moments = story.step.iter().map(|step| step.at).chain(story.expect.iter().map(|expect| expect.at)).collect::<BTreeSet<_>>();
        moments.insert(Duration::ZERO);
        let mut now = Duration::ZERO;
        for moment in moments {
            self.pass(now, moment, story);
            now = moment;
            story.step.iter().filter(|step| step.at == moment).for_each(|step| self.apply(step));
            self.look();
            story.expect.iter().filter(|expect| expect.at == moment).for_each(|expect| self.check(expect));
        }
        for reason in self.reasons() {
            assert_ne!(reason_in_words(&reason, Lang::Fa), reason, "a reason has no Persian");
        }
    }

    fn start(&mut self) {
        let inventory = &self.snapshot.inventory;
        let opened = Notifier::open(self.store.clone(), Settings::default(), self.rules.clone(), self.setup.clone(), inventory);
        self.notifier = Some(opened.unwrap());
    }

    /// Lets time pass: finely for ten minutes after a step, coarsely otherwise.
    fn pass(&mut self, mut now: Duration, until: Duration, story: &Story) {
        while now < until {
            let near = story.step.iter().any(|step| step.at <= now && now - step.at < Duration::from_secs(600));
            now = until.min(now + Duration::from_secs(if near { 5 } else { 30 }));
            self.snapshot.at = UnixMs(self.begins.0 + i64::try_from(now.as_millis()).unwrap() + self.clock_ms);
            self.look();
        }
    }

    fn look(&mut self) {
        let at = self.snapshot.at;
        if let Some(samples) = &mut self.samples {
            self.snapshot = Snapshot::clone(&samples.pass(at));
        }
        if self.samples.is_none() {
            by_hand::pass(&mut self.snapshot, at);
        }
        self.notifier.as_mut().unwrap().look(&self.snapshot, |_| Vec::new()).unwrap();
    }

    fn apply(&mut self, step: &Step) {
        self.calls_before = self.calls().len();
        let states = [
            (&step.down, LinkState::Down),
            (&step.silent, LinkState::Unknown),
            (&step.up, LinkState::Up),
            (&step.flapping, LinkState::Flapping),
            (&step.maintenance, LinkState::Maintenance),
        ];
        if let Some(asleep) = &step.asleep {
            self.clock_ms += i64::try_from(duration(asleep).unwrap().as_millis()).unwrap();
            self.snapshot.at = self.snapshot.at + duration(asleep).unwrap();
            self.set_all_agents(AgentState::Silent);
        }
        for (patterns, state) in states {
            let sites = self.sites(patterns);
            match &mut self.samples {
                None => sites.into_iter().for_each(|site| by_hand::set(&mut self.snapshot, site, state)),
                Some(samples) => samples.set(&sites, state == LinkState::Down, state == LinkState::Unknown),
            }
        }
        if let Some(by) = &step.clock {
            let (back, by) = by.strip_prefix('-').map_or((false, by.as_str()), |by| (true, by));
            let by = i64::try_from(duration(by).unwrap().as_millis()).unwrap();
            self.clock_ms += if back { -by } else { by };
            self.snapshot.at = UnixMs(self.snapshot.at.0 + if back { -by } else { by });
        }
        if let Some(quiet) = step.fleet_quiet {
            self.snapshot.fleet_quiet_since = quiet.then_some(self.snapshot.at);
        }
        if step.restart || step.asleep.is_some() {
            self.start();
        }
        if let Some(id) = step.acknowledge {
            let now = self.snapshot.at;
            let user = step.by.clone().unwrap_or_else(|| "ali".to_owned());
            let actor = Actor { user, region: step.acknowledge_within.clone() };
            Journal::new(self.store.clone()).append(IncidentId(id), &Act::Acknowledge, &actor, now).unwrap();
        }
        self.last_step = self.snapshot.at.0;
    }

    fn set_all_agents(&mut self, state: AgentState) {
        self.snapshot.agents.iter_mut().for_each(|agent| agent.state = state);
    }

    fn sites(&self, patterns: &[String]) -> Vec<SiteId> {
        let matches = |code: &str| patterns.iter().any(|pattern| is_match(pattern, code));
        let sites = self.snapshot.inventory.sites.iter().enumerate().filter(|(_, site)| matches(&site.code));
        let found = sites.map(|(index, _)| SiteId(u32::try_from(index).unwrap())).collect::<Vec<_>>();
        assert!(patterns.is_empty() || !found.is_empty(), "no site matches {patterns:?}");
        found
    }

    fn check(&self, expect: &Expect) {
        let at = format!("at {:?}", expect.at);
        let incidents = self.notifier.as_ref().unwrap().incidents();
        let facts = Facts::new(&self.snapshot, incidents);
        let open = incidents.open().map(|incident| format!("{} {}", facts.root_kind(incident), incident.open_members().count()));
        let mut open = open.collect::<Vec<_>>();
        open.sort();
        let calls = self.calls();
        let story = || format!("{at}\nopen: {open:?}\ncalls: {:?}\n{}", counted(&calls), self.decisions().join("\n"));
        if let Some(wanted) = expect.open {
            assert_eq!(open.len(), wanted, "{}", story());
        }
        if let Some(wanted) = expect.opened {
            assert_eq!(usize::try_from(incidents.next_id().0 - 1).unwrap(), wanted, "opened {}", story());
        }
        let mut wanted = expect.incidents.clone();
        wanted.sort();
        assert!(wanted.is_empty() || wanted == open, "wanted {wanted:?} {}", story());
        let mut held: BTreeMap<String, usize> = BTreeMap::new();
        incidents.held().for_each(|(_, why)| *held.entry(why.as_str().to_owned()).or_default() += 1);
        let mut states: BTreeMap<String, usize> = BTreeMap::new();
        self.snapshot.sites.iter().for_each(|view| *states.entry(view.state.as_str().to_owned()).or_default() += 1);
        for (state, wanted) in &expect.states {
            assert_eq!(states.get(state).copied().unwrap_or(0), *wanted, "sites {state} of {states:?} {}", story());
        }
        if let Some(wanted) = expect.lines {
            assert_eq!(calls.last().map(|call| call.lines), Some(wanted), "lines of the last call {}", story());
        }
        for (id, wanted) in &expect.acknowledged {
            let sql = "SELECT COALESCE(acknowledged_by, '') FROM incidents WHERE id = ?1";
            let by: String = self.store.read(|tx| Ok::<_, StoreError>(tx.query_row(sql, [id], |row| row.get(0))?)).unwrap();
            assert_eq!(by, *wanted, "who takes care of {id} {}", story());
        }
        for (why, wanted) in &expect.held {
            assert_eq!(held.get(why).copied().unwrap_or(0), *wanted, "held {held:?} {}", story());
        }
        for (kind, wanted) in &expect.calls {
            assert_eq!(counted(&calls).get(kind).copied().unwrap_or(0), *wanted, "{kind} {}", story());
        }
        if let Some(most) = expect.most_calls {
            let mut by_person: BTreeMap<&str, usize> = BTreeMap::new();
            calls.iter().filter(|call| !call.kind.contains("resolve")).for_each(|call| *by_person.entry(&call.to).or_default() += 1);
            assert!(by_person.values().all(|count| *count <= most), "{by_person:?} {}", story());
        }
        self.check_lists(expect, &calls);
        let decisions = self.decisions();
        for wanted in &expect.reasons {
            let (stage, part) = wanted.split_once(": ").unwrap();
            let found = decisions.iter().any(|line| line.starts_with(stage) && line.contains(part));
            assert!(found, "no decision `{wanted}` {}", story());
        }
        for wanted in &expect.told {
            assert!(calls.iter().any(|call| format!("{}: {}", call.to, call.kind) == *wanted), "`{wanted}` {}", story());
        }
        if let Some(within) = expect.first_call_within_s {
            let first = calls.get(self.calls_before).unwrap_or_else(|| panic!("no call {}", story()));
            assert!(first.at - self.last_step <= within * 1000, "after {} ms {}", first.at - self.last_step, story());
        }
    }

    fn check_lists(&self, expect: &Expect, calls: &[Sent]) {
        if expect.each_listed_once.is_empty() {
            return;
        }
        let mut listed: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for call in calls.iter().filter(|call| call.kind == "fire" || call.kind == "summary") {
            call.sites.iter().for_each(|site| *listed.entry((&call.to, site)).or_default() += 1);
        }
        let people = calls.iter().map(|call| call.to.as_str()).collect::<BTreeSet<_>>();
        for site in self.sites(&expect.each_listed_once) {
            let code = self.snapshot.inventory.site(site).code.as_str();
            for person in &people {
                let times = listed.get(&(*person, code)).copied().unwrap_or(0);
                assert_eq!(times, 1, "{code} is listed {times} times to {person} at {:?}", expect.at);
            }
        }
    }

    fn calls(&self) -> Vec<Sent> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        let rows: Vec<(i64, String, String)> = self
            .store
            .read(|tx| {
                let mut query = tx.prepare("SELECT created_at, recipient, letter FROM outbox ORDER BY number")?;
                let rows = query.query_map([], read)?.collect::<Result<_, _>>()?;
                Ok::<_, StoreError>(rows)
            })
            .unwrap();
        let sent = rows.into_iter().map(|(at, to, letter)| {
            let letter: serde_json::Value = serde_json::from_str(&letter).unwrap();
            let about = letter["about"].as_array().unwrap().iter();
            let sites =
                about.flat_map(|message| message["sites"].as_array().unwrap()).map(|site| site["code"].as_str().unwrap().to_owned());
            let lines = letter["about"].as_array().unwrap().len();
            Sent { at, to, kind: letter["kind"].as_str().unwrap().to_owned(), sites: sites.collect(), lines }
        });
        sent.collect()
    }

    /// Lists every reason anything was decided for.
    fn reasons(&self) -> Vec<String> {
        let query = "SELECT DISTINCT reason FROM decisions";
        let read = |tx: &rusqlite::Transaction<'_>| tx.prepare(query)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>();
        self.store.read(|tx| read(tx).map_err(StoreError::from)).unwrap()
    }

    fn decisions(&self) -> Vec<String> {
        let read = |row: &rusqlite::Row<'_>| {
            let (stage, verdict, reason, case): (String, String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
            Ok(format!("{stage}: {verdict}: {reason} [{case}]"))
        };
        let query = "SELECT stage, verdict, reason, case_key FROM decisions ORDER BY id LIMIT 40";
        self.store.read(|tx| Ok::<_, StoreError>(tx.prepare(query)?.query_map([], read)?.collect::<Result<Vec<_>, _>>()?)).unwrap()
    }
}

fn counted(calls: &[Sent]) -> BTreeMap<String, usize> {
    let mut by_kind = BTreeMap::new();
    calls.iter().for_each(|call| *by_kind.entry(call.kind.clone()).or_default() += 1);
    by_kind
}

/// `v-*` matches all of a form, `v-{3..9}` some of it.
fn is_match(pattern: &str, code: &str) -> bool {
    if let Some(prefix) = pattern.strip_suffix('*') {
        return code.starts_with(prefix);
    }
    let Some((prefix, range)) = pattern.split_once('{') else { return pattern == code };
    let (from, until) = range.trim_end_matches('}').split_once("..").unwrap();
    let (from, until): (usize, usize) = (from.parse().unwrap(), until.parse().unwrap());
    code.strip_prefix(prefix).and_then(|number| number.parse().ok()).is_some_and(|number: usize| (from..=until).contains(&number))
}

fn inventory(story: &Story) -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "").inhabited = true;
    let counties = story.site.iter().map(|sites| sites.county.as_str()).collect::<BTreeSet<_>>();
    for county in counties {
        draft.region(county, RegionKind::County, "09");
        draft.region(&format!("{county}01"), RegionKind::District, county);
        draft.region(&format!("{county}010001"), RegionKind::RuralDistrict, &format!("{county}01"));
    }
    for node in &story.node {
        draft.node(&node.code, node.kind.parse().unwrap(), &node.parent);
    }
    let mut village = 0;
    for sites in &story.site {
        for n in 1..=sites.count {
            village += 1;
            add_site(&mut draft, sites, &sites.code.replace("{n}", &n.to_string()), village);
        }
    }
    draft.build(1, UnixMs(0)).unwrap_or_else(|faults| panic!("{:#?}", faults.iter().map(|f| f.english()).collect::<Vec<_>>())).inventory
}

fn add_site(draft: &mut Draft, sites: &Sites, code: &str, number: usize) {
    let region = if sites.kind == "village" {
        let region = format!("{}010001{number:06}", sites.county);
        draft.region(&region, RegionKind::Village, &format!("{}010001", sites.county)).households = Some(50);
        region
    } else {
        sites.county.clone()
    };
    let site = draft.site(code, sites.kind.parse().unwrap(), &region);
    site.criticality = sites.class.parse::<Criticality>().unwrap();
    site.name_en = code.to_owned();
    let link = draft.link(code, "up", Network::Gov, &sites.parents);
    link.operator = sites.operator.clone();
}
