//! Random storms: whatever falls, comes back and is restarted, nobody is called more often than their cap, nothing that
//! happened is kept from anybody without a reason, and everybody who heard of a beginning hears of its end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rusta_collector::engine::incident::{IncidentId, Settings};
use rusta_collector::engine::{LinkState, Snapshot};
use rusta_collector::inventory::{Criticality, Draft, Inventory, NodeKind, RegionKind, SiteId, SiteKind};
use rusta_collector::journal::{Act, Actor, Journal};
use rusta_collector::notify::{Notifier, Setup, parse_setup};
use rusta_collector::rules::{Rules, parse as parse_rules};
use rusta_collector::store::{Store, StoreError};
use rusta_tests::by_hand;
use rusta_tests::random::Random;
use rusta_wire::{Network, UnixMs};
use serde_json::Value;

const HOUR_MS: i64 = 3_600_000;

/// Villages behind each PoP, and behind none.
const BEHIND: usize = 9;
const ALONE: usize = 16;
const POPS: usize = 3;

/// One letter of the outbox.
struct Letter {
    at: i64,
    to: String,
    kind: String,
    severity: String,
    /// Numbers of the incidents it tells of.
    incidents: Vec<u64>,
    sites: Vec<String>,
}

impl Letter {
    /// Tells whether a cap counts it.
    fn is_counted(&self) -> bool {
        ["fire", "escalate", "summary"].contains(&self.kind.as_str())
    }

    fn is_first_page(&self) -> bool {
        self.kind == "fire" && self.severity == "page"
    }

    /// Tells whether it is how somebody first hears of what it tells.
    fn is_news(&self) -> bool {
        ["fire", "summary"].contains(&self.kind.as_str())
    }
}

/// A fleet, its people, and what they were told.
struct Storm {
    snapshot: Snapshot,
    store: Store,
    rules: Rules,
    setup: Arc<Setup>,
    notifier: Option<Notifier>,
    random: Random,
    _dir: tempfile::TempDir,
}

impl Storm {
    /// `severity` is what every incident is to its rule.
    fn new(severity: &str, mut random: Random) -> Storm {
        let inventory = Arc::new(inventory(&mut random));
        let dir = tempfile::tempdir().unwrap();
        let rules = format!(
            "rules: [{{ name: any, incident: {{ troubles: [down, silent, flapping] }}, severity: {severity}, title_fa: ر, title_en: any }}]"
        );
        let [ali, sara, reza] = [(); 3].map(|()| 2 + random.below(5));
        let oncall = format!(
            r#"
digests: ["08:00", "20:00"]
channels: [{{ name: pager, preset: webhook, url: "http://127.0.0.1:9/" }}, {{ name: mail, preset: webhook, url: "http://127.0.0.1:9/" }}]
people:
  - {{ name: ali, addresses: {{ pager: x, mail: a }}, cap_per_hour: {ali} }}
  - {{ name: sara, addresses: {{ mail: y }}, cap_per_hour: {sara}, quiet: "09:30-10:10" }}
  - {{ name: reza, addresses: {{ pager: z }}, cap_per_hour: {reza} }}
rotations: [{{ name: noc, people: [ali], starts: "1405-08-02" }}]
routes:
  - name: noc
    page: [{{ on_call: [noc], people: [sara], channels: [pager, mail] }}, {{ after: 15m, people: [ali, reza], channels: [pager] }}]
    ticket: [{{ on_call: [noc], people: [sara], systems: [mail], channels: [mail, pager] }}]
    digest: [{{ people: [ali], channels: [mail] }}]
"#
        );
        let store = Store::open(dir.path()).unwrap();
        let begins = rusta_collector::inventory::dates::moment("1405-08-30 09:00").unwrap();
        let mut storm = Storm {
            snapshot: by_hand::calm(inventory, begins),
            store,
            rules: parse_rules("rules", &rules).unwrap(),
            setup: Arc::new(parse_setup("oncall", &oncall, &[]).unwrap()),
            notifier: None,
            random,
            _dir: dir,
        };
        storm.restart();
        storm
    }

    fn restart(&mut self) {
        let inventory = &self.snapshot.inventory;
        let opened = Notifier::open(self.store.clone(), Settings::default(), self.rules.clone(), self.setup.clone(), inventory);
        self.notifier = Some(opened.unwrap());
    }

    /// Lets time pass in steps of half a minute, which a storm is judged well within.
    fn pass(&mut self, length: Duration) {
        for _ in 0..length.as_secs() / 30 {
            let at = self.snapshot.at + Duration::from_secs(30);
            by_hand::pass(&mut self.snapshot, at);
            self.notifier.as_mut().unwrap().look(&self.snapshot, |_| Vec::new()).unwrap();
        }
    }

    fn sites(&self) -> Vec<SiteId> {
        (0..u32::try_from(self.snapshot.inventory.sites.len()).unwrap()).map(SiteId).collect()
    }

    /// Sets a random part of the fleet: a PoP's villages, or a few anywhere.
    fn strike(&mut self, state: LinkState) -> Vec<SiteId> {
        let all = self.sites();
        let struck: Vec<SiteId> = if self.random.one_in(3) {
            let pop = self.random.below(POPS);
            all[pop * BEHIND..(pop + 1) * BEHIND].to_vec()
        } else {
            let odds = 2 + self.random.below(8);
            all.into_iter().filter(|_| self.random.one_in(odds)).collect()
        };
        struck.iter().for_each(|site| by_hand::set(&mut self.snapshot, *site, state));
        struck
    }

    fn acknowledge_something(&mut self) {
        let open = self.notifier.as_ref().unwrap().incidents().open().map(|incident| incident.id).collect::<Vec<_>>();
        if open.is_empty() {
            return;
        }
        let (id, now) = (open[self.random.below(open.len())], self.snapshot.at);
        let ali = Actor { user: "ali".to_owned(), region: None };
        Journal::new(self.store.clone()).append(id, &Act::Acknowledge, &ali, now).unwrap();
    }

    fn letters(&self) -> Vec<Letter> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?));
        let rows = self.rows("SELECT created_at, recipient, letter FROM outbox ORDER BY number", read);
        let letter = |(at, to, text): (i64, String, String)| {
            let letter: Value = serde_json::from_str(&text).unwrap();
            let about = letter["about"].as_array().unwrap();
            let incidents = about.iter().map(|one| one["path"].as_str().unwrap().strip_prefix("/incidents/").unwrap().parse().unwrap());
            let sites = about.iter().flat_map(|one| one["sites"].as_array().unwrap());
            Letter {
                at,
                to,
                kind: letter["kind"].as_str().unwrap().to_owned(),
                severity: letter["severity"].as_str().unwrap().to_owned(),
                incidents: incidents.collect(),
                sites: sites.map(|site| site["code"].as_str().unwrap().to_owned()).collect(),
            }
        };
        rows.into_iter().map(letter).collect()
    }

    /// Lists the incidents there ever were, and what each became part of.
    fn incidents(&self) -> Vec<(u64, Option<u64>)> {
        let read =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, Option<i64>>(1)?.map(i64::unsigned_abs)));
        self.rows("SELECT id, merged_into FROM incidents ORDER BY id", read)
    }

    /// Lists verdicts and reasons about an incident.
    fn decisions(&self, id: u64) -> Vec<(String, String)> {
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        self.rows(&format!("SELECT verdict, reason FROM decisions WHERE case_key = 'incident/{}' ORDER BY id", IncidentId(id)), read)
    }

    fn rows<T>(&self, sql: &str, read: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<T>) -> Vec<T> {
        let all = |tx: &rusqlite::Transaction<'_>| tx.prepare(sql)?.query_map([], &read)?.collect::<Result<Vec<_>, _>>();
        self.store.read(|tx| all(tx).map_err(StoreError::from)).unwrap()
    }

    fn people(&self) -> impl Iterator<Item = (&String, usize)> {
        self.setup.people.iter().map(|(name, person)| (name, person.cap))
    }

    /// The first page of an incident counts and is never held back; everything else goes only where the hour before has room.
    fn assert_nobody_is_over_the_cap(&self, letters: &[Letter], seed: u64) {
        for (name, cap) in self.people() {
            let counted: Vec<&Letter> = letters.iter().filter(|letter| letter.to == *name && letter.is_counted()).collect();
            for (place, letter) in counted.iter().enumerate().filter(|(_, letter)| !letter.is_first_page()) {
                let hour = counted[..=place].iter().filter(|other| letter.at - other.at < HOUR_MS).count();
                assert!(hour <= cap, "{name} was called {hour} times in an hour, the cap is {cap}; seed {seed}");
            }
        }
    }

    /// Counts how often somebody was told of an incident by letters of some kinds.
    fn times(letters: &[Letter], to: &str, id: u64, kinds: &[&str]) -> usize {
        let about = letters.iter().filter(|letter| letter.to == to && kinds.contains(&letter.kind.as_str()));
        about.map(|letter| letter.incidents.iter().filter(|told| **told == id).count()).sum()
    }
}

fn inventory(random: &mut Random) -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "");
    draft.region("0901", RegionKind::County, "09");
    draft.region("090101", RegionKind::District, "0901");
    draft.region("0901010001", RegionKind::RuralDistrict, "090101");
    draft.node("core", NodeKind::Core, "");
    let pops = (0..POPS).flat_map(|pop| std::iter::repeat_n(Some(pop), BEHIND));
    for (number, pop) in pops.chain(std::iter::repeat_n(None, ALONE)).enumerate() {
        let parent = pop.map_or_else(|| "core".to_owned(), |pop| format!("pop-{pop}"));
        if draft.nodes.iter().all(|node| node.item.code != parent) {
            draft.node(&parent, NodeKind::Pop, "core");
        }
        let (code, village) = (format!("v{number:02}"), format!("0901010001{number:06}"));
        draft.region(&village, RegionKind::Village, "0901010001").households = Some(50);
        draft.site(&code, SiteKind::Village, &village).criticality = Criticality::ALL[random.below(Criticality::ALL.len())];
        draft.link(&code, "up", Network::Gov, &parent);
    }
    draft.build(1, UnixMs(0)).unwrap_or_else(|faults| panic!("{}", faults[0].english())).inventory
}

/// Four hours of anything, then calm; every claim is checked against the outbox and the recorded decisions.
#[test]
fn no_storm_calls_anybody_too_often_or_hides_anything() {
    let first = Random::from_clock().seed();
    for seed in first..first + 3 {
        for severity in ["page", "ticket", "digest"] {
            any_storm(severity, seed);
        }
    }
}

fn any_storm(severity: &str, seed: u64) {
    let mut storm = Storm::new(severity, Random::of(seed, severity));
    let ends = storm.snapshot.at + Duration::from_secs(4 * 3_600);
    while storm.snapshot.at < ends {
        match storm.random.below(12) {
            0..4 => drop(storm.strike(LinkState::Down)),
            4 => drop(storm.strike(LinkState::Unknown)),
            5..8 => drop(storm.strike(LinkState::Up)),
            8 => storm.acknowledge_something(),
            9 => storm.restart(),
            _ => {}
        }
        let length = Duration::from_secs(30 * (1 + storm.random.below(20) as u64));
        storm.pass(length);
    }
    for site in storm.sites() {
        by_hand::set(&mut storm.snapshot, site, LinkState::Up);
    }
    // Past the evening's digest, and long past every summary.
    storm.pass(Duration::from_secs(8 * 3_600));
    let letters = storm.letters();
    storm.assert_nobody_is_over_the_cap(&letters, seed);
    let incidents = storm.incidents();
    assert!(incidents.len() > 3, "seed {seed} brought no storm");
    // Whoever is on duty is paged about each by a call of its own, however many there were before.
    if severity == "page" {
        let summed = letters.iter().filter(|letter| letter.to == "sara" && letter.kind == "summary").count();
        assert_eq!(summed, 0, "sara stands in the first step alone; seed {seed}");
    }
    for (id, merged) in &incidents {
        let decisions = storm.decisions(*id);
        let (on_route, spared): (&[&str], &[&str]) = match severity {
            "page" => (&["ali", "sara", "reza"], &["the next step is due"]),
            "ticket" => (&["ali", "sara"], &[]),
            _ => (&["ali"], &[]),
        };
        for name in on_route.iter().copied() {
            let story = || format!("{severity}, {name}, incident {id}, seed {seed}: {decisions:?}");
            let news = Storm::times(&letters, name, *id, &["fire", "summary"]);
            // Of a page ali hears twice if nobody acknowledges; where the cap is reached, in a summary.
            let most = if severity == "page" && name == "ali" { 2 } else { 1 };
            assert!(news <= most, "told {news} times: {}", story());
            let hears = match (severity, name) {
                ("digest", _) => news + Storm::times(&letters, name, *id, &["digest"]) > 0,
                _ => news + Storm::times(&letters, name, *id, &["escalate"]) > 0,
            };
            let own = ["over before the summary of", "quiet hours of"].map(|why| (why, name));
            let of_all = ["over before anybody", "became part of", "acknowledged by", "came back"].map(|why| (why, ""));
            let reasons = own.into_iter().chain(of_all).chain(spared.iter().map(|why| (*why, "")));
            let reasons = reasons.collect::<Vec<_>>();
            let explains =
                |reason: &str| reasons.iter().any(|(why, name)| reason.split_once(why).is_some_and(|(_, rest)| rest.contains(name)));
            assert!(hears || decisions.iter().any(|(_, reason)| explains(reason)), "neither told nor reasoned: {}", story());
            if merged.is_none() && severity != "digest" && hears {
                let ends = Storm::times(&letters, name, *id, &["resolve", "summary_resolve"]);
                assert_eq!(ends, 1, "ends told: {}", story());
            }
        }
    }
}

/// A storm that stays: each village that fell stands in exactly one call to each person on the route.
#[test]
fn every_village_of_a_storm_is_listed_once() {
    let first = Random::from_clock().seed();
    for seed in first..first + 6 {
        let mut storm = Storm::new("ticket", Random::of(seed, "stays"));
        storm.pass(Duration::from_secs(60));
        let mut fallen = storm.strike(LinkState::Down);
        fallen.extend(storm.strike(LinkState::Down));
        let fallen = fallen.into_iter().collect::<BTreeSet<_>>();
        for _ in 0..20 {
            let length = Duration::from_secs(30 * (1 + storm.random.below(30) as u64));
            storm.pass(length);
            storm.restart();
        }
        storm.pass(Duration::from_secs(3_600 + 900));
        let letters = storm.letters();
        storm.assert_nobody_is_over_the_cap(&letters, seed);
        let mut listed: BTreeMap<(&str, &str), usize> = BTreeMap::new();
        for letter in letters.iter().filter(|letter| letter.is_news()) {
            letter.sites.iter().for_each(|site| *listed.entry((&letter.to, site)).or_default() += 1);
        }
        for site in fallen {
            let code = storm.snapshot.inventory.site(site).code.as_str();
            for name in ["ali", "sara"] {
                let times = listed.get(&(name, code)).copied().unwrap_or(0);
                assert_eq!(times, 1, "{code} is listed {times} times to {name}; seed {seed}");
            }
        }
    }
}
