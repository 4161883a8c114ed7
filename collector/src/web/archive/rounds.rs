//! A site's last days from the log, every round of them.

use std::collections::BTreeMap;

use rusta_wire::{Metric, Network, Rung, Sample, Series, SeriesTable, UnixMs};

use super::super::state::WebState;
use super::{ArchiveError, Measured};
use crate::advance::boots;
use crate::dating::{Dated, Dating, Reach};
use crate::persian::Window;
use crate::view::{GaugeName, GaugePast, GaugeSlot, RoundView, SiteDetail, Time};

/// A chart of round trips has about this many slots: more cannot be told apart on a screen.
const SLOTS: i64 = 288;

/// Shorter slots would often hold no round at all.
const SHORTEST_SLOT_S: i64 = 60;

/// Devices are read every few minutes and their charts are half as wide.
const SLOTS_PER_GAUGE_SLOT: i64 = 3;

/// Gauges that have a chart.
const GAUGES: [Metric; 8] = [
    Metric::RsrpDbm,
    Metric::RsrqCb,
    Metric::SinrCb,
    Metric::ReceiveBps,
    Metric::TransmitBps,
    Metric::UpsChargePct,
    Metric::UpsInputDv,
    Metric::UpsSource,
];

/// Parts of a device that are charted: a switch with fifty ports would be fifty charts.
const MOST_GAUGES: usize = 12;

/// Frames read for one page: a week of a village is 430 kB, of a county node with 400 targets as many megabytes.
const MOST_BYTES: usize = 24 << 20;

/// Reads the window, by link.
pub(super) fn of_site(web: &WebState, site: &SiteDetail, window: Window) -> Result<BTreeMap<String, Measured>, ArchiveError> {
    let code = site.site.code.as_str();
    let slot_s = ((window.until.0 - window.from.0) / 1000 / SLOTS).max(SHORTEST_SLOT_S);
    let mut links: BTreeMap<String, Gathered> = BTreeMap::new();
    let Some(log) = &web.log else { return Ok(BTreeMap::new()) };
    let dating = Dating::load(web.store.read(|tx| boots::of_site(tx, code))?).reaching(Reach::of_days(log.retention_days()));
    let ranges = dating.ranges(code, window.from, window.until);
    for stored in log.site_range(code, &ranges, MOST_BYTES)? {
        let (Some((offset_ms, error_ms)), Ok(batch)) = (dating.offset(&stored.head, stored.received_at), stored.batch()) else { continue };
        let dated = Dated::At { offset_ms, error_ms };
        for sample in &batch.samples {
            let Some(at) = dated.observed_at(sample.at).filter(|at| window.contains(*at)) else { continue };
            add(&mut links, &stored.table, sample, Place { at, window, slot_ms: slot_s * 1000 });
        }
    }
    let network_of = |name: &str| site.links.iter().find(|link| link.name == name).map(|link| link.network.0);
    Ok(links.into_iter().map(|(name, gathered)| (name.clone(), gathered.measured(network_of(&name), slot_s))).collect())
}

/// Where a sample lies in its window.
#[derive(Clone, Copy)]
struct Place {
    at: UnixMs,
    window: Window,
    slot_ms: i64,
}

impl Place {
    /// Returns the first instant of its slot.
    fn slot(self, slots: i64) -> i64 {
        let (from, length) = (self.window.from.0, self.slot_ms * slots);
        from + (self.at.0 - from) / length * length
    }
}

/// Round trips of one slot.
#[derive(Default)]
struct Slot {
    least: Option<i64>,
    medians: Vec<i64>,
    most: Option<i64>,
    sent: u64,
    received: u64,
}

/// Slots by target, with what the target's path proves: (is an anchor of the link's network, its rung's height).
struct TargetSlots {
    network: Network,
    rung: Rung,
    slots: BTreeMap<i64, Slot>,
}

/// What the log holds of one link.
#[derive(Default)]
struct Gathered {
    targets: BTreeMap<String, TargetSlots>,
    gauges: BTreeMap<(String, Metric), BTreeMap<i64, Vec<i64>>>,
}

fn add(links: &mut BTreeMap<String, Gathered>, table: &SeriesTable, sample: &Sample, place: Place) {
    let Some(series) = table.series.get(usize::from(sample.series.0)).filter(|series| series.towards.is_empty()) else { return };
    let link = links.entry(series.link.clone()).or_default();
    for metric in series.metrics.iter().filter(|metric| GAUGES.contains(metric)) {
        if let Some(value) = series.value(sample, *metric) {
            let slots = link.gauges.entry((series.target.clone(), *metric)).or_default();
            slots.entry(place.slot(SLOTS_PER_GAUGE_SLOT)).or_default().push(value);
        }
    }
    add_round(link, series, sample, place.slot(1));
}

fn add_round(link: &mut Gathered, series: &Series, sample: &Sample, slot: i64) {
    let times = if series.metrics.contains(&Metric::RttUsP50) {
        [Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsMax]
    } else if series.metrics.contains(&Metric::ConnectUs) {
        // A TCP handshake takes one round trip.
        [Metric::ConnectUs; 3]
    } else {
        return;
    };
    let target = link.targets.entry(series.target.clone()).or_insert_with(|| TargetSlots {
        network: series.network,
        rung: series.rung,
        slots: BTreeMap::new(),
    });
    let slot = target.slots.entry(slot).or_default();
    let [least, median, most] = times.map(|metric| series.value(sample, metric));
    slot.least = slot.least.min(least).or(slot.least).or(least);
    slot.medians.extend(median);
    slot.most = slot.most.max(most);
    let count = |metric| series.value(sample, metric).and_then(|count| u64::try_from(count).ok());
    slot.sent += count(Metric::Sent).unwrap_or(1);
    slot.received += count(Metric::Received).unwrap_or_else(|| u64::from(median.is_some()));
}

impl Gathered {
    fn measured(self, network: Option<Network>, slot_s: i64) -> Measured {
        let seconds = |slots: i64| u32::try_from(slot_s * slots).unwrap_or(u32::MAX);
        let (target, rounds) = best_target(self.targets, network).unzip();
        let gauge = |((target, metric), slots): ((String, Metric), BTreeMap<i64, Vec<i64>>)| GaugePast {
            target,
            metric: GaugeName(metric),
            slot_seconds: seconds(SLOTS_PER_GAUGE_SLOT),
            slots: slots.into_iter().filter_map(|(at, values)| gauge_slot(at, values)).collect(),
        };
        Measured {
            target,
            slot_seconds: seconds(1),
            rounds: rounds.unwrap_or_default(),
            gauges: self.gauges.into_iter().map(gauge).take(MOST_GAUGES).collect(),
        }
    }
}

fn gauge_slot(at: i64, mut values: Vec<i64>) -> Option<GaugeSlot> {
    values.sort_unstable();
    let median = *values.get(values.len() / 2)?;
    Some(GaugeSlot { at: Time(UnixMs(at)), least: *values.first()?, median, most: *values.last()? })
}

/// Picks the target a link's chart shows: its nearest anchor, else the lowest rung.
fn best_target(targets: BTreeMap<String, TargetSlots>, network: Option<Network>) -> Option<(String, Vec<RoundView>)> {
    let is_anchor = |slots: &TargetSlots| slots.rung.is_anchor_of(network.unwrap_or(slots.network));
    let (name, best) = targets.into_iter().min_by_key(|(_, slots)| (!is_anchor(slots), slots.rung))?;
    let round = |(at, mut slot): (i64, Slot)| {
        slot.medians.sort_unstable();
        RoundView {
            at: Time(UnixMs(at)),
            rtt_us_min: slot.least,
            rtt_us_p50: slot.medians.get(slot.medians.len() / 2).copied(),
            rtt_us_max: slot.most,
            sent: slot.sent,
            received: slot.received,
        }
    };
    Some((name, best.slots.into_iter().map(round).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_of_a_gauge_keeps_its_spread() {
        let slot = gauge_slot(60_000, vec![-90, -104, -97]).unwrap();
        assert_eq!((slot.least, slot.median, slot.most, slot.at.0.0), (-104, -97, -90, 60_000));
        assert_eq!(gauge_slot(0, Vec::new()), None);
    }

    #[test]
    fn samples_fall_into_the_slots_of_their_window() {
        let window = Window { from: UnixMs(1_000), until: UnixMs(90_001_000) };
        let place = Place { at: UnixMs(1_000 + 7 * 60_000 + 5), window, slot_ms: 60_000 };
        assert_eq!((place.slot(1), place.slot(3)), (1_000 + 7 * 60_000, 1_000 + 6 * 60_000));
    }
}
