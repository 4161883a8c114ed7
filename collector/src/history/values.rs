//! What a site's rounds measured, five minutes at a time: packets, distributions, quality, services, the data plan.
//!
//! A day's figures are the sums of its slots, so a chart of an hour and the KPI of a month cannot disagree.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use rusta_wire::{Metric, Rung, Series, UnixMs, Verdict};

use super::histogram::Histogram;
use super::packets::{Kept, Packet};
use super::sighting::{Sighted, Watch};
use super::span::{Span, at};
use crate::engine::LinkState;
use crate::engine::machine::{Anchors, Slot};
use crate::engine::sight;

/// Length of a slot.
pub const SLOT_MS: i64 = 300_000;

/// A slot of a day, counted from its start.
pub type Place = u16;

/// What a link's rounds measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Values {
    /// Packets of its anchors sent and received while it was not down.
    pub packets: (u64, u64),
    /// Round trips of anchors' packets, microseconds.
    pub rtt_us: Histogram,
    /// The same over the least of each target's slot (RFC 5481), where the slot holds two packets of it or more.
    pub pdv_us: Histogram,
    /// Slots with at least ten rounds of anchors, down or not, and of those the ones of good quality.
    pub quality: (u64, u64),
    /// Distributions.
    pub histograms: BTreeMap<Metric, Histogram>,
}

/// Rounds of one service target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rounds {
    /// Rounds that said anything.
    pub attempts: u64,
    /// Of those, successes.
    pub successes: u64,
    /// Rounds made while the target's link carried traffic.
    pub attempts_while_up: u64,
    /// Of those, successes.
    pub successes_while_up: u64,
    /// Microseconds all phases of a success took.
    pub latency_us: Histogram,
}

/// What a data plan had used when it was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanUse {
    /// When it was read.
    pub at: UnixMs,
    /// Bytes the interface moved in this billing cycle, KiB.
    pub used_kib: u64,
    /// Of those, the agent's own, KiB.
    pub own_kib: u64,
    /// The plan's size, KiB.
    pub limit_kib: u64,
}

impl Values {
    /// Adds what was measured in another stretch.
    pub fn add(&mut self, other: &Values) {
        self.packets = (self.packets.0.saturating_add(other.packets.0), self.packets.1.saturating_add(other.packets.1));
        self.quality = (self.quality.0 + other.quality.0, self.quality.1 + other.quality.1);
        self.rtt_us.merge(&other.rtt_us);
        self.pdv_us.merge(&other.pdv_us);
        for (metric, histogram) in &other.histograms {
            self.histograms.entry(*metric).or_default().merge(histogram);
        }
    }
}

impl Rounds {
    /// Adds other rounds.
    pub fn add(&mut self, other: &Rounds) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.successes = self.successes.saturating_add(other.successes);
        self.attempts_while_up = self.attempts_while_up.saturating_add(other.attempts_while_up);
        self.successes_while_up = self.successes_while_up.saturating_add(other.successes_while_up);
        self.latency_us.merge(&other.latency_us);
    }
}

/// Returns the slot of a time, counted from `from`; what lies before it is in the first.
pub(super) fn place(from: UnixMs, at: UnixMs) -> Place {
    Place::try_from((at.0 - from.0).max(0) / SLOT_MS).unwrap_or(Place::MAX)
}

/// Gauges counted from anchors' rounds.
const OF_ANCHORS: &[Metric] = &[Metric::RttUsP50, Metric::PdvUsP95, Metric::IpdvUsMean];

/// Gauges counted from devices and tests, with the range outside of which a reading is a fault of the reader (TS 36.133;
/// tenths of a decibel for RSRQ and SINR).
const OF_DEVICES: &[(Metric, i64, i64)] = &[
    (Metric::RsrpDbm, -140, -44),
    (Metric::RsrqCb, -340, 30),
    (Metric::SinrCb, -200, 300),
    (Metric::Rat, 0, 5),
    (Metric::DownloadBps, 0, i64::MAX),
    (Metric::UploadBps, 0, i64::MAX),
];

/// Tells whether the values of a metric are kept by day.
pub fn has_daily_values(metric: Metric) -> bool {
    OF_ANCHORS.contains(&metric) || OF_DEVICES.iter().any(|(kept, ..)| *kept == metric)
}

/// One slot while it is counted.
#[derive(Default)]
struct Counting {
    values: Values,
    /// Packets sent and received, down or not.
    tried: (u64, u64),
    /// Rounds of anchors that said anything.
    rounds: u64,
    /// Round trips by the number of the watch.
    packets: BTreeMap<usize, Vec<Packet>>,
}

/// Where the samples of a series keep what is counted.
#[derive(Default)]
struct Places {
    /// Sent and received, of an anchor.
    packets: Option<(usize, usize)>,
    /// What a round of an anchor keeps of its packets.
    kept: Option<Kept>,
    /// How many rounds one of an anchor stands for.
    rounds: Option<usize>,
    /// Gauges, with the range outside of which a reading is a fault of the reader.
    gauges: Vec<(usize, Metric, RangeInclusive<i64>)>,
    /// Used, limit and the agent's own, of a data plan.
    plan: Option<(usize, usize, Option<usize>)>,
}

impl Places {
    fn of(series: &Series, anchors: Anchors) -> Self {
        let place = |metric| series.metrics.iter().position(|known| *known == metric);
        let of_devices = OF_DEVICES.iter().filter_map(|(metric, low, high)| Some((place(*metric)?, *metric, *low..=*high)));
        let plan = place(Metric::PlanUsedKib).zip(place(Metric::PlanLimitKib));
        let plan = plan.map(|(used, limit)| (used, limit, place(Metric::PlanOwnKib)));
        if !anchors.include(series.rung) || !sight::proves_reach(series) {
            return Places { gauges: of_devices.collect(), plan, ..Places::default() };
        }
        let of_anchors = OF_ANCHORS.iter().filter_map(|metric| Some((place(*metric)?, *metric, i64::MIN..=i64::MAX)));
        Places {
            packets: place(Metric::Sent).zip(place(Metric::Received)),
            kept: Some(Kept::of(series)),
            rounds: place(Metric::Rounds),
            gauges: of_anchors.chain(of_devices).collect(),
            plan,
        }
    }
}

/// Counts what a link's own rounds, in order of time, measured inside `[from, until)`, by slot, and reads its plan.
pub(super) fn of_link(
    own: &[&Sighted<'_>],
    watches: &[Watch<'_>],
    anchors: Anchors,
    spans: &[Span<LinkState>],
    (from, until): (UnixMs, UnixMs),
) -> (BTreeMap<Place, Values>, Option<PlanUse>) {
    let places: Vec<Places> = watches.iter().map(|watch| Places::of(watch.series, anchors)).collect();
    let within = &own[own.partition_point(|sighted| sighted.at < from)..own.partition_point(|sighted| sighted.at < until)];
    let (mut slots, mut plan) = (BTreeMap::new(), None);
    for slot in within.chunk_by(|a, b| place(from, a.at) == place(from, b.at)) {
        let mut counting = Counting::default();
        for sighted in slot {
            let places = &places[sighted.watch.number];
            count(&mut counting, sighted, places, spans);
            plan = plan_of(sighted, places).or(plan);
        }
        counting.lay_out();
        counting.values.quality = counting.quality();
        if counting.values != Values::default() {
            slots.insert(place(from, slot[0].at), counting.values);
        }
    }
    (slots, plan)
}

/// Packets one round, or one summary of an hour's rounds, can have sent.
const MOST_PACKETS: u64 = 1_000_000;

fn count(slot: &mut Counting, sighted: &Sighted<'_>, places: &Places, spans: &[Span<LinkState>]) {
    let value = |place: usize| sighted.sample.values.get(place).copied().flatten();
    if let Some((sent, received)) = places.packets.and_then(|(sent, received)| value(sent).zip(value(received))) {
        // What one round can have sent; more is a made-up weight in every sum it enters.
        let sent = u64::try_from(sent).unwrap_or(0).min(MOST_PACKETS);
        let received = u64::try_from(received).unwrap_or(0).min(sent);
        slot.tried = (slot.tried.0 + sent, slot.tried.1 + received);
        if at(spans, sighted.at).is_none_or(|span| span.state != LinkState::Down) {
            slot.values.packets = (slot.values.packets.0 + sent, slot.values.packets.1 + received);
        }
    }
    if let Some(kept) = places.kept {
        let stands_for = places.rounds.and_then(value).and_then(|rounds| u64::try_from(rounds).ok()).unwrap_or(1);
        let told = if sighted.sample.outcome.verdict() == Verdict::NoEvidence { 0 } else { stands_for };
        slot.rounds = slot.rounds.saturating_add(told);
        slot.packets.entry(sighted.watch.number).or_default().extend(kept.packets(value));
    }
    for (place, metric, valid) in &places.gauges {
        if let Some(value) = value(*place).filter(|value| valid.contains(value)) {
            slot.values.histograms.entry(*metric).or_default().add(value);
        }
    }
}

/// Fewer rounds say too little about five minutes (`kpis.md`, `quality_ok_share`).
const LEAST_ROUNDS: u64 = 10;
/// Limits of good quality: RTT p95, jitter p95, and one lost packet in so many.
const GOOD_RTT_US: i64 = 200_000;
const GOOD_JITTER_US: i64 = 50_000;
const GOOD_LOSS_ONE_IN: u64 = 50;

impl Counting {
    /// Counts the slot's packets, each for itself and over the least of its target.
    fn lay_out(&mut self) {
        for packets in std::mem::take(&mut self.packets).into_values() {
            let (Some(least), count) = (packets.iter().map(|(rtt, _)| *rtt).min(), packets.iter().map(|(_, times)| times).sum::<u64>())
            else {
                continue;
            };
            for (rtt, times) in packets {
                self.values.rtt_us.add_many(rtt, times);
                if count > 1 {
                    self.values.pdv_us.add_many(rtt - least, times);
                }
            }
        }
    }

    /// Judges the slot: one counted and good, counted and not, or not counted.
    fn quality(&self) -> (u64, u64) {
        let (sent, received) = self.tried;
        if self.rounds < LEAST_ROUNDS || sent == 0 {
            return (0, 0);
        }
        let (rtt, jitter) = (self.values.rtt_us.quantile(0.95), self.values.pdv_us.quantile(0.95));
        let is_good = sent.saturating_sub(received).saturating_mul(GOOD_LOSS_ONE_IN) <= sent
            && rtt.is_some_and(|us| us <= GOOD_RTT_US)
            && jitter.is_some_and(|us| us <= GOOD_JITTER_US);
        (1, u64::from(is_good))
    }
}

fn plan_of(sighted: &Sighted<'_>, places: &Places) -> Option<PlanUse> {
    let kib = |place: usize| sighted.sample.values.get(place).copied().flatten().and_then(|value| u64::try_from(value).ok());
    let (used, limit, own) = places.plan?;
    let own_kib = own.and_then(kib).unwrap_or(0);
    Some(PlanUse { at: sighted.at, used_kib: kib(used)?, own_kib, limit_kib: kib(limit)? })
}

/// Counts rounds of service targets inside `[from, until)`, by slot and target; `held` tells a link's state at a time.
pub(super) fn of_services(
    all: &[Sighted<'_>],
    held: impl Fn(&str, UnixMs) -> Option<LinkState>,
    (from, until): (UnixMs, UnixMs),
) -> BTreeMap<Place, BTreeMap<String, Rounds>> {
    let mut out = BTreeMap::<Place, BTreeMap<&str, Rounds>>::new();
    let own = all.iter().filter(|sighted| !sighted.watch.vantage && from <= sighted.at && sighted.at < until);
    for sighted in own.filter(|sighted| sighted.watch.series.rung == Rung::Service) {
        let series = sighted.watch.series;
        let round = sight::round(series, sighted.sample, sighted.at, Slot(0));
        let (attempts, failures) = match (round.rounds, sighted.sample.outcome.verdict()) {
            ((rounds, failed), _) if rounds > 1 => (rounds, failed.min(rounds)),
            (_, Verdict::NoEvidence) => continue,
            (_, verdict) => (1, u32::from(verdict == Verdict::Failure)),
        };
        let (attempts, successes) = (u64::from(attempts), u64::from(attempts - failures));
        let rounds = out.entry(place(from, sighted.at)).or_default().entry(&series.target).or_default();
        (rounds.attempts, rounds.successes) = (rounds.attempts + attempts, rounds.successes + successes);
        if matches!(held(&series.link, sighted.at), Some(LinkState::Up | LinkState::Degraded)) {
            rounds.attempts_while_up += attempts;
            rounds.successes_while_up += successes;
        }
        if successes > 0
            && let Some(total) = total_us(sighted)
        {
            rounds.latency_us.add(total);
        }
    }
    let owned = |by_target: BTreeMap<&str, Rounds>| by_target.into_iter().map(|(target, rounds)| (target.to_owned(), rounds)).collect();
    out.into_iter().map(|(place, by_target)| (place, owned(by_target))).collect()
}

/// Sums the phases of a transaction; `None` if none was measured.
fn total_us(sighted: &Sighted<'_>) -> Option<i64> {
    const PHASES: &[Metric] =
        &[Metric::ResolveUs, Metric::ConnectUs, Metric::TlsUs, Metric::FirstByteUs, Metric::TransferUs, Metric::QueryUs, Metric::RttUsP50];
    let phases = PHASES.iter().filter_map(|metric| sighted.watch.series.value(sighted.sample, *metric));
    phases.fold(None, |total: Option<i64>, phase| Some(total.unwrap_or(0).saturating_add(phase.max(0))))
}
