use super::*;
use proptest::prelude::*;

fn way(link: usize, url: usize, cost: Cost) -> Candidate {
    Candidate { id: Id { link: Some(link), url }, line: Some(link), cost, room: Room::Reports }
}

/// The ways tried one after the other, as (link, url), when each fails as given.
fn tried_after(ways: &[Candidate], silent: &[bool]) -> Vec<(usize, usize)> {
    let mut chooser = Chooser::default();
    let mut tried = Vec::new();
    for is_silent in silent {
        let Some(way) = chooser.first(ways) else { break };
        tried.push((way.id.link.unwrap(), way.id.url));
        chooser.failed(way, *is_silent, true, MonoMs(0), 7);
    }
    assert!(tried.len() < ways.len() || chooser.first(ways).is_none(), "each is tried once before the wait");
    tried
}

/// A site of class A has 45 s from the cut to the alert: no second URL of a line that is cut may stand in between.
#[test]
fn after_a_silence_another_link_comes_before_another_url() {
    let ways: Vec<Candidate> = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(link, url)| way(link, url, Cost::Unmetered)).into();
    assert_eq!(tried_after(&ways, &[true; 5]), [(0, 0), (1, 0), (0, 1), (1, 1)]);
    assert_eq!(tried_after(&ways, &[false; 5]), [(0, 0), (0, 1), (1, 0), (1, 1)]);
    assert_eq!(tried_after(&ways, &[false, true, false, false]), [(0, 0), (0, 1), (1, 0), (1, 1)]);
}

#[test]
fn the_cheapest_way_comes_first_and_a_spent_one_not_at_all() {
    let mut ways = vec![way(0, 0, Cost::LastResort), way(1, 0, Cost::Cheap), way(2, 0, Cost::Unmetered)];
    assert_eq!(tried_after(&ways, &[false; 4]), [(2, 0), (1, 0), (0, 0)]);
    ways[1].room = Room::Nothing;
    ways[2].room = Room::Heartbeat;
    assert_eq!(tried_after(&ways, &[false; 4]), [(0, 0), (2, 0)], "a heartbeat may go where nothing else does");
}

/// After one fault of the first collector every agent stayed with the second for good.
#[test]
fn the_first_collector_is_gone_back_to_where_nobody_counts_bytes() {
    for (cost, expected) in [(Cost::Unmetered, Some(0)), (Cost::Cheap, None), (Cost::LastResort, None)] {
        let ways = [way(0, 0, cost), way(0, 1, cost), way(1, 1, cost)];
        let mut chooser = Chooser::default();
        chooser.opened(ways[0], MonoMs(0));
        chooser.failed(ways[0], false, true, MonoMs(0), 0);
        let second = chooser.first(&ways).unwrap();
        assert_eq!(second.id.url, 1);
        chooser.opened(second, MonoMs(0));
        chooser.answered();
        assert_eq!(chooser.better(&ways, second.id, MonoMs(4_999)), None, "it rests first");
        assert_eq!(chooser.better(&ways, second.id, MonoMs(5_000)).map(|way| way.id.url), expected, "{cost:?}");
    }
}

#[test]
fn a_reset_of_seconds_costs_seconds_and_a_line_that_keeps_breaking_minutes() {
    let ways = [way(0, 0, Cost::Unmetered), way(1, 0, Cost::LastResort)];
    let mut chooser = Chooser::default();
    let mut now = MonoMs(0);
    let mut rests = Vec::new();
    for _ in 0..8 {
        chooser.opened(ways[0], now);
        chooser.failed(ways[0], false, true, now, 0);
        assert_eq!(chooser.first(&ways), Some(ways[1]));
        let back = chooser.better_at(&ways, ways[1].id).unwrap();
        assert_eq!((chooser.better(&ways, ways[1].id, MonoMs(back.0 - 1)), chooser.better(&ways, ways[1].id, back)), (None, Some(ways[0])));
        rests.push(back.since(now).as_secs());
        now = back;
        chooser.answered();
    }
    assert_eq!(rests, [5, 60, 120, 240, 480, 480, 480, 480]);
    chooser.opened(ways[0], now);
    chooser.failed(ways[0], false, true, now + STEADY, 0);
    assert_eq!(chooser.better_at(&ways, ways[1].id), Some(now + STEADY + REST_FIRST), "a steady line is believed again");
}

#[test]
fn the_routing_tables_way_rests_with_the_line_it_leaves_by() {
    let table = Candidate { id: Id { link: None, url: 0 }, ..way(0, 0, Cost::Unmetered) };
    let ways = [way(0, 0, Cost::Unmetered), way(1, 0, Cost::LastResort), table];
    let mut chooser = Chooser::default();
    chooser.failed(ways[0], true, false, MonoMs(0), 0);
    assert_eq!(chooser.better(&ways, ways[1].id, MonoMs(4_999)), None);
    assert_eq!(chooser.better(&ways, ways[1].id, MonoMs(5_000)), Some(ways[0]));
}

/// What a random world does to one line.
#[derive(Debug, Clone, Copy)]
struct Line {
    cost: Cost,
    works: bool,
    /// A line that does not work is silent rather than refused.
    silent: bool,
    spent: bool,
}

fn a_line() -> impl Strategy<Value = Line> {
    let cost = prop_oneof![Just(Cost::Unmetered), Just(Cost::Cheap), Just(Cost::LastResort)];
    (cost, any::<bool>(), any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(cost, works, silent, spent)| Line {
        cost,
        works,
        silent,
        spent,
    })
}

/// How long an attempt takes that nobody answers; the wait after all failed; between reports.
const ATTEMPT_MS: u64 = 20_000;
const WAIT_MS: u64 = 300_000;
const REPORT_MS: u64 = 60_000;

proptest! {
    /// Whatever was before: while one way works the agent is heard after at most one wait and one attempt at every way, and what
    /// costs more is left within the stated bound.
    #[test]
    fn an_agent_is_heard_by_what_works_and_leaves_what_costs_more(
        lines in prop::collection::vec(a_line(), 1..4),
        changes in prop::collection::vec((0usize..4, a_line(), 1u64..1_500_000), 0..40),
        urls in 1usize..3,
        draws in prop::collection::vec(any::<u64>(), 16),
    ) {
        let mut world = lines;
        let mut chooser = Chooser::default();
        let mut now = 0u64;
        let mut in_use: Option<Id> = None;
        let mut draws = draws.into_iter().cycle();
        let (mut silent_since, mut costly_since) = (0u64, 0u64);
        let mut changes = changes.into_iter();
        let mut next_change = 0u64;
        let attempts = (world.len() * urls) as u64;
        // The last change is followed by an hour in which nothing changes.
        let mut end = None;
        while end.is_none_or(|end| now < end) {
            if now >= next_change {
                match changes.next() {
                    Some((place, mut line, lasts)) => {
                        let place = place % world.len();
                        // What a line costs is written in the file.
                        line.cost = world[place].cost;
                        world[place] = line;
                        next_change = now + lasts;
                        (silent_since, costly_since) = (now, now);
                    }
                    None => (next_change, end) = (u64::MAX, Some(now + 3_600_000)),
                }
            }
            let ways: Vec<Candidate> = (0..world.len()).flat_map(|link| (0..urls).map(move |url| (link, url))).map(|(link, url)| {
                let Line { cost, spent, .. } = world[link];
                Candidate { room: if spent { Room::Nothing } else { Room::Reports }, ..way(link, url, cost) }
            }).collect();
            let line_of = |id: Id| world[id.link.unwrap()];
            let usable = |line: &Line| line.works && !line.spent;
            let find = |id: Id| *ways.iter().find(|way| way.id == id).unwrap();
            if let Some(id) = in_use.filter(|id| line_of(*id).spent) {
                chooser.left(find(id));
                in_use = None;
            }
            match in_use {
                Some(id) if line_of(id).works => {
                    chooser.answered();
                    silent_since = now;
                    let best = world.iter().filter(|line| usable(line)).map(|line| line.cost).min().unwrap();
                    if line_of(id).cost <= best {
                        costly_since = now;
                    }
                    let most = u64::try_from(BROKEN_REST_MOST.as_millis()).unwrap() + attempts * (ATTEMPT_MS + REPORT_MS);
                    prop_assert!(now - costly_since <= most, "{} ms on {:?} in {world:?}", now - costly_since, line_of(id));
                    if let Some(better) = chooser.better(&ways, id, MonoMs(now)) {
                        if usable(&line_of(better.id)) {
                            chooser.left(find(id));
                            chooser.opened(better, MonoMs(now));
                            in_use = Some(better.id);
                        } else {
                            chooser.failed(better, line_of(better.id).silent, false, MonoMs(now), draws.next().unwrap());
                        }
                    }
                    now += chooser.better_at(&ways, in_use.unwrap()).map_or(REPORT_MS, |at| at.0.saturating_sub(now).clamp(1_000, REPORT_MS));
                }
                Some(id) => {
                    now += if line_of(id).silent { ATTEMPT_MS } else { 10 };
                    chooser.failed(find(id), line_of(id).silent, true, MonoMs(now), draws.next().unwrap());
                    in_use = None;
                }
                None => match chooser.first(&ways) {
                    Some(way) if line_of(way.id).works => {
                        chooser.opened(way, MonoMs(now));
                        in_use = Some(way.id);
                        now += 500;
                    }
                    Some(way) => {
                        now += if line_of(way.id).silent { ATTEMPT_MS } else { 10 };
                        chooser.failed(way, line_of(way.id).silent, true, MonoMs(now), draws.next().unwrap());
                    }
                    None => {
                        chooser.all_failed();
                        now += WAIT_MS;
                    }
                },
            }
            if world.iter().any(usable) {
                let most = WAIT_MS + (attempts + 1) * (ATTEMPT_MS + 500);
                prop_assert!(now - silent_since <= most + REPORT_MS, "silent for {} ms in {world:?}", now - silent_since);
            } else {
                (silent_since, costly_since) = (now, now);
            }
        }
    }
}
