//! The whole agent in one process, without a collector: it measures, spools, drains, and goes on where it was.

use super::*;
use crate::clock::Clock;
use crate::spool::Spool;
use rusta_wire::{Frame, Outcome, Sequence, SeriesTable};
use tokio::net::TcpListener;
use tokio::task::LocalSet;

fn config(dir: &Path, port: u16) -> Config {
    let text = format!(
        "report: {{ every: 1s }}\nspool: {{ dir: {0}/spool }}\nstatus_socket: {0}/agent.sock\nlinks: [{{ name: gov, network: gov }}]\n\
         targets: [{{ name: port, link: gov, rung: gateway, every: 1s, timeout: 1s, tcp: {{ address: '127.0.0.1:{port}' }} }}]",
        dir.display()
    );
    Config::parse(&text).unwrap()
}

fn run(story: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    LocalSet::new().block_on(&runtime, async { tokio::time::timeout(Duration::from_secs(60), story).await.unwrap() });
}

/// Lets the agent live until its spool holds `batches`.
async fn live_until(agent: &mut Agent, batches: usize) {
    while agent.shared.spool.borrow().depth().frames < batches {
        let rest = agent.core.next_moment().since(agent.shared.clock.now());
        tokio::select! {
            () = tokio::time::sleep(rest) => agent.core.due(),
            finished = agent.core.round() => agent.core.append(finished),
        }
    }
}

#[test]
fn what_was_measured_is_on_disk_after_the_drain_and_numbers_go_on() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut agent = Agent::start(config(dir.path(), port), &HashMap::new()).unwrap();
        live_until(&mut agent, 3).await;
        let status = agent.status();
        assert_eq!(status.links[0].targets[0].outcome.as_deref(), Some("ok"));
        agent.drain(true).await;
        let next = agent.shared.spool.borrow().next_sequence();
        drop(agent);
        let clock = Clock::open(dir.path(), crate::flash::Flash::at_once());
        let mut spool = Spool::open(config(dir.path(), port).spool, clock.boot(), clock.now()).unwrap();
        let all = spool.oldest(u64::MAX, 100);
        let first = all[0].sequence.0;
        assert_eq!(u64::try_from(all.len()).unwrap(), next.0 - first);
        assert!(spool.next_sequence() >= next, "a number would be used twice");
        let (bytes, table) = spool.read(all[1]).unwrap();
        let table = spool.read_table(table).unwrap();
        let table = SeriesTable::decode(&Frame::read(&table).unwrap().0.payload).unwrap();
        let batch = rusta_wire::Batch::decode(&Frame::read(&bytes).unwrap().0.payload, &table).unwrap();
        assert!(batch.samples.iter().all(|s| s.outcome == Outcome::Ok));
        assert_eq!((batch.id.sequence, batch.id.boot), (Sequence(first + 1), clock.boot()));
    });
}

#[test]
fn an_assignment_that_cannot_be_read_changes_nothing_and_a_good_one_is_tried() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = Agent::start(config(dir.path(), 9), &HashMap::new()).unwrap();
        agent.heed(Event::Assigned { version: 5, yaml: "targets: [{ nam: x }]".into() });
        assert_eq!(agent.shared.watch.borrow().targets.len(), 1);
        assert!(!agent.shared.assignments.borrow().wants(5));
        let yaml = "targets: [{ name: county, link: gov, rung: pop, tcp: { address: '127.0.0.1:9' } }]";
        agent.heed(Event::Assigned { version: 6, yaml: yaml.into() });
        assert_eq!(agent.shared.watch.borrow().targets.len(), 2);
        {
            let assignments = agent.shared.assignments.borrow();
            let (good, trial, refused) = assignments.versions();
            assert_eq!((good, trial, refused.map(|r| r.version)), (None, Some(6), Some(5)));
            assert!(refused.is_some_and(|r| r.reason.contains("nam")), "{refused:?}");
        }
        agent.heed(Event::Acknowledged { connected: agent.shared.clock.now() });
        assert_eq!(agent.shared.assignments.borrow().versions().0, Some(6));
        agent.drain(false).await;
        drop(agent);
        let again = Agent::start(config(dir.path(), 9), &HashMap::new()).unwrap();
        assert_eq!(again.shared.watch.borrow().targets.len(), 2, "the good assignment outlives a restart");
    });
}

/// The fault this keeps out: a router that was not enrolled yet ended instead of measuring.
#[test]
fn an_agent_without_its_identity_measures_and_says_what_it_waits_for() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut config = config(dir.path(), 9);
        let urls = vec!["https://127.0.0.1:1".parse().unwrap()];
        config.collector = Some(Collector { urls, invitation: None, identity_dir: dir.path().join("none") });
        let mut agent = Agent::start(config, &HashMap::new()).unwrap();
        live_until(&mut agent, 1).await;
        assert!(agent.is_waiting() && !agent.found_missing());
        let error = agent.status().report.last_error.unwrap();
        assert!(error.contains("no identity") && error.contains("rusta-agent enroll"), "{error}");
        agent.drain(false).await;
    });
}

#[test]
fn an_assignment_whose_interface_is_not_there_waits_for_it_and_says_so() {
    run(async {
        let dir = tempfile::tempdir().unwrap();
        let mut agent = Agent::start(config(dir.path(), 9), &HashMap::new()).unwrap();
        let yaml = "links: [{ name: sat, network: nin, interface: nosuch0 }]";
        agent.heed(Event::Assigned { version: 7, yaml: yaml.into() });
        assert_eq!(agent.shared.watch.borrow().links.len(), 1);
        let status = agent.status();
        assert_eq!((status.assignment.failed, status.assignment.on_trial), (Some(7), None));
        assert!(status.assignment.reason.unwrap().contains("unknown interface `nosuch0`"));
        assert!(agent.is_waiting());
        // The modem has come up.
        agent.too_early.as_mut().unwrap().yaml = yaml.replace("nosuch0", "lo");
        assert!(!agent.found_missing());
        assert_eq!(agent.status().assignment.on_trial, Some(7));
        agent.drain(false).await;
    });
}
