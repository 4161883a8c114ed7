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
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
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
