//! The five-minute layer: what charts of up to a year and windows that cut a day are read from.
//!
//! ```text
//! slots: one row per site and day = deflate(protobuf: links -> slots -> packets, quality, distributions;
//!                                                      services -> slots -> rounds; reports -> slots)
//! ```
//!
//! A slot holds the same sums as a day, so merging the slots of a window gives what the window's days would. States need
//! no slots: they are in the timelines, to the second.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use prost::Message;
use rusqlite::Connection;
use rusta_wire::Metric;

use super::histogram::Histogram;
use super::reports::Reports;
use super::threads;
use super::timeline::SiteDay;
use super::values::{Place, Rounds, Values};
use crate::day::Day;
use crate::store::StoreError;

/// A site's day in slots of five minutes; slots without anything are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Slots {
    /// By link.
    pub links: BTreeMap<String, BTreeMap<Place, Values>>,
    /// Rounds of service targets, by target.
    pub services: BTreeMap<Place, BTreeMap<String, Rounds>>,
    /// What its agents reported.
    pub reports: BTreeMap<Place, Reports>,
}

/// What lies in some slots of a site's day, added up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotSums {
    /// By link.
    pub links: BTreeMap<String, Values>,
    /// By target.
    pub services: BTreeMap<String, Rounds>,
    /// What its agents reported.
    pub reports: Reports,
}

impl Slots {
    /// Adds the slots up.
    pub fn sums(&self) -> SlotSums {
        let mut sums = SlotSums::default();
        for (name, slots) in &self.links {
            let sum = sums.links.entry(name.clone()).or_default();
            slots.values().for_each(|values| sum.add(values));
        }
        let mut services = BTreeMap::<&String, Rounds>::new();
        self.services.values().flatten().for_each(|(target, rounds)| services.entry(target).or_default().add(rounds));
        sums.services = services.into_iter().map(|(target, rounds)| (target.clone(), rounds)).collect();
        self.reports.values().for_each(|one| sums.reports.add(one));
        sums
    }
}

/// A day of 65,535 samples stays far below; more is a damaged row.
const MOST_BYTES: u64 = 16 << 20;

#[derive(Clone, PartialEq, Message)]
struct DayMessage {
    #[prost(message, repeated, tag = "1")]
    links: Vec<LinkMessage>,
    #[prost(string, repeated, tag = "2")]
    targets: Vec<String>,
    #[prost(message, repeated, tag = "3")]
    rounds: Vec<RoundsMessage>,
    #[prost(message, repeated, tag = "4")]
    reports: Vec<ReportsMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct LinkMessage {
    #[prost(string, tag = "1")]
    name: String,
    /// Each a [`SlotMessage`]: a reader that wants an hour of the day leaves the others as they lie.
    #[prost(bytes = "bytes", repeated, tag = "2")]
    slots: Vec<Bytes>,
}

/// What every message of a slot begins with.
#[derive(Clone, PartialEq, Message)]
struct PlaceMessage {
    #[prost(uint32, tag = "1")]
    place: u32,
}

#[derive(Clone, PartialEq, Message)]
struct SlotMessage {
    #[prost(uint32, tag = "1")]
    place: u32,
    /// Sent, received, slots judged, of those good.
    #[prost(uint64, repeated, tag = "2")]
    counts: Vec<u64>,
    #[prost(uint32, repeated, tag = "3")]
    metrics: Vec<u32>,
    #[prost(bytes = "bytes", repeated, tag = "4")]
    buckets: Vec<Bytes>,
    #[prost(bytes = "bytes", tag = "5")]
    rtt_us: Bytes,
    #[prost(bytes = "bytes", tag = "6")]
    pdv_us: Bytes,
}

#[derive(Clone, PartialEq, Message)]
struct RoundsMessage {
    #[prost(uint32, tag = "1")]
    place: u32,
    #[prost(uint32, tag = "2")]
    target: u32,
    /// Attempts, successes, both while the link was up.
    #[prost(uint64, repeated, tag = "3")]
    counts: Vec<u64>,
    #[prost(bytes = "vec", tag = "4")]
    latency: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct ReportsMessage {
    #[prost(uint32, tag = "1")]
    place: u32,
    #[prost(uint64, tag = "2")]
    covered_ms: u64,
    #[prost(uint64, tag = "3")]
    on_time_ms: u64,
    #[prost(bytes = "vec", tag = "4")]
    lag_s: Vec<u8>,
    #[prost(bytes = "vec", tag = "5")]
    skew_ms: Vec<u8>,
}

/// Packs a built day and what was reported of it.
pub(super) fn pack(day: &SiteDay, reports: &BTreeMap<Place, Reports>) -> Vec<u8> {
    let slot = |(place, values): (&Place, &Values)| {
        let message = SlotMessage {
            place: u32::from(*place),
            counts: vec![values.packets.0, values.packets.1, values.quality.0, values.quality.1],
            metrics: kept(values).map(|(metric, _)| u32::from(metric.code())).collect(),
            buckets: kept(values).map(|(_, histogram)| histogram.encode().into()).collect(),
            rtt_us: values.rtt_us.encode().into(),
            pdv_us: values.pdv_us.encode().into(),
        };
        Bytes::from(message.encode_to_vec())
    };
    let mut targets: Vec<String> = day.service_slots.values().flat_map(BTreeMap::keys).cloned().collect();
    targets.sort_unstable();
    targets.dedup();
    let number = |target: &String| targets.binary_search(target).ok().and_then(|at| u32::try_from(at).ok()).unwrap_or(0);
    let rounds = |place: Place, target: &String, of: &Rounds| RoundsMessage {
        place: u32::from(place),
        target: number(target),
        counts: vec![of.attempts, of.successes, of.attempts_while_up, of.successes_while_up],
        latency: of.latency_us.encode(),
    };
    let message = DayMessage {
        links: day.links.iter().map(|link| LinkMessage { name: link.name.clone(), slots: link.slots.iter().map(slot).collect() }).collect(),
        rounds: day.service_slots.iter().flat_map(|(place, by)| by.iter().map(|(target, of)| rounds(*place, target, of))).collect(),
        reports: reports.iter().map(|(place, of)| report(*place, of)).collect(),
        targets,
    };
    let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
    // Writing to memory cannot fail.
    packed.write_all(&message.encode_to_vec()).and_then(|()| packed.finish()).unwrap_or_default()
}

/// What stays a figure of the day, for its size: a slot keeps the round trips of packets.
const OF_THE_DAY: [Metric; 3] = [Metric::RttUsP50, Metric::PdvUsP95, Metric::IpdvUsMean];

/// Lists what a slot keeps.
fn kept(values: &Values) -> impl Iterator<Item = (&Metric, &Histogram)> {
    values.histograms.iter().filter(|(metric, _)| !OF_THE_DAY.contains(metric))
}

fn report(place: Place, of: &Reports) -> ReportsMessage {
    let (lag_s, skew_ms) = (of.lag_s.encode(), of.skew_ms.encode());
    ReportsMessage { place: u32::from(place), covered_ms: of.covered_ms, on_time_ms: of.on_time_ms, lag_s, skew_ms }
}

/// Reads the wanted slots of what [`pack`] wrote; `None` for anything else.
pub(super) fn unpack(bytes: &[u8], wanted: impl Fn(Place) -> bool) -> Option<Slots> {
    let mut plain = Vec::new();
    DeflateDecoder::new(bytes).take(MOST_BYTES).read_to_end(&mut plain).ok()?;
    let message = DayMessage::decode(Bytes::from(plain)).ok()?;
    let wanted = |place: u32| Place::try_from(place).is_ok_and(&wanted);
    let mut slots = Slots::default();
    for link in message.links {
        let mut inside = BTreeMap::new();
        for slot in link.slots {
            if wanted(PlaceMessage::decode(slot.clone()).ok()?.place) {
                inside.extend([values(&SlotMessage::decode(slot).ok()?)?]);
            }
        }
        slots.links.insert(link.name, inside);
    }
    for one in message.rounds.into_iter().filter(|one| wanted(one.place)) {
        let [attempts, successes, attempts_while_up, successes_while_up] = one.counts.try_into().ok()?;
        let latency_us = Histogram::decode(&one.latency)?;
        let rounds = Rounds { attempts, successes, attempts_while_up, successes_while_up, latency_us };
        let target = message.targets.get(usize::try_from(one.target).ok()?)?.clone();
        slots.services.entry(Place::try_from(one.place).ok()?).or_default().insert(target, rounds);
    }
    for one in message.reports.into_iter().filter(|one| wanted(one.place)) {
        let (lag_s, skew_ms) = (Histogram::decode(&one.lag_s)?, Histogram::decode(&one.skew_ms)?);
        let reports = Reports { covered_ms: one.covered_ms, on_time_ms: one.on_time_ms, lag_s, skew_ms, ..Reports::default() };
        slots.reports.insert(Place::try_from(one.place).ok()?, reports);
    }
    Some(slots)
}

fn values(message: &SlotMessage) -> Option<(Place, Values)> {
    let [sent, received, judged, good] = *message.counts else { return None };
    let mut histograms = BTreeMap::new();
    for (code, bytes) in message.metrics.iter().zip(&message.buckets) {
        histograms.insert(Metric::from_code(*code)?, Histogram::decode(bytes)?);
    }
    let (rtt_us, pdv_us) = (Histogram::decode(&message.rtt_us)?, Histogram::decode(&message.pdv_us)?);
    let values = Values { packets: (sent, received), rtt_us, pdv_us, quality: (judged, good), histograms };
    Some((Place::try_from(message.place).ok()?, values))
}

/// Sites whose slots are unpacked before the next are read: a few megabytes.
const UNPACKED: usize = 256;

/// Reads every site's wanted slots of a day, added up. They are unpacked on several threads, which takes most of the time.
///
/// # Errors
/// What the database says.
pub fn slot_sums_on(
    db: &Connection,
    day: Day,
    wanted: impl Fn(Place) -> bool + Sync,
    mut each: impl FnMut(&str, SlotSums),
) -> Result<(), StoreError> {
    let mut statement = db.prepare_cached("SELECT o.code, s.bytes FROM slots s JOIN objects o ON o.id = s.object WHERE s.day = ?1")?;
    let mut rows = statement.query_map([day.0], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let sums = |share: &[(String, Vec<u8>)]| -> Vec<Option<SlotSums>> {
        share.iter().map(|(_, bytes)| unpack(bytes, &wanted).map(|slots| slots.sums())).collect()
    };
    loop {
        let part: Vec<(String, Vec<u8>)> = rows.by_ref().take(UNPACKED).collect::<Result<_, _>>()?;
        if part.is_empty() {
            return Ok(());
        }
        let unpacked: Vec<Option<SlotSums>> = std::thread::scope(|scope| {
            let shares: Vec<_> = part.chunks(part.len().div_ceil(threads())).map(|share| scope.spawn(|| sums(share))).collect();
            shares.into_iter().flat_map(|share| share.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
        });
        part.iter().zip(unpacked).filter_map(|((code, _), sums)| Some((code, sums?))).for_each(|(code, sums)| each(code, sums));
    }
}
