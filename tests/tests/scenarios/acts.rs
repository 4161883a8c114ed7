//! What people did is in force once and only once, whatever breaks between their word and its effect.

use std::sync::Arc;
use std::time::Duration;

use rusta_collector::engine::incident::{IncidentId, Settings};
use rusta_collector::engine::{LinkState, Snapshot};
use rusta_collector::inventory::{Draft, Inventory, RegionKind, SiteId, SiteKind};
use rusta_collector::journal::{Act, ActError, Actor, Journal};
use rusta_collector::notify::{Notifier, Setup, parse_setup};
use rusta_collector::rules::{DEFAULT_RULES, parse as parse_rules};
use rusta_collector::store::{Store, StoreError};
use rusta_tests::by_hand;
use rusta_tests::random::Random;
use rusta_wire::{Network, UnixMs};

const SITES: usize = 6;

const ONCALL: &str = r#"
channels: [{ name: pager, preset: webhook, url: "http://127.0.0.1:9/" }]
people: [{ name: ali, addresses: { pager: x }, cap_per_hour: 60 }]
rotations: [{ name: noc, people: [ali], starts: "1405-08-02" }]
routes: [{ name: noc, page: [{ on_call: [noc], channels: [pager] }], ticket: [{ on_call: [noc], channels: [pager] }] }]
"#;

/// A state database under a notifier that can be stopped at any moment.
struct Office {
    snapshot: Snapshot,
    store: Store,
    setup: Arc<Setup>,
    notifier: Notifier,
    _dir: tempfile::TempDir,
}

impl Office {
    fn new() -> Office {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let snapshot = by_hand::calm(Arc::new(inventory()), UnixMs(1_763_700_000_000));
        let setup = Arc::new(parse_setup("oncall", ONCALL, &[]).unwrap());
        let notifier = open(&store, &setup, &snapshot);
        let mut office = Office { snapshot, store, setup, notifier, _dir: dir };
        office.pass(Duration::from_secs(30));
        office
    }

    fn restart(&mut self) {
        self.notifier = open(&self.store, &self.setup, &self.snapshot);
    }

    fn look(&mut self) -> Result<usize, StoreError> {
        let at = self.snapshot.at + Duration::from_secs(5);
        by_hand::pass(&mut self.snapshot, at);
        self.notifier.look(&self.snapshot, |_| Vec::new())
    }

    fn pass(&mut self, length: Duration) {
        for _ in 0..length.as_secs() / 5 {
            self.look().unwrap();
        }
    }

    fn act(&self, id: u64, user: &str, act: &Act) -> Result<i64, ActError> {
        let actor = Actor { user: user.to_owned(), region: None };
        Journal::new(self.store.clone()).append(IncidentId(id), act, &actor, self.snapshot.at)
    }

    /// Lets nothing be kept, as a full disk does, or lets it again.
    fn break_store(&self, broken: bool) {
        let sql = if broken {
            "CREATE TRIGGER broken BEFORE UPDATE ON notify_memory BEGIN SELECT RAISE(ABORT, 'the disk is full'); END"
        } else {
            "DROP TRIGGER IF EXISTS broken"
        };
        self.store.write(|tx| Ok::<_, StoreError>(tx.execute_batch(sql)?)).unwrap();
    }

    fn column(&self, sql: &str) -> Vec<String> {
        let read = |tx: &rusqlite::Transaction<'_>| tx.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<Result<Vec<_>, _>>();
        self.store.read(|tx| read(tx).map_err(StoreError::from)).unwrap()
    }
}

fn open(store: &Store, setup: &Arc<Setup>, snapshot: &Snapshot) -> Notifier {
    let rules = parse_rules("rules", DEFAULT_RULES).unwrap();
    Notifier::open(store.clone(), Settings::default(), rules, setup.clone(), &snapshot.inventory).unwrap()
}

fn inventory() -> Inventory {
    let mut draft = Draft::default();
    draft.region("09", RegionKind::Province, "").inhabited = true;
    draft.region("0901", RegionKind::County, "09");
    for n in 0..SITES {
        let code = format!("s-{n}");
        draft.site(&code, SiteKind::Headquarters, "0901");
        draft.link(&code, "up", Network::Gov, "");
    }
    draft.build(1, UnixMs(0)).unwrap().inventory
}

#[test]
fn an_end_by_hand_ends_what_still_fails_and_survives_a_disk_that_keeps_nothing() {
    let mut office = Office::new();
    by_hand::set(&mut office.snapshot, SiteId(0), LinkState::Down);
    office.pass(Duration::from_secs(180));
    office.act(1, "ali", &Act::Resolve("seen on site".to_owned())).unwrap();
    office.break_store(true);
    assert!(office.look().is_err());
    office.break_store(false);
    office.restart();
    office.look().unwrap();
    let incidents = |office: &Office| office.column("SELECT id || IIF(resolved_at IS NULL, ' open', ' over') FROM incidents ORDER BY id");
    assert_eq!(incidents(&office), ["1 over"]);
    assert_eq!(office.column("SELECT left_why FROM incident_members WHERE incident = 1"), ["by_hand"]);
    assert_eq!(office.column("SELECT text FROM incident_timeline WHERE kind = 'resolved_by_hand'"), ["seen on site"]);
    // It has the time to recover that any repaired cause gives, also over a restart; then it is an incident of its own.
    office.pass(Duration::from_secs(120));
    office.restart();
    office.pass(Duration::from_secs(120));
    assert_eq!(incidents(&office), ["1 over"]);
    office.pass(Duration::from_secs(300));
    assert_eq!(incidents(&office), ["1 over", "2 open"]);
}

#[test]
fn what_cannot_be_done_is_refused_and_leaves_nothing() {
    let mut office = Office::new();
    assert!(matches!(office.act(1, "ali", &Act::Acknowledge), Err(ActError::Unknown(_))));
    by_hand::set(&mut office.snapshot, SiteId(0), LinkState::Down);
    office.pass(Duration::from_secs(180));
    for act in [Act::Note(" ".into()), Act::Cause("nothing".into()), Act::Assign(String::new()), Act::Note("ن".repeat(4_001))] {
        assert!(matches!(office.act(1, "ali", &act), Err(ActError::Wrong(_))), "{act:?}");
    }
    by_hand::set(&mut office.snapshot, SiteId(0), LinkState::Up);
    office.pass(Duration::from_secs(60));
    assert!(matches!(office.act(1, "ali", &Act::Acknowledge), Err(ActError::Over(_))));
    assert!(office.column("SELECT kind FROM journal").is_empty());
    office.act(1, "ali", &Act::Note("the mast was struck".into())).unwrap();
    let story = |office: &Office| office.column("SELECT text FROM incident_timeline WHERE kind = 'note'");
    assert!(story(&office).is_empty(), "it is applied by the next look");
    office.notifier.look(&office.snapshot, |_| Vec::new()).unwrap();
    assert_eq!(story(&office), ["the mast was struck"]);
}

#[test]
fn every_act_is_in_force_once_through_stops_and_full_disks() {
    let seeds = 40;
    for seed in 0..seeds {
        let mut random = Random::of(seed, "acts");
        let mut office = Office::new();
        let (mut done, mut stops, mut full) = (Vec::new(), 0, 0);
        for step in 0..60 {
            let site = SiteId(u32::try_from(random.below(SITES)).unwrap());
            match random.below(10) {
                0 | 1 => by_hand::set(&mut office.snapshot, site, LinkState::Down),
                2 => by_hand::set(&mut office.snapshot, site, LinkState::Up),
                3 => {
                    office.restart();
                    stops += 1;
                }
                4 => {
                    office.break_store(true);
                    full += usize::from(office.look().is_err());
                    office.break_store(false);
                }
                _ => {
                    let act = match random.below(4) {
                        0 => Act::Acknowledge,
                        1 => Act::Assign(format!("person {step}")),
                        2 => Act::Note(format!("note {step}")),
                        _ => Act::Resolve(format!("over {step}")),
                    };
                    let id = 1 + random.below(6) as u64;
                    match office.act(id, "ali", &act) {
                        Ok(_) => done.push(format!("{id} {} {}", act.kind(), act.text())),
                        Err(ActError::Unknown(_) | ActError::Over(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            office.pass(Duration::from_secs(5 * random.below(30) as u64));
        }
        office.pass(Duration::from_secs(30));
        let told = "SELECT incident || ' ' || kind || ' ' || text FROM incident_timeline WHERE actor = 'user:ali' ORDER BY id";
        assert_eq!(office.column(told), done, "seed {seed}");
        let audited = "SELECT COUNT(*) || '' FROM audit WHERE actor = 'user:ali'";
        assert_eq!(office.column(audited), [done.len().to_string()], "seed {seed}");
        for id in office.column("SELECT id || '' FROM incidents") {
            let last = done.iter().rev().find_map(|line| line.strip_prefix(&format!("{id} assigned ")));
            let assignee = format!("SELECT COALESCE(assignee, '-') FROM incidents WHERE id = {id}");
            assert_eq!(office.column(&assignee), [last.unwrap_or("-")], "seed {seed}");
        }
        assert!(!done.is_empty() && stops + full > 0, "seed {seed} shows nothing");
    }
}
