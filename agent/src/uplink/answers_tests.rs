//! Nothing is lost uncounted, whatever answers: any sequence of answers, of this collector, of others, of portals and of nobody,
//! with restarts between them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::packet::http2::{Kind, Response, Status};

/// What becomes of one upload. The number chooses a status, a batch or a place to cut.
#[derive(Debug, Clone, Copy)]
enum Fate {
    /// The collector takes it, or says what is in the way.
    Taken,
    /// The same, and then its answer is cut somewhere.
    TakenAnswerCut(usize),
    /// The same, and then the connection breaks.
    TakenNoAnswer,
    /// The connection breaks.
    Reset,
    /// A page with some status.
    Page(usize),
    /// An empty answer with some status.
    Empty(usize),
    /// The collector's honest answer to another upload.
    OfAnotherUpload(usize),
    /// An answer that names all batches as refused for good, but of another upload.
    FaultsOfAnotherUpload,
    /// An older collector's answer, with some status: it names no upload. With 200 it has stored.
    Old(usize),
    /// This collector's refusal that names a batch, for good or for the time being.
    Named { batch: usize, for_good: bool },
    /// This collector's refusal with some status that names nothing.
    Unnamed(usize),
    /// This collector wants a table again.
    WantsTable,
    /// The agent is killed and starts again.
    Killed,
    /// Another batch is measured.
    Measured,
}

const STATUSES: [u16; 16] = [200, 201, 204, 302, 400, 401, 403, 404, 408, 409, 413, 421, 422, 429, 500, 503];

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let number = 0..1_000usize;
    let fate = prop_oneof![
        2 => Just(Fate::Taken),
        1 => number.clone().prop_map(Fate::TakenAnswerCut),
        1 => Just(Fate::TakenNoAnswer),
        1 => Just(Fate::Reset),
        2 => number.clone().prop_map(Fate::Page),
        1 => number.clone().prop_map(Fate::Empty),
        1 => number.clone().prop_map(Fate::OfAnotherUpload),
        1 => Just(Fate::FaultsOfAnotherUpload),
        2 => number.clone().prop_map(Fate::Old),
        2 => (number.clone(), any::<bool>()).prop_map(|(batch, for_good)| Fate::Named { batch, for_good }),
        1 => number.prop_map(Fate::Unnamed),
        1 => Just(Fate::WantsTable),
        1 => Just(Fate::Killed),
        2 => Just(Fate::Measured),
    ];
    prop::collection::vec(fate, 1..60)
}

/// The collector's disk: what it stored, how often, and what it refused for good.
#[derive(Default)]
struct World {
    stored: BTreeMap<u64, u32>,
    refused: BTreeSet<u64>,
    knows_table: bool,
}

impl World {
    /// The collector's own doing with an upload: its status and answer.
    fn take(&mut self, body: &[u8]) -> (u16, Answer) {
        let frames: Vec<_> = Frame::read_all(body).map(Result::unwrap).collect();
        self.knows_table |= frames.iter().any(|frame| frame.kind == FrameKind::Table);
        if !self.knows_table {
            return (409, Answer { missing_tables: vec![SeriesTable::default().id()], ..Answer::default() });
        }
        for frame in frames.iter().filter(|frame| frame.kind == FrameKind::Batch) {
            *self.stored.entry(Batch::head(&frame.payload).unwrap().id.sequence.0).or_default() += 1;
        }
        (200, Answer { backlog_bytes: 1 << 20, ..Answer::default() })
    }
}

fn said(status: u16, kind: Option<Kind>, body: Vec<u8>) -> Option<Response> {
    Some(Response { status: Status(status), body, retry_after: None, kind })
}

fn answer(fate: Fate, world: &mut World, tickets: &[Ticket], body: &[u8]) -> Option<Response> {
    let mark = upload_mark(body);
    let ours = |answer: Answer, upload: Option<u32>| Answer { server_time: UnixMs(1_900_000_000_000), upload, ..answer }.encode();
    let status = |n: usize| STATUSES[n % STATUSES.len()];
    let faults = |tickets: &[Ticket], reason: FaultReason| Answer {
        faults: tickets.iter().map(|t| BatchFault { boot: t.boot, sequence: t.sequence, reason }).collect(),
        reason: "no".into(),
        ..Answer::default()
    };
    match fate {
        Fate::Taken => {
            let (status, answer) = world.take(body);
            said(status, None, ours(answer, Some(mark)))
        }
        Fate::TakenAnswerCut(place) => {
            let (status, answer) = world.take(body);
            let mut bytes = ours(answer, Some(mark));
            bytes.truncate(place % bytes.len());
            said(status, None, bytes)
        }
        Fate::TakenNoAnswer => {
            world.take(body);
            None
        }
        Fate::Reset | Fate::Killed | Fate::Measured => None,
        Fate::Page(n) => said(status(n), Some(Kind::Other), b"<html><body>Please log in</body></html>".to_vec()),
        Fate::Empty(n) => said(status(n), None, Vec::new()),
        Fate::OfAnotherUpload(n) => said(status(n), None, ours(Answer::default(), Some(!mark))),
        Fate::FaultsOfAnotherUpload => said(422, None, ours(faults(tickets, FaultReason::Overlap), Some(!mark))),
        Fate::Old(n) if status(n) == 200 => {
            let (status, answer) = world.take(body);
            said(status, None, ours(answer, None))
        }
        // Its faults name batches too, but nobody knows of which upload.
        Fate::Old(n) => said(status(n), None, ours(faults(tickets, FaultReason::Overlap), None)),
        Fate::Named { batch, for_good } => {
            let named = tickets[batch % tickets.len()];
            let reason = if for_good { FaultReason::Overlap } else { FaultReason::Unreadable };
            if for_good {
                world.refused.insert(named.sequence.0);
            }
            said(422, None, ours(faults(&[named], reason), Some(mark)))
        }
        Fate::Unnamed(n) => {
            // With 200 it has stored: it is not a liar, only everybody else is.
            let status = status(n).max(201);
            said(status, None, ours(Answer { reason: "no".into(), ..Answer::default() }, Some(mark)))
        }
        Fate::WantsTable => {
            world.knows_table = false;
            said(409, None, ours(Answer { missing_tables: vec![SeriesTable::default().id()], ..Answer::default() }, Some(mark)))
        }
    }
}

/// One turn of the uplink, with the network played: what it wants to send, and what comes of it.
fn turn(uplink: &mut Uplink, world: &mut World, fate: Fate, now: MonoMs) -> bool {
    let Some((tickets, _)) = uplink.choose(now) else { return false };
    let body = uplink.body(&tickets);
    assert!(!body.is_empty());
    uplink.shared.spool.borrow_mut().offer(&tickets, now);
    if let Some(response) = answer(fate, world, &tickets, &body) {
        let _ = uplink.take_answer(&tickets, &response, upload_mark(&body), now);
    }
    true
}

/// The process ends without a word; what the page cache has stays.
fn kill(agent: &Agent, elsewhere: &Path) {
    let settings = crate::config::Spool { dir: elsewhere.to_path_buf(), ..agent_settings(agent) };
    let boot = agent.shared.clock.boot();
    drop(agent.shared.spool.replace(Spool::open(settings, boot, MonoMs(0)).unwrap()));
    agent.shared.spool.replace(Spool::open(agent_settings(agent), boot, MonoMs(0)).unwrap());
}

fn agent_settings(agent: &Agent) -> crate::config::Spool {
    let dir = agent._dir.path().join("spool-from-0");
    let text = format!("spool: {{ dir: {}, sync: never }}\n{SETTINGS}", dir.display());
    Config::parse(&text).unwrap().spool
}

thread_local! {
    static AUTHORITY: Authority = Authority::new();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_uncounted_whatever_answers(fates in fates()) {
        run(async move {
            let (agent, mut uplink) = AUTHORITY.with(|authority| prepare(&["127.0.0.1:9".parse().unwrap()], authority, 12, SETTINGS));
            let (mut world, mut measured, elsewhere) = (World::default(), 12, tempfile::tempdir().unwrap());
            // Long after all that is laid aside may go again, and hours apart.
            let mut now = agent.shared.clock.now() + Duration::from_secs(86_400);
            for (n, fate) in fates.iter().enumerate() {
                now = now + Duration::from_secs(7_200);
                match fate {
                    Fate::Killed => kill(&agent, &elsewhere.path().join(n.to_string())),
                    Fate::Measured => {
                        spool_as(&agent.shared, AgentId(0xa7), now);
                        measured += 1;
                    }
                    _ => drop(turn(&mut uplink, &mut world, *fate, now)),
                }
            }
            for _ in 0..200 {
                now = now + Duration::from_secs(7_200);
                if agent.shared.spool.borrow().is_empty() {
                    break;
                }
                // The backlog waits for a collector's word on its pace, which comes with the next report.
                if !turn(&mut uplink, &mut world, Fate::Taken, now) {
                    spool_as(&agent.shared, AgentId(0xa7), now);
                    measured += 1;
                }
            }
            let depth = agent.shared.spool.borrow().depth();
            assert_eq!(depth.frames, 0, "something never left: {fates:?}");
            let refused = u64::try_from(world.refused.difference(&world.stored.keys().copied().collect()).count()).unwrap();
            assert_eq!(u64::try_from(world.stored.len()).unwrap() + refused, measured, "lost without a word: {fates:?}");
            assert_eq!((depth.refused, depth.lost, depth.dropped), (u64::try_from(world.refused.len()).unwrap(), 0, 0), "{fates:?}");
        });
    }
}
