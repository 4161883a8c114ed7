//! The core loop's three verbs: what is due, its measurement, its place in the open batch.
//!
//! One [`Core`] lives as long as one watch. It owns time, retries and admission; probes own nothing but their round.

use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use rusta_wire::{AgentId, BatchId, Metric, MonoMs, Outcome, ProbeKind, Reason, Rung, TableId, Verdict};
use tokio::task::{JoinError, JoinSet};

use crate::config::{Target, Watch};
use crate::data_plan::{self, Spending};
use crate::probe::{Measurement, Prober};
use crate::sample::{OWN_EVERY, Recorder};
use crate::schedule::{CLOSEST, Pace, Schedule, Standing};
use crate::shared::Shared;
use crate::{health, ladder};

/// The first report after a start leaves this soon: somebody is waiting to see the site appear.
const FIRST_REPORT: Duration = Duration::from_secs(10);

/// Reports for changes of state are at least this far apart: a flapping link must not cost a report a flap.
const CHANGE_SPACING: Duration = Duration::from_secs(2);

/// How often data plans and the assignment's trial are looked at.
const HOUSEKEEPING: Duration = Duration::from_secs(60);

/// Rounds that are due within this time start together, so that one awakening serves them all.
const GRAIN_MS: u64 = 10;

/// Rounds begin at moments so many seconds apart, so that one awakening serves several: the caches of a processor that slept
/// are cold, and the bare system calls of fifteen rounds take a third of the time in one awakening that they take in ten.
/// Each divides the usual intervals.
const APART_S: [u64; 4] = [10, 5, 2, 1];

/// Rounds that may begin at one moment when all are run every ten seconds: more would wait for each other on a slow line.
const AT_ONCE: u64 = 16;

/// Names that differ in one letter have hashes that differ in a few bits; what is left of them by this depends on all.
const A_PRIME: u64 = 999_983;

/// Rounds in flight at once: the ICMP socket's buffer holds the answers of this many.
const ROUNDS_MOST: usize = 256;

/// `ups_source` of a UPS that runs on its battery (RFC 1628).
const ON_BATTERY: i64 = 5;

/// Everything that measures one watch.
pub struct Core {
    shared: Rc<Shared>,
    prober: Rc<Prober>,
    watch: Rc<Watch>,
    agent: AgentId,
    schedule: Schedule,
    recorder: Recorder,
    rounds: JoinSet<Finished>,
    /// By target: whether it is its link's nearest anchor.
    nearest: Vec<bool>,
    /// By target: the last round's outcome.
    outcomes: Vec<Option<Outcome>>,
    /// By target: the most bytes one of its rounds moved.
    largest: Vec<u64>,
    report_every: Duration,
    report_due: MonoMs,
    reported: MonoMs,
    reason: Reason,
    own_due: MonoMs,
    housekeeping_due: MonoMs,
    on_battery: bool,
}

/// The end of one round.
pub struct Finished {
    target: usize,
    at: MonoMs,
    measurement: Measurement,
}

impl Core {
    /// Starts measuring a watch.
    pub fn start(shared: Rc<Shared>, prober: Rc<Prober>, watch: Rc<Watch>, agent: AgentId, report_every: Duration) -> Core {
        let now = shared.clock.now();
        let nearest = nearest_anchors(&watch);
        let paces: Vec<Pace> = watch.targets.iter().zip(&nearest).map(|(t, near)| pace(&watch, t, *near, agent)).collect();
        let intervals: Vec<Duration> = paces.iter().map(|p| p.quiet).collect();
        Core {
            schedule: Schedule::start(paces, watch.links.len(), now),
            recorder: Recorder::start(&watch, &intervals, now),
            rounds: JoinSet::new(),
            outcomes: vec![None; watch.targets.len()],
            largest: vec![0; watch.targets.len()],
            nearest,
            report_every,
            report_due: now + FIRST_REPORT.min(report_every),
            reported: now,
            reason: Reason::Interval,
            own_due: now + Duration::from_secs(2),
            housekeeping_due: now,
            on_battery: false,
            shared,
            prober,
            watch,
            agent,
        }
    }

    /// Goes on behind an earlier core: a target of the same name keeps its distance from its last round there.
    pub fn follow(mut self, begun: &HashMap<String, MonoMs>) -> Core {
        for (place, target) in self.watch.targets.iter().enumerate() {
            if let Some(begun) = begun.get(&target.name) {
                self.schedule.remember(place, *begun);
            }
        }
        self
    }

    /// Returns when each target's last round began.
    pub fn begun(&self) -> HashMap<String, MonoMs> {
        let begun = |(place, target): (usize, &Target)| Some((target.name.clone(), self.schedule.begun(place)?));
        self.watch.targets.iter().enumerate().filter_map(begun).collect()
    }

    /// Returns when something is due next, rounded up to a whole [`GRAIN_MS`].
    pub fn next_moment(&self) -> MonoMs {
        let round = if self.rounds.len() < ROUNDS_MOST { self.schedule.next_due() } else { None };
        let next = [round, Some(self.report_due), Some(self.own_due), Some(self.housekeeping_due)].into_iter().flatten().min();
        MonoMs(next.unwrap_or_default().0.div_ceil(GRAIN_MS).saturating_mul(GRAIN_MS))
    }

    /// Starts every round that is due, and reports if that is due.
    pub fn due(&mut self) {
        let now = self.shared.clock.now();
        if now >= self.housekeeping_due {
            self.housekeeping_due = now + HOUSEKEEPING;
            self.keep_plans();
        }
        for (target, at) in self.schedule.take_due(now, ROUNDS_MOST.saturating_sub(self.rounds.len())) {
            if self.admit(target) {
                self.measure(target, at);
            } else {
                self.skip(target, at, now);
            }
        }
        if now >= self.own_due {
            self.own_due = now + OWN_EVERY;
            self.append_own(now);
        }
        if now >= self.report_due || self.recorder.is_full() {
            self.report(self.reason);
        }
    }

    /// Waits for the next round to end; for ever if none is in flight.
    pub async fn round(&mut self) -> Finished {
        loop {
            match self.rounds.join_next().await {
                Some(ended) => {
                    if let Some(finished) = finished(ended) {
                        return finished;
                    }
                }
                None => std::future::pending().await,
            }
        }
    }

    /// Takes in the end of a round, and of every other one that has ended meanwhile.
    pub fn append_all(&mut self, first: Finished) {
        self.append(first);
        while let Some(ended) = self.rounds.try_join_next() {
            if let Some(finished) = finished(ended) {
                self.append(finished);
            }
        }
    }

    /// Takes in the end of a round.
    pub fn append(&mut self, finished: Finished) {
        let Finished { target, at, measurement } = finished;
        let now = self.shared.clock.now();
        let link = self.watch.targets[target].link;
        if let Some(plan) = self.shared.plans.borrow_mut().get_mut(link).and_then(Option::as_mut) {
            plan.ended(self.most_bytes(target));
        }
        self.largest[target] = self.largest[target].max(measurement.bytes);
        self.shared.spent(Some(link), measurement.bytes);
        self.recorder.append(target, at, &measurement);
        let before = self.outcomes[target].replace(measurement.outcome).map(Outcome::verdict);
        if before == Some(Verdict::Failure) && measurement.outcome.verdict() == Verdict::Success {
            self.shared.link_back.notify_one();
        }
        let standing = self.schedule.standing(target);
        if self.schedule.finished(target, at, now, measurement.outcome) {
            self.hurry(now);
        }
        if self.schedule.standing(target) != standing {
            let holds = self.schedule.standing(target) == Standing::Holds;
            tracing::info!(target = %self.watch.targets[target].name, holds, outcome = %measurement.outcome, "a target has changed");
        }
        self.watch_sim(target, &measurement, now);
        self.watch_power(&measurement);
    }

    /// Closes the open batch and hands it to the spool.
    pub fn report(&mut self, reason: Reason) {
        let now = self.shared.clock.now();
        let urgent = matches!(reason, Reason::Shutdown | Reason::PowerLoss);
        let sequence = self.shared.spool.borrow().next_sequence();
        let id = BatchId { agent: self.agent, boot: self.shared.clock.boot(), sequence };
        let batch = self.recorder.close(id, now, self.shared.clock.believed(), reason);
        let offered = self.shared.contact.borrow().connected;
        let mut spool = self.shared.spool.borrow_mut();
        if let Err(error) = spool.append(batch, self.recorder.table(), offered) {
            tracing::error!(%error, "a batch could not be written and is lost");
        }
        spool.sync(now, urgent);
        drop(spool);
        self.reported = now;
        self.reason = Reason::Interval;
        self.report_due = next_report(now, self.report_every * self.report_factor(), self.agent);
        self.shared.wake.notify_one();
    }

    /// Gives the present standing of a link's own targets.
    pub fn standings(&self, link: usize) -> Vec<(Rung, Standing)> {
        let own = |(_, t): &(usize, &Target)| t.link == link && t.towards.is_empty();
        self.watch.targets.iter().enumerate().filter(own).map(|(place, t)| (t.rung, self.schedule.standing(place))).collect()
    }

    /// Gives a target's standing and its last outcome.
    pub fn target(&self, target: usize) -> (Standing, Option<Outcome>) {
        (self.schedule.standing(target), self.outcomes.get(target).copied().flatten())
    }

    fn measure(&mut self, target: usize, at: MonoMs) {
        let (prober, watch) = (self.prober.clone(), self.watch.clone());
        let reserving = self.shared.save_plans(false).then(|| self.shared.clone());
        self.rounds.spawn_local(async move {
            let at = match reserving {
                Some(shared) => {
                    Box::pin(shared.flash.settled()).await;
                    shared.clock.now()
                }
                None => at,
            };
            let Target { probe, link, timeout, .. } = &watch.targets[target];
            let measurement = prober.measure(probe, &watch.links[*link].way, *timeout).await;
            Finished { target, at, measurement }
        });
    }

    fn skip(&mut self, target: usize, at: MonoMs, now: MonoMs) {
        // A test that was postponed is told; a round the plan does not allow is silence, which costs nothing to send.
        if self.watch.targets[target].probe.kind() == ProbeKind::Throughput {
            self.recorder.append(target, at, &Measurement::failed(Outcome::NotRun));
        }
        self.schedule.finished(target, at, now, Outcome::NotRun);
    }

    fn admit(&self, target: usize) -> bool {
        let Target { link, probe, .. } = &self.watch.targets[target];
        let mut plans = self.shared.plans.borrow_mut();
        let Some(plan) = plans.get_mut(*link).and_then(Option::as_mut) else { return true };
        let spending = match probe.kind() {
            ProbeKind::Throughput => Spending::Throughput,
            _ => Spending::Round { nearest: self.nearest[target] },
        };
        let most = self.most_bytes(target);
        let allowed = plan.allows(spending, most);
        if allowed {
            plan.begun(most);
        }
        allowed
    }

    /// Returns what a round may move: as much as any of this target has, at least what its probe says.
    fn most_bytes(&self, target: usize) -> u64 {
        self.largest[target].max(self.watch.targets[target].probe.estimated_bytes())
    }

    /// A change of state leaves at once, but for the spacing.
    fn hurry(&mut self, now: MonoMs) {
        self.reason = Reason::StateChange;
        self.report_due = self.report_due.min((self.reported + CHANGE_SPACING).max(now));
    }

    /// Last gasp: the UPS has gone to battery, so the power may go any moment.
    fn watch_power(&mut self, measurement: &Measurement) {
        let Some(source) = measurement.value(Metric::UpsSource) else { return };
        let on_battery = source == ON_BATTERY;
        if on_battery && !self.on_battery {
            self.report(Reason::PowerLoss);
        }
        self.on_battery = on_battery;
    }

    /// Another SIM is told at once.
    fn watch_sim(&mut self, target: usize, measurement: &Measurement, now: MonoMs) {
        let card = measurement.value(Metric::SimId).and_then(|card| u32::try_from(card).ok());
        if card.is_some() {
            // What was moved until now was the card's before.
            self.count_interface(self.watch.targets[target].link);
        }
        if card.is_some_and(|card| self.shared.card_seen(self.watch.targets[target].link, card)) {
            self.own_due = now;
            self.hurry(now);
        }
    }

    fn append_own(&mut self, now: MonoMs) {
        let depth = self.shared.spool.borrow().depth();
        for link in 0..self.watch.links.len() {
            let mut values = Vec::new();
            values.extend(ladder::lowest_broken(&self.standings(link)).map(|rung| (Metric::BrokenRung, i64::from(rung.code()))));
            if let Some(plan) = self.shared.plans.borrow().get(link).and_then(Option::as_ref) {
                let usage = plan.usage();
                let kib = |bytes: u64| i64::try_from(bytes >> 10).unwrap_or(i64::MAX);
                values.push((Metric::PlanUsedKib, kib(usage.used_bytes)));
                values.push((Metric::PlanOwnKib, kib(usage.own_bytes)));
                values.push((Metric::PlanLimitKib, kib(usage.limit_bytes)));
                values.push((Metric::PlanStage, i64::from(usage.stage)));
            }
            values.extend(i64::try_from(self.shared.sim(link).1).ok().filter(|n| *n > 0).map(|n| (Metric::SimSwaps, n)));
            // What concerns the whole agent is told once, with its first link.
            if link == 0 {
                values.push((Metric::SpoolBytes, i64::try_from(depth.bytes).unwrap_or(i64::MAX)));
                values.push((Metric::SpoolFrames, i64::try_from(depth.frames).unwrap_or(i64::MAX)));
                values.extend(i64::try_from(depth.refused).ok().filter(|n| *n > 0).map(|n| (Metric::BatchesRefused, n)));
                values.extend(health::cpu_ms().map(|ms| (Metric::AgentCpuMs, ms)));
                values.extend(health::rss_kib().map(|kib| (Metric::AgentRssKib, kib)));
            }
            self.recorder.append_own(link, now, &values);
        }
    }

    fn keep_plans(&mut self) {
        let (clock, now) = (self.shared.clock.believed(), self.shared.clock.now());
        // What was moved until a cycle ended belongs to it.
        (0..self.watch.links.len()).for_each(|link| self.count_interface(link));
        for (link, plan) in self.shared.plans.borrow_mut().iter_mut().enumerate() {
            let Some(plan) = plan else { continue };
            plan.advance(&clock, now);
            self.schedule.slow_down(link, plan.round_factor());
        }
        self.shared.save_plans(false);
    }

    fn count_interface(&self, link: usize) {
        let mut plans = self.shared.plans.borrow_mut();
        let Some(plan) = plans.get_mut(link).and_then(Option::as_mut) else { return };
        if let Some(reading) = self.watch.links[link].way.interface_name().as_deref().and_then(data_plan::read) {
            plan.counted(reading);
        }
    }

    /// Reports are as rare as the tightest plan wants them, if no link without a plan could carry them.
    fn report_factor(&self) -> u32 {
        let plans = self.shared.plans.borrow();
        plans.iter().map(|plan| plan.as_ref().map_or(1, data_plan::DataPlan::report_factor)).min().unwrap_or(1)
    }
}

/// A round that panicked is a fault of this program; its target stays marked as running and says nothing more.
fn finished(ended: Result<Finished, JoinError>) -> Option<Finished> {
    ended.map_err(|error| tracing::error!(%error, "a round failed")).ok()
}

/// The grid of reports has this agent's own phase, so that a fleet's reports are spread over the interval.
fn next_report(now: MonoMs, every: Duration, agent: AgentId) -> MonoMs {
    let every = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
    let phase = agent.0 % every;
    let after = now.0.saturating_sub(phase) / every + 1;
    let due = MonoMs(after.saturating_mul(every).saturating_add(phase));
    // A report a moment ago need not be followed at once.
    if due.since(now) < Duration::from_millis(every / 4) { MonoMs(due.0.saturating_add(every)) } else { due }
}

/// Finds each link's nearest anchors: its own targets on the lowest anchor rung it has.
fn nearest_anchors(watch: &Watch) -> Vec<bool> {
    let anchors = |t: &&Target| t.towards.is_empty() && t.rung.is_anchor_of(watch.links[t.link].network);
    let lowest = |link: usize| watch.targets.iter().filter(anchors).filter(|t| t.link == link).map(|t| t.rung).min();
    let by_link: Vec<Option<Rung>> = (0..watch.links.len()).map(lowest).collect();
    watch.targets.iter().map(|t| anchors(&t) && by_link[t.link] == Some(t.rung)).collect()
}

fn pace(watch: &Watch, target: &Target, nearest: bool, agent: AgentId) -> Pace {
    let link = &watch.links[target.link];
    let quiet = if link.metered && !nearest { target.every.max(link.quiet) } else { target.every };
    // The moments are this agent's own: a fleet must not call the same service at once.
    let targets = u64::try_from(watch.targets.len()).unwrap_or(u64::MAX);
    let apart = 1_000 * APART_S.into_iter().find(|apart| targets.saturating_mul(*apart) <= 10 * AT_ONCE).unwrap_or(1);
    let hash = |text: String| TableId::of(text.as_bytes()).0;
    let splay = hash(format!("{agent}/{}", target.name)) % A_PRIME * apart + hash(agent.to_string()) % apart;
    // A round that moves megabytes or buys something is not repeated to be surer.
    let has_price = matches!(target.probe.kind(), ProbeKind::Throughput | ProbeKind::Ussd);
    let closest = if has_price { target.every } else { target.every.min(CLOSEST) };
    Pace { link: target.link, every: target.every, quiet, closest, splay }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_lowest_anchor_of_a_link_is_its_nearest() {
        let text = r#"
links: [{ name: apn0, network: apn, metered: true }, { name: gov, network: gov }]
targets:
  - { name: far, link: apn0, rung: pop, tcp: { address: "10.2.0.1:443" } }
  - { name: near, link: apn0, rung: gateway, tcp: { address: "10.1.0.1:443" } }
  - { name: other, link: apn0, towards: V-1, rung: gateway, tcp: { address: "10.1.0.1:443" } }
  - { name: gov, link: gov, rung: core, tcp: { address: "10.3.0.1:443" } }
"#;
        let watch = Config::parse(text).unwrap().watch();
        assert_eq!(nearest_anchors(&watch), [false, true, false, true]);
        let quiet: Vec<u64> =
            watch.targets.iter().zip(nearest_anchors(&watch)).map(|(t, n)| pace(&watch, t, n, AgentId(1)).quiet.as_secs()).collect();
        assert_eq!(quiet, [900, 60, 900, 60]);
    }

    fn moments_of(agent: u64, targets: usize) -> std::collections::BTreeSet<u64> {
        let mut text = String::from("links: [{ name: gov, network: gov }]\ntargets:\n");
        for n in 0..targets {
            text += &format!("  - {{ name: t{n}, link: gov, rung: core, every: 10s, tcp: {{ address: '10.3.0.1:{}' }} }}\n", n + 1);
        }
        let watch = Config::parse(&text).unwrap().watch();
        watch.targets.iter().map(|t| pace(&watch, t, false, AgentId(agent)).splay % 10_000).collect()
    }

    #[test]
    fn a_village_wakes_seldom_and_neither_a_crowd_nor_a_fleet_begins_at_once() {
        assert_eq!([15, 30, 60].map(|targets| moments_of(1, targets).len()), [1, 2, 5]);
        assert_eq!(moments_of(1, 500).len(), 10);
        let fleet: std::collections::BTreeSet<u64> = (0..100).flat_map(|agent| moments_of(agent, 15)).collect();
        assert!(fleet.len() > 75, "{} moments of 100", fleet.len());
    }

    /// What a report on a kept connection costs besides its frame: three packets' IP and TCP headers, two TLS records, four
    /// HTTP/2 frame headers with five bytes of request head, and an answer of 26 bytes.
    const REPORT_OVERHEAD: usize = 3 * 52 + 2 * 22 + 4 * 9 + 5 + 26;

    /// A round of a target whose answers come after 30 to 60 ms.
    fn some_round(probe: &crate::probe::Probe, random: &mut u64) -> Measurement {
        let mut value = |metric: &Metric| {
            *random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            let delay = i64::try_from(30_000 + (*random >> 33) % 30_000).unwrap();
            (*metric, if metric.info().unit == "us" { delay } else { 5 })
        };
        Measurement { outcome: Outcome::Ok, values: probe.metrics().iter().map(&mut value).collect(), parts: Vec::new(), bytes: 0 }
    }

    /// The example's metered profile on a quiet link, in simulated time: every report is encoded as it leaves.
    #[test]
    fn a_quiet_month_of_the_example_fits_its_share() {
        const MONTH_MS: u64 = 30 * 86_400_000;
        let config = Config::parse(include_str!("../../configs/agent.yaml")).unwrap();
        let (watch, every) = (config.watch(), config.report.every);
        let nearest = nearest_anchors(&watch);
        let paces: Vec<Pace> = watch.targets.iter().zip(&nearest).map(|(t, near)| pace(&watch, t, *near, AgentId(7))).collect();
        let intervals: Vec<Duration> = paces.iter().map(|p| p.quiet).collect();
        let mut schedule = Schedule::start(paces, 1, MonoMs(0));
        let mut recorder = Recorder::start(&watch, &intervals, MonoMs(0));
        let clock = rusta_wire::Clock {
            unix: rusta_wire::UnixMs(1_795_000_000_000),
            source: rusta_wire::ClockSource::Collector,
            uncertainty_ms: 40,
        };
        let (mut probes, mut reports, mut report_due, mut random) = (0, 0, MonoMs(0) + every, 1);
        while let Some(now) = schedule.next_due().filter(|due| due.0 < MONTH_MS) {
            while report_due <= now {
                let id = BatchId { agent: AgentId(7), boot: rusta_wire::BootId(9), sequence: rusta_wire::Sequence(report_due.0) };
                let batch = recorder.close(id, report_due, clock, Reason::Interval);
                let frame = rusta_wire::frame::HEADER_BYTES + batch.encode_dense(recorder.table()).unwrap().len();
                reports += u64::try_from(frame + REPORT_OVERHEAD).unwrap();
                report_due = report_due + every;
            }
            for (target, at) in schedule.take_due(now, usize::MAX) {
                let probe = &watch.targets[target].probe;
                probes += probe.estimated_bytes();
                recorder.append(target, at, &some_round(probe, &mut random));
                schedule.finished(target, at, now, Outcome::Ok);
            }
        }
        println!("{{\"figure\":\"metered_month\",\"report_bytes\":{reports},\"probe_bytes\":{probes}}}");
        let share = watch.links[0].plan.unwrap().own_bytes;
        assert!(reports <= 9_000_000, "{reports} bytes of reports");
        assert!(reports + probes <= share, "{reports} + {probes} bytes of {share}");
        assert!(reports + probes > share / 4, "{reports} + {probes} bytes: the estimates have lost their meaning");
    }

    #[test]
    fn reports_of_a_fleet_are_spread_over_the_interval() {
        let minute = Duration::from_secs(60);
        let phases: std::collections::HashSet<u64> = (0..60u64)
            .map(|n| next_report(MonoMs(1_000_000), minute, AgentId(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).0 / 1000 % 60)
            .collect();
        assert!(phases.len() > 25);
        let due = next_report(MonoMs(1_000_000), minute, AgentId(5));
        assert_eq!(next_report(due, minute, AgentId(5)).0 - due.0, 60_000);
    }
}
