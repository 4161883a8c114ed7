//! From measurements to batches: gives every result its series, and closes a reporting interval into one batch.
//!
//! The series table grows at its end only (a device shows a port it had not, a path a hop), so the samples of an open batch
//! keep their series' places whatever comes.

use std::collections::HashMap;
use std::time::Duration;

use rusta_wire::{Batch, BatchId, Metric, MonoMs, Outcome, ProbeKind, Reason, Rung, Sample, Series, SeriesIndex, SeriesTable, limits};

use crate::config::{Link, METRIC_BYTES, OWN_TARGET, Target, Watch, series_bytes};
use crate::probe::Measurement;

/// Most parts of one target: a large switch's ports. More are counted and left out.
const PARTS_PER_TARGET: usize = 512;

/// Samples that close a batch before its interval ends; half of what the contract allows, so that encoding always fits.
const SAMPLES_FULL: usize = limits::SAMPLES_PER_BATCH / 8;

/// What the agent says about itself on each link.
pub const OWN_METRICS: [Metric; 11] = [
    Metric::BrokenRung,
    Metric::PlanUsedKib,
    Metric::PlanOwnKib,
    Metric::PlanLimitKib,
    Metric::PlanStage,
    Metric::SpoolBytes,
    Metric::SpoolFrames,
    Metric::AgentCpuMs,
    Metric::AgentRssKib,
    Metric::BatchesRefused,
    Metric::SimSwaps,
];

/// How often the agent speaks about itself: slow figures, a few bytes each.
pub const OWN_EVERY: Duration = Duration::from_secs(300);

/// Collects the samples of the open interval.
#[derive(Debug)]
pub struct Recorder {
    table: SeriesTable,
    /// Place of each target's own series, then each link's.
    targets: usize,
    parts: HashMap<(usize, String), usize>,
    samples: Vec<Sample>,
    /// Values of `samples`, present or not.
    values: usize,
    /// Bytes of the encoded table, at most.
    table_bytes: usize,
    from: MonoMs,
    parts_left_out: u64,
}

impl Recorder {
    /// Names the series of a watch: one for each target, one for the agent itself on each link. `intervals` is the
    /// longest time between rounds of each target while all is well.
    pub fn start(watch: &Watch, intervals: &[Duration], now: MonoMs) -> Recorder {
        let targets = watch.targets.iter().zip(intervals).map(|(target, every)| series_of(target, &watch.links[target.link], *every));
        let own = watch.links.iter().map(own_series);
        let table = SeriesTable { series: targets.chain(own).collect() };
        Recorder {
            table_bytes: table.series.iter().map(bytes_of).sum(),
            table,
            targets: watch.targets.len(),
            parts: HashMap::new(),
            samples: Vec::new(),
            values: 0,
            from: now,
            parts_left_out: 0,
        }
    }

    /// Takes in the result of a round of `target` that was due at `at`.
    pub fn append(&mut self, target: usize, at: MonoMs, measurement: &Measurement) {
        self.push(target, at, measurement.outcome, &measurement.values);
        for part in &measurement.parts {
            match self.part_place(target, &part.name, part.values.iter().map(|(m, _)| *m)) {
                Some(place) => self.push(place, at, part.outcome, &part.values),
                None => self.parts_left_out += 1,
            }
        }
    }

    /// Takes in what the agent says about itself on a link.
    pub fn append_own(&mut self, link: usize, at: MonoMs, values: &[(Metric, i64)]) {
        self.push(self.targets + link, at, Outcome::Ok, values);
    }

    /// Tells whether the batch should be closed before its time.
    pub fn is_full(&self) -> bool {
        self.samples.len() >= SAMPLES_FULL || self.values >= limits::VALUES_PER_BATCH / 8
    }

    /// Tells whether there is anything to close.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Returns the series table of everything recorded.
    pub fn table(&self) -> &SeriesTable {
        &self.table
    }

    /// Returns how many parts were left out because a target has too many.
    pub fn parts_left_out(&self) -> u64 {
        self.parts_left_out
    }

    /// Closes the interval at `until` and begins the next one.
    pub fn close(&mut self, id: BatchId, until: MonoMs, clock: rusta_wire::Clock, reason: Reason) -> Batch {
        let mut samples = std::mem::take(&mut self.samples);
        self.values = 0;
        for sample in &mut samples {
            // A series may have learnt of more metrics since.
            sample.values.resize(self.table.series[usize::from(sample.series.0)].metrics.len(), None);
        }
        // A round that was due before the interval began may end in it.
        let from = samples.iter().map(|s| s.at).min().unwrap_or(self.from).min(self.from);
        self.from = until;
        Batch { id, covers: 1, from, until, clock, reason, summary_s: 0, thinned: 0, dropped: 0, lost: 0, table: self.table.id(), samples }
    }

    fn part_place(&mut self, target: usize, name: &str, metrics: impl Iterator<Item = Metric>) -> Option<usize> {
        if let Some(place) = self.parts.get(&(target, name.to_string())) {
            return Some(*place);
        }
        let parts = self.parts.keys().filter(|(t, _)| *t == target).count();
        if parts >= PARTS_PER_TARGET || self.table.series.len() >= limits::SERIES_PER_TABLE {
            return None;
        }
        let owner = &self.table.series[target];
        let series = Series { target: part_name(&owner.target, name), metrics: metrics.collect(), ..owner.clone() };
        // A table that fits in no frame would take every batch with it.
        let bytes = bytes_of(&series);
        if self.table_bytes + bytes > limits::FRAME_PAYLOAD_BYTES {
            return None;
        }
        self.table_bytes += bytes;
        self.table.series.push(series);
        let place = self.table.series.len() - 1;
        self.parts.insert((target, name.to_string()), place);
        Some(place)
    }

    fn push(&mut self, place: usize, at: MonoMs, outcome: Outcome, values: &[(Metric, i64)]) {
        let metrics = &mut self.table.series[place].metrics;
        for (metric, _) in values {
            let has_room = metrics.len() < limits::METRICS_PER_SERIES && self.table_bytes + METRIC_BYTES <= limits::FRAME_PAYLOAD_BYTES;
            if !metrics.contains(metric) && has_room {
                metrics.push(*metric);
                self.table_bytes += METRIC_BYTES;
            }
        }
        let value = |metric: &Metric| values.iter().find(|(m, _)| m == metric).map(|(_, value)| *value);
        let values: Vec<_> = metrics.iter().map(value).collect();
        let Ok(series) = u16::try_from(place) else { return };
        self.values += values.len();
        self.samples.push(Sample { series: SeriesIndex(series), at, outcome, values });
    }
}

fn bytes_of(series: &Series) -> usize {
    series_bytes([&series.link, &series.target, &series.towards], series.metrics.len())
}

/// `owner/part`, cut to what the contract allows, without what it does not.
fn part_name(owner: &str, part: &str) -> String {
    let clean: String = part.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut name = format!("{owner}/{clean}");
    while name.len() > limits::NAME_BYTES {
        name.pop();
    }
    name
}

fn series_of(target: &Target, link: &Link, every: Duration) -> Series {
    Series {
        link: link.name.clone(),
        network: link.network,
        target: target.name.clone(),
        towards: target.towards.clone(),
        rung: target.rung,
        probe: target.probe.kind(),
        interval_s: seconds(every),
        metrics: target.probe.metrics(),
    }
}

fn own_series(link: &Link) -> Series {
    Series {
        link: link.name.clone(),
        network: link.network,
        target: OWN_TARGET.to_string(),
        towards: String::new(),
        rung: Rung::Device,
        probe: ProbeKind::Agent,
        interval_s: seconds(OWN_EVERY),
        metrics: OWN_METRICS.to_vec(),
    }
}

fn seconds(every: Duration) -> u32 {
    u32::try_from(every.as_secs()).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::probe::Part;
    use rusta_wire::{AgentId, BootId, ClockSource, Sequence, UnixMs};

    fn recorder() -> Recorder {
        let text =
            "links: [{ name: gov, network: gov }]\ntargets: [{ name: gw, link: gov, rung: gateway, tcp: { address: '10.0.0.1:1' } }]";
        let watch = Config::parse(text).unwrap().watch();
        Recorder::start(&watch, &[Duration::from_secs(60)], MonoMs(1_000))
    }

    fn close(recorder: &mut Recorder) -> Batch {
        let id = BatchId { agent: AgentId(1), boot: BootId(2), sequence: Sequence(0) };
        let clock = rusta_wire::Clock { unix: UnixMs(0), source: ClockSource::None, uncertainty_ms: 0 };
        recorder.close(id, MonoMs(61_000), clock, Reason::Interval)
    }

    fn measured(values: &[(Metric, i64)], parts: Vec<Part>) -> Measurement {
        Measurement { outcome: Outcome::Ok, values: values.to_vec(), parts, bytes: 0 }
    }

    #[test]
    fn a_closed_batch_encodes_with_its_table_and_starts_the_next() {
        let mut recorder = recorder();
        recorder.append(0, MonoMs(2_000), &measured(&[(Metric::ConnectUs, 1_000)], vec![]));
        recorder.append_own(0, MonoMs(3_000), &[(Metric::SpoolBytes, 5)]);
        let batch = close(&mut recorder);
        let bytes = batch.encode(recorder.table()).unwrap();
        let back = Batch::decode(&bytes, recorder.table()).unwrap();
        assert_eq!(back.samples.len(), 2);
        assert_eq!(recorder.table().series[1].value(&back.samples[1], Metric::SpoolBytes), Some(5));
        assert!(recorder.is_empty());
        assert_eq!(close(&mut recorder).from, MonoMs(61_000));
    }

    #[test]
    fn parts_become_series_and_may_learn_metrics() {
        let mut recorder = recorder();
        let part = |values: &[(Metric, i64)]| Part { name: "eth0".into(), outcome: Outcome::Ok, values: values.to_vec() };
        recorder.append(0, MonoMs(2_000), &measured(&[], vec![part(&[(Metric::IfOperStatus, 1)])]));
        recorder.append(0, MonoMs(3_000), &measured(&[], vec![part(&[(Metric::IfOperStatus, 1), (Metric::ReceiveBps, 8)])]));
        let batch = close(&mut recorder);
        let series = &recorder.table().series[2];
        assert_eq!((series.target.as_str(), series.metrics.len()), ("gw/eth0", 2));
        batch.encode(recorder.table()).unwrap();
    }

    #[test]
    fn too_many_parts_are_counted_not_kept() {
        let mut recorder = recorder();
        let parts = (0..PARTS_PER_TARGET + 7).map(|n| Part { name: format!("p{n}"), outcome: Outcome::Ok, values: vec![] }).collect();
        recorder.append(0, MonoMs(2_000), &measured(&[], parts));
        assert_eq!(recorder.parts_left_out(), 7);
    }

    #[test]
    fn a_table_never_outgrows_its_frame() {
        let mut recorder = recorder();
        let values: Vec<_> = OWN_METRICS.iter().map(|metric| (*metric, 1)).collect();
        for n in 0..40 {
            let name = |p: usize| format!("{n}-{p}-{}", "x".repeat(200));
            let part = |p| Part { name: name(p), outcome: Outcome::Ok, values: values[..p % values.len()].to_vec() };
            recorder.append(0, MonoMs(2_000), &measured(&values, (0..12).map(part).collect()));
        }
        // Those that are there learn of everything there is.
        let names: Vec<String> = recorder.parts.keys().map(|(_, name)| name.clone()).collect();
        let parts = names.into_iter().map(|name| Part { name, outcome: Outcome::Ok, values: values.clone() }).collect();
        recorder.append(0, MonoMs(3_000), &measured(&[], parts));
        let bytes = recorder.table().encode().len();
        assert!(recorder.parts_left_out() > 0 && bytes > limits::FRAME_PAYLOAD_BYTES * 3 / 4, "{bytes}");
        assert!(
            bytes <= recorder.table_bytes && recorder.table_bytes <= limits::FRAME_PAYLOAD_BYTES,
            "{bytes} of {}",
            recorder.table_bytes
        );
        close(&mut recorder).encode(recorder.table()).unwrap();
    }

    #[test]
    fn hostile_part_names_become_valid_ones() {
        let name = part_name("router", &format!("a\n{}", "ش".repeat(200)));
        assert!(name.len() <= limits::NAME_BYTES && name.starts_with("router/a "));
    }
}
