//! Prints the bytes a value costs at rest and on the way, one JSON line a figure, for batches like a village's: log-like delay
//! variation, 2 % lost packets, gauges that drift.

use rusta_wire::*;

const BATCHES: u64 = 500;

/// A small seeded generator (xorshift64*): the same batches on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// An exponential delay in microseconds with the given mean.
    fn delay_us(&mut self, mean: f64) -> i64 {
        (-mean * (1.0 - self.unit()).ln()) as i64
    }
}

fn series(target: String, metrics: &[Metric]) -> Series {
    Series {
        link: "apn0".into(),
        network: Network::Apn,
        target,
        towards: String::new(),
        rung: Rung::Gateway,
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: metrics.to_vec(),
    }
}

fn icmp_sample(random: &mut Random, index: u16, at: u64, floor_us: i64) -> Sample {
    let sent = 5;
    let received = (0..sent).filter(|_| random.unit() > 0.02).count() as i64;
    let minimum = floor_us + random.delay_us(800.0);
    let median = minimum + random.delay_us(1_500.0);
    let (high, most) = (median + random.delay_us(3_000.0), median + random.delay_us(9_000.0));
    let values = vec![Some(sent), Some(received), Some(minimum), Some(median), Some(high), Some(most.max(high))];
    Sample { series: SeriesIndex(index), at: MonoMs(at), outcome: Outcome::Ok, values }
}

fn main() -> Result<(), DecodeError> {
    const ICMP: [Metric; 6] = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax];
    const GAUGES: [Metric; 10] = [
        Metric::RsrpDbm,
        Metric::RsrqCb,
        Metric::SinrCb,
        Metric::Rat,
        Metric::Registration,
        Metric::CellId,
        Metric::UptimeS,
        Metric::Load1Milli,
        Metric::MemoryAvailableKib,
        Metric::TemperatureDc,
    ];
    let mut list: Vec<Series> = (0..12).map(|n| series(format!("anchor-{n}"), &ICMP)).collect();
    list.push(series("device".into(), &GAUGES));
    let table = SeriesTable { series: list };
    let mut random = Random(0x5eed);
    let (mut at_rest, mut on_the_way, mut values) = (0usize, 0usize, 0usize);
    for sequence in 0..BATCHES {
        let from = sequence * 300_000;
        let mut samples = Vec::new();
        for index in 0..12u16 {
            for round in 0..5 {
                let at = from + round * 60_000 + u64::from(index) * 4_700;
                samples.push(icmp_sample(&mut random, index, at, 30_000 + i64::from(index) * 5_000));
            }
        }
        let drift = random.delay_us(4.0);
        let gauges = [-95 - drift, -110, 84 + drift, 4, 1, 0x01a2_b304, (from / 1000) as i64, 120 + drift * 10, 20_480 + drift * 64, 412];
        samples.push(Sample {
            series: SeriesIndex(12),
            at: MonoMs(from + 299_000),
            outcome: Outcome::Ok,
            values: gauges.into_iter().map(Some).collect(),
        });
        values += samples.iter().map(|s| s.values.len()).sum::<usize>();
        let batch = Batch {
            id: BatchId { agent: AgentId(0x0123_4567_89ab_cdef), boot: BootId(0xfedc_ba98_7654_3210), sequence: Sequence(sequence) },
            covers: 1,
            from: MonoMs(from),
            until: MonoMs(from + 300_000),
            clock: Clock { unix: UnixMs(1_795_000_000_000 + from as i64), source: ClockSource::Collector, uncertainty_ms: 40 },
            reason: Reason::Interval,
            summary_s: 0,
            thinned: 0,
            dropped: 0,
            lost: 0,
            table: table.id(),
            samples,
        };
        at_rest += frame::HEADER_BYTES + batch.encode(&table)?.len();
        on_the_way += frame::HEADER_BYTES + batch.encode_dense(&table)?.len();
    }
    for (place, bytes) in [("at_rest", at_rest), ("on_the_way", on_the_way)] {
        let (per_value, per_batch) = (bytes as f64 / values as f64, bytes as f64 / BATCHES as f64);
        println!(r#"{{"figure":"bytes_per_value_{place}","value":{per_value:.3},"unit":"B","goal":1.0}}"#);
        println!(r#"{{"figure":"bytes_per_batch_of_370_{place}","value":{per_batch:.1},"unit":"B"}}"#);
    }
    Ok(())
}
