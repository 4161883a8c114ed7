use std::path::Path;

use bytes::Bytes;
use rusta_wire::{Batch, Frame, FrameKind};

use super::*;
use crate::engine::testing::{Agent, inventory, second};
use crate::engine::{AgentState, LinkState};
use crate::log::{Incoming, Keeping, Upload};

/// A log, a database and a loop over them; `restart` is a kill: nothing is said before it.
pub(super) struct Bench {
    dir: tempfile::TempDir,
    pub(super) log: Log,
    pub(super) store: Store,
    pub(super) inventories: watch::Receiver<Arc<Versions>>,
    advance: Option<Advance>,
}

fn open_log(dir: &Path) -> Log {
    Log::open(Keeping { dir: dir.join("log"), retention_days: 30, group_commit: Duration::from_millis(1) }).unwrap()
}

impl Bench {
    pub(super) fn new(villages: usize) -> Self {
        // In memory, where there is some: what is tested is not the disk.
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let (log, store) = (open_log(dir.path()), Store::open(dir.path()).unwrap());
        for n in 1..=villages {
            let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES (?1, ?2, ?1, 0, 0)";
            let id = AgentId(n as u64).to_string();
            store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, (&id, format!("V{}", n - 1)))?)).unwrap();
        }
        let inventories = watch::channel(Arc::new(Versions::new(vec![inventory(villages)]))).1;
        Bench { dir, log, store, inventories, advance: None }
    }

    pub(super) fn start(&mut self, now: i64) {
        let parts = Parts {
            log: self.log.clone(),
            store: self.store.clone(),
            inventories: self.inventories.clone(),
            thresholds: Thresholds::default(),
        };
        self.advance = Some(Advance::open(parts, second(now)).unwrap());
    }

    fn restart(&mut self, now: i64) {
        self.advance = None;
        self.store = Store::open(self.dir.path()).unwrap();
        self.start(now);
    }

    fn append(&self, agent: &Agent, batches: &[Batch], received: i64) {
        self.append_told(agent, batches, received, Some(second(agent.boot.1).0));
    }

    /// Appends what arrived in a request that told when its boot began, or did not.
    pub(super) fn append_told(&self, agent: &Agent, batches: &[Batch], received: i64, live_offset_ms: Option<i64>) {
        let incoming = |batch: &Batch| {
            let payload = batch.encode(&agent.table).unwrap();
            Incoming {
                head: Batch::head(&payload).unwrap(),
                live_offset_ms,
                frame: Bytes::from(Frame::new(FrameKind::Batch, payload).unwrap().to_bytes()),
                names: self.log.learn_names(agent.id, &agent.table.encode()).unwrap(),
            }
        };
        let upload =
            Upload { site_code: agent.site.into(), received_at: second(received), batches: batches.iter().map(incoming).collect() };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(self.log.append(upload)).unwrap();
    }

    fn report(&self, agent: &mut Agent, until: i64, ok: bool) {
        let batch = agent.batch(until, ok);
        self.append(agent, &[batch], until);
    }

    pub(super) fn step(&mut self, now: i64) {
        let advance = self.advance.as_mut().unwrap();
        while advance.step(second(now)).unwrap() > 0 {}
    }

    fn snapshot(&mut self) -> Arc<Snapshot> {
        let advance = self.advance.as_mut().unwrap();
        advance.engine.snapshot()
    }

    /// What people were told of links, sites, villages and agents, in order.
    fn told(&self) -> Vec<(String, String, i64, String)> {
        let sql = "SELECT kind, code, since, state FROM events ORDER BY id";
        self.store
            .read(|tx| {
                let mut statement = tx.prepare(sql)?;
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
                Ok::<_, StoreError>(rows.collect::<Result<_, _>>()?)
            })
            .unwrap()
    }
}

/// Two villages for three hours: one cut twice, one silent for a while.
fn story(bench: &mut Bench, mut each_minute: impl FnMut(&mut Bench, i64)) {
    let (mut one, mut two) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
    for minute in 1..=180 {
        let cut = (40..60).contains(&minute) || (100..103).contains(&minute);
        bench.report(&mut one, minute * 60, !cut);
        if !(70..130).contains(&minute) {
            bench.report(&mut two, minute * 60, true);
        }
        bench.step(minute * 60 + 3);
        bench.step(minute * 60 + 10);
        each_minute(bench, minute);
    }
}

#[test]
fn a_restart_at_any_minute_loses_and_repeats_nothing() {
    let mut whole = Bench::new(2);
    whole.start(0);
    story(&mut whole, |_, _| {});
    let expected = whole.told();
    assert!(expected.iter().any(|(kind, code, _, state)| kind == "village" && code.ends_with("0") && state == "disconnected"));
    assert!(expected.iter().any(|(kind, _, _, state)| kind == "agent" && state == "silent"));
    for every in [7, 11, 41] {
        let mut cut = Bench::new(2);
        cut.start(0);
        story(&mut cut, |bench, minute| {
            if minute % every == 0 {
                bench.restart(minute * 60 + 12);
            }
        });
        assert_eq!(cut.told(), expected, "restarted every {every} minutes");
    }
}

#[test]
fn an_hour_without_the_collector_is_nobodys_outage() {
    let mut bench = Bench::new(1);
    bench.start(0);
    let mut agent = Agent::village(1, "V0");
    for minute in 1..=10 {
        bench.report(&mut agent, minute * 60, true);
        bench.step(minute * 60 + 3);
    }
    let backlog: Vec<Batch> = (11..70).map(|minute| agent.batch(minute * 60, true)).collect();
    bench.restart(4_200);
    assert_eq!(bench.snapshot().villages[0].state, crate::engine::VillageState::Unknown);
    bench.report(&mut agent, 4_200, true);
    bench.step(4_203);
    bench.append(&agent, &backlog, 4_205);
    bench.step(4_210);
    let snapshot = bench.snapshot();
    assert_eq!(snapshot.links[0].state, LinkState::Up);
    assert!(matches!(snapshot.agents[0].state, AgentState::Reporting | AgentState::Buffered));
    let told = bench.told();
    assert!(told.iter().all(|(.., state)| state != "down" && state != "disconnected" && state != "silent"), "{told:?}");
}

#[test]
fn days_touched_are_kept_with_the_cursor() {
    let mut bench = Bench::new(1);
    bench.start(0);
    let mut agent = Agent::village(1, "V0");
    bench.report(&mut agent, 60, true);
    bench.step(63);
    let days = |bench: &Bench| -> Vec<(i32, String)> {
        bench
            .store
            .read(|tx| {
                let mut statement = tx.prepare("SELECT day, site_code FROM dirty_days ORDER BY day").unwrap();
                let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
                Ok::<_, StoreError>(rows.map(Result::unwrap).collect())
            })
            .unwrap()
    };
    assert_eq!(days(&bench), [(Day::of(second(60)).0, "V0".to_owned())]);
    // A site that is in no registry is left out and stops nothing.
    let mut stranger = Agent::village(5, "NOWHERE");
    bench.report(&mut stranger, 120, true);
    bench.report(&mut agent, 120, true);
    bench.step(123);
    assert_eq!(bench.snapshot().links[0].state, LinkState::Up);
}

/// Everything history holds but the revisions, which count how often late data changed it.
pub(super) fn history(store: &Store) -> Vec<String> {
    let queries = [
        "SELECT 'seconds', o.kind, o.code, o.link, d.day, d.up, d.degraded, d.down, d.unknown FROM daily_seconds d JOIN objects o
         ON o.id = d.object ORDER BY 2, 3, 4, 5",
        "SELECT 'outage', o.kind, o.code, o.link, x.started_at, x.ended_at, x.restored, x.rung, x.confidence FROM outages x
         JOIN objects o ON o.id = x.object ORDER BY 2, 3, 4, 5",
        "SELECT 'spans', o.kind, o.code, t.day, hex(t.spans), t.head, t.tail, 0, 0 FROM timelines t JOIN objects o ON o.id = t.object
         ORDER BY 2, 3, 4",
    ];
    let text = |row: &rusqlite::Row<'_>| {
        let cells: Vec<String> = (0..9).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect();
        Ok(cells.join(" "))
    };
    let read = |tx: &rusqlite::Transaction<'_>| {
        let mut rows = Vec::new();
        for query in queries {
            rows.extend(tx.prepare(query)?.query_map([], text)?.collect::<Result<Vec<_>, _>>()?);
        }
        Ok::<_, StoreError>(rows)
    };
    store.read(read).unwrap()
}

#[test]
fn history_is_the_same_whatever_came_first_and_however_often_it_was_built() {
    const HOUR: i64 = 3_600;
    // Two hours, then the power goes for two and a half days, then two hours in another life, cut in the middle.
    let part = |agent: &mut Agent, from: i64| -> Vec<(i64, Batch)> {
        let until = |minute: i64| from + minute * 60;
        (1..=120).map(|minute| (until(minute), agent.batch(until(minute), !(50..70).contains(&minute)))).collect()
    };
    let mut agent = Agent::village(1, "V0");
    let first = part(&mut agent, 0);
    (agent.boot, agent.sequence) = ((rusta_wire::BootId(2), 62 * HOUR - 60), 0);
    let second_life = part(&mut agent, 62 * HOUR);
    let groups = |chunk: usize| -> Vec<(i64, Vec<Batch>)> {
        let offset = |of: &[(i64, Batch)]| if of[0].0 < 10 * HOUR { 0 } else { 62 * HOUR - 60 };
        let all: Vec<&[(i64, Batch)]> = first.chunks(chunk).chain(second_life.chunks(chunk)).collect();
        all.into_iter().map(|part| (offset(part), part.iter().map(|(_, batch)| batch.clone()).collect())).collect()
    };
    let end = 96 * HOUR;
    let run = |parts: Vec<(i64, Vec<Batch>)>, arrives: &dyn Fn(usize, &[Batch], i64) -> i64| {
        let mut bench = Bench::new(1);
        bench.start(0);
        let builder_parts = crate::history::Parts {
            log: bench.log.clone(),
            store: bench.store.clone(),
            inventories: bench.inventories.clone(),
            thresholds: Thresholds::default(),
            retention_days: 30,
        };
        let mut builder = crate::history::Builder::new(builder_parts);
        for (place, (offset, batches)) in parts.iter().enumerate() {
            let received = arrives(place, batches, *offset);
            let mut speaker = Agent::village(1, "V0");
            speaker.boot.1 = *offset;
            bench.append(&speaker, batches, received);
            bench.step(received + 5);
            while builder.step(second(received + 10)).unwrap() > 0 {}
        }
        bench.step(end);
        while builder.step(second(end)).unwrap() > 0 {}
        history(&bench.store)
    };
    let live = |_: usize, batches: &[Batch], offset: i64| offset + i64::try_from(batches.last().unwrap().until.0 / 1000).unwrap() + 1;
    let expected = run(groups(20), &live);
    // Two whole days without power, for the link, the site and the village.
    assert_eq!(expected.iter().filter(|row| row.contains("Integer(0) Integer(0) Integer(86400) Integer(0)")).count(), 6, "{expected:#?}");
    let late = |place: usize, _: &[Batch], _: i64| 70 * HOUR + i64::try_from(place).unwrap() * 600;
    let mut backwards = groups(15);
    backwards.reverse();
    assert_eq!(run(backwards, &late), expected, "newest first");
    let mut middle_out = groups(30);
    middle_out.rotate_left(3);
    assert_eq!(run(middle_out, &late), expected, "from the middle on");
}

#[test]
fn the_log_played_again_shows_what_the_loop_saw() {
    let mut bench = Bench::new(2);
    bench.start(0);
    let states = |snapshot: &Snapshot| (snapshot.links[0].state, snapshot.links[1].state, snapshot.agents[1].state);
    let mut live = Vec::new();
    story(&mut bench, |bench, _| {
        let snapshot = bench.snapshot();
        live.push(states(&snapshot));
    });
    assert!(live.iter().any(|(one, ..)| *one == LinkState::Down) && live.iter().any(|(.., agent)| *agent == AgentState::Silent));
    let (versions, thresholds) = (Arc::clone(&bench.inventories.borrow()), Thresholds::default());
    let replay = Replay { data_dir: bench.dir.path(), store: &bench.store, versions: &versions, thresholds: &thresholds };
    let (first, last) = (30, 180);
    let window = crate::persian::Window { from: second(first * 60 + 9), until: second(last * 60 + 10) };
    let before = bench.told();
    let mut again = Vec::new();
    replay
        .run(window, Duration::from_secs(60), |snapshot| {
            again.push(states(snapshot));
            Ok::<_, AdvanceError>(())
        })
        .unwrap();
    assert_eq!(again, live[usize::try_from(first - 1).unwrap()..]);
    assert_eq!(bench.told(), before, "a question about the past changes nothing");
}

fn dirty_days(store: &Store) -> i64 {
    store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM dirty_days", [], |row| row.get(0))?)).unwrap()
}

/// A batch whose boot "began" nine thousand years ago had every day up to now counted through, at this start and at each later one.
#[test]
fn times_that_cannot_be_are_unknown_and_are_never_counted_through() {
    let mut bench = Bench::new(2);
    bench.start(0);
    let (mut agent, mut honest) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
    let years = |n: i64| n * 366 * 86_400_000;
    let now = second(600).0;
    let mut sequence = 100;
    for boot in 10..16 {
        for source in [rusta_wire::ClockSource::Collector, rusta_wire::ClockSource::Synchronised, rusta_wire::ClockSource::System] {
            for unix in [now - years(9_000), now + years(5), i64::MIN, i64::MAX, 0] {
                for until in [60_000, 1u64 << 45, u64::MAX - 1] {
                    let mut batch = agent.batch(600, true);
                    sequence += 1;
                    (batch.id.boot, batch.id.sequence) = (rusta_wire::BootId(boot), rusta_wire::Sequence(sequence));
                    (batch.from, batch.until) = (rusta_wire::MonoMs(until - 60_000), rusta_wire::MonoMs(until));
                    batch.samples.iter_mut().for_each(|sample| sample.at = rusta_wire::MonoMs((until - 30_000) / 100 * 100));
                    batch.clock = rusta_wire::Clock { unix: UnixMs(unix), source, uncertainty_ms: u32::MAX };
                    let live = [None, Some(now - years(9_000)), Some(i64::MIN), Some(i64::MAX)][usize::try_from(boot - 10).unwrap() % 4];
                    bench.append_told(&agent, &[batch], 600, live);
                }
            }
        }
    }
    bench.report(&mut honest, 600, true);
    bench.step(605);
    bench.step(610);
    let kept_days = 31;
    assert!(dirty_days(&bench.store) <= kept_days + 2, "{} days", dirty_days(&bench.store));
    bench.restart(620);
    bench.report(&mut honest, 660, true);
    bench.step(670);
    assert_eq!(bench.snapshot().links[1].state, LinkState::Up, "the others are served after a restart on the same folder");
}

/// A sample may lie five years ahead of its batch: it once made villages "connected" for five years.
#[test]
fn a_sample_outside_of_its_batchs_interval_counts_nowhere() {
    let mut bench = Bench::new(1);
    bench.start(0);
    let mut agent = Agent::village(1, "V0");
    let mut batch = agent.batch(600, true);
    batch.samples.iter_mut().for_each(|sample| sample.at = rusta_wire::MonoMs(sample.at.0 + 5 * 366 * 86_400_000));
    bench.append(&agent, &[batch], 600);
    bench.step(605);
    assert_eq!(bench.snapshot().links[0].state, LinkState::Unknown);
    assert!(bench.snapshot().links[0].evidence_at.is_none());
}

#[test]
fn nobody_but_a_declared_vantage_is_believed_about_another_site() {
    let mut bench = Bench::new(3);
    bench.start(0);
    let towards = |site: &str| crate::engine::testing::series("apn0", "gateway", rusta_wire::Rung::Gateway, site);
    let mut victim = Agent::village(1, "V0");
    let own = crate::engine::testing::series("apn0", "core", rusta_wire::Rung::Core, "");
    let mut stolen = Agent::new(2, "V1", vec![own, towards("V0"), towards("V2"), towards("CORE")]);
    for minute in 1..=20 {
        bench.report(&mut victim, minute * 60, false);
        bench.report(&mut stolen, minute * 60, true);
        bench.step(minute * 60 + 5);
    }
    let states: Vec<_> = bench.snapshot().links.iter().map(|link| link.state).collect();
    assert_eq!(
        states[..3],
        [LinkState::Down, LinkState::Up, LinkState::Unknown],
        "a stolen router hid an outage, or made one village connected"
    );
    bench.step(1_300);
    let vantages: i64 =
        bench.store.read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM vantages", [], |row| row.get(0))?)).unwrap();
    assert_eq!(vantages, 0);
    let mut core = Agent::new(3, "CORE", vec![towards("V2")]);
    let sql = "INSERT INTO agents (id, site_code, key_hash, enrolled_at, not_after) VALUES ('00000000000000cc', 'CORE', 'k', 1, 0)";
    bench.store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [])?)).unwrap();
    core.id = AgentId(0xcc);
    for minute in 22..=26 {
        bench.report(&mut core, minute * 60, true);
        bench.step(minute * 60 + 5);
    }
    assert_eq!(bench.snapshot().links[2].state, LinkState::Up, "the core is declared");
}

#[test]
fn what_a_revoked_agent_said_since_a_time_is_taken_out_of_state_and_history_for_good() {
    let build = |bench: &Bench, now: i64| {
        let parts = crate::history::Parts {
            log: bench.log.clone(),
            store: bench.store.clone(),
            inventories: bench.inventories.clone(),
            thresholds: Thresholds::default(),
            retention_days: 30,
        };
        let mut builder = crate::history::Builder::new(parts);
        while builder.step(second(now)).unwrap() > 0 {}
    };
    let down_s = |bench: &Bench| -> i64 {
        let sql =
            "SELECT coalesce(sum(s.down), 0) FROM daily_seconds s JOIN objects o ON o.id = s.object WHERE o.kind = 1 AND o.code = 'V0'";
        bench.store.read(|tx| Ok::<_, StoreError>(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    };
    let up_s = |bench: &Bench| -> i64 {
        let sql = "SELECT coalesce(sum(s.up), 0) FROM daily_seconds s JOIN objects o ON o.id = s.object WHERE o.kind = 1 AND o.code = 'V0'";
        bench.store.read(|tx| Ok::<_, StoreError>(tx.query_row(sql, [], |row| row.get(0))?)).unwrap()
    };
    let day = 86_400;
    let mut bench = Bench::new(2);
    bench.start(0);
    let (mut thief, mut other) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
    for minute in 1..=60 {
        bench.report(&mut thief, minute * 60, minute <= 30);
        bench.report(&mut other, minute * 60, true);
        bench.step(minute * 60 + 5);
    }
    assert_eq!(bench.snapshot().links[0].state, LinkState::Down, "so it says");
    build(&bench, 2 * day);
    let honest_up = up_s(&bench);
    assert!(down_s(&bench) >= 1_500 && honest_up >= 1_700, "{} {honest_up}", down_s(&bench));
    let how = crate::identity::Revocation { actor: "cli", at: second(3_650), since: Some(second(30 * 60 + 30)), reason: "stolen" };
    crate::identity::revoke(&bench.store, AgentId(1), how).unwrap();
    bench.step(3_660);
    bench.step(3_670);
    assert_ne!(bench.snapshot().links[0].state, LinkState::Down, "live state still leans on it");
    assert_eq!(bench.snapshot().links[1].state, LinkState::Up, "the other village is not concerned");
    assert!(bench.told().iter().any(|(kind, code, _, state)| kind == "link" && code == "V0" && state == "unknown"), "people are told");
    build(&bench, 2 * day);
    assert_eq!(down_s(&bench), 0, "history still leans on it");
    assert!((up_s(&bench) - honest_up).abs() <= 300, "what it said before stands: {} of {honest_up}", up_s(&bench));
    let before = bench.told();
    bench.restart(3_700);
    bench.step(3_710);
    assert_ne!(bench.snapshot().links[0].state, LinkState::Down, "a restart brings it back");
    assert_eq!(bench.told().len(), before.len(), "a restart says it again");
    bench.store.write(|tx| Ok::<_, StoreError>(tx.execute("UPDATE dirty_days SET touches = touches + 1", [])?)).unwrap();
    build(&bench, 3 * day);
    assert_eq!(down_s(&bench), 0);
    let audited: i64 = bench
        .store
        .read(|tx| Ok::<_, StoreError>(tx.query_row("SELECT count(*) FROM audit WHERE action = 'agent.disown'", [], |row| row.get(0))?))
        .unwrap();
    assert_eq!(audited, 1);
}

/// A clock three hours ahead and back: told, bounded, and healed by itself.
#[test]
fn a_clock_set_ahead_and_back_costs_the_minutes_it_was_wrong_and_no_restart() {
    const AHEAD: i64 = 3 * 3_600;
    let mut bench = Bench::new(2);
    bench.start(0);
    let (mut one, mut two) = (Agent::village(1, "V0"), Agent::village(2, "V1"));
    let mut report = |bench: &mut Bench, minute: i64, ahead: i64, ok: bool| {
        for (agent, ok) in [(&mut one, true), (&mut two, ok)] {
            let batch = agent.batch(minute * 60, ok);
            bench.append_told(agent, &[batch], minute * 60 + ahead, None);
        }
        bench.step(minute * 60 + ahead + 2);
    };
    (1..=40).for_each(|minute| report(&mut bench, minute, 0, true));
    let silent = |bench: &mut Bench| bench.snapshot().agents.iter().filter(|agent| agent.state == AgentState::Silent).count();
    // Ten minutes ahead: what is seen is three hours old to that clock, but nobody was silent.
    let advance = bench.advance.as_mut().unwrap();
    advance.notice_jump(second(41 * 60 + AHEAD), Duration::from_secs(60));
    (41..=50).for_each(|minute| report(&mut bench, minute, AHEAD, true));
    assert_eq!(silent(&mut bench), 0);
    // And back: within a report everything is as it was.
    report(&mut bench, 51, 0, true);
    let snapshot = bench.snapshot();
    assert!(snapshot.at <= second(51 * 60 + 2), "{:?}", snapshot.at);
    assert_eq!(snapshot.links.iter().filter(|link| link.state == LinkState::Up).count(), 2);
    assert_eq!(silent(&mut bench), 0);
    // A cut is seen as always, and so after a restart.
    (52..=56).for_each(|minute| report(&mut bench, minute, 0, false));
    let down = |bench: &mut Bench| bench.snapshot().links.iter().filter(|link| link.state == LinkState::Down).count();
    assert_eq!(down(&mut bench), 1);
    bench.restart(56 * 60 + 3);
    assert_eq!(down(&mut bench), 1);
    // An agent that stops is silent in its time, not three hours later.
    bench.step(56 * 60 + 700);
    assert_eq!(silent(&mut bench), 2);
}
