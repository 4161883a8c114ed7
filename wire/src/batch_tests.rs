use super::*;
use crate::sample::{Network, ProbeKind, Rung};
use crate::{Metric, Series};
use proptest::prelude::*;

const ICMP: [Metric; 6] = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax];

fn table(series: usize) -> SeriesTable {
    let one = |n| Series {
        link: "apn0".into(),
        network: Network::Apn,
        target: format!("anchor-{n}"),
        towards: String::new(),
        rung: Rung::Gateway,
        probe: ProbeKind::Icmp,
        interval_s: 60,
        metrics: ICMP.to_vec(),
    };
    SeriesTable { series: (0..series).map(one).collect() }
}

fn batch(table: &SeriesTable, samples: Vec<Sample>) -> Batch {
    Batch {
        id: BatchId { agent: AgentId(7), boot: BootId(9), sequence: Sequence(3) },
        covers: 1,
        from: MonoMs(600_000),
        until: MonoMs(900_000),
        clock: Clock { unix: UnixMs(1_795_000_000_000), source: ClockSource::Collector, uncertainty_ms: 40 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table.id(),
        samples,
    }
}

fn sample(series: u16, at: u64, outcome: Outcome, values: [Option<i64>; 6]) -> Sample {
    Sample { series: SeriesIndex(series), at: MonoMs(at), outcome, values: values.to_vec() }
}

#[test]
fn a_batch_comes_back_with_losses_and_all() {
    let table = table(3);
    let answered = [Some(5), Some(5), Some(40_160), Some(40_960), Some(44_160), Some(52_480)];
    let lost = [Some(5), Some(0), None, None, None, None];
    let samples = vec![
        sample(0, 600_000, Outcome::Ok, answered),
        sample(0, 660_000, Outcome::Timeout, lost),
        sample(0, 675_000, Outcome::Ok, answered),
        sample(2, 600_500, Outcome::NotRun, [None; 6]),
    ];
    let batch = batch(&table, samples);
    let bytes = batch.encode(&table).unwrap();
    assert_eq!(Batch::decode_any(&bytes, &table).unwrap(), (batch.clone(), false));
    assert_eq!(Batch::head(&bytes).unwrap().id, batch.id);
    let dense = batch.encode_dense(&table).unwrap();
    assert_eq!(Batch::decode_any(&dense, &table).unwrap(), (batch, true));
    assert!(dense.len() < bytes.len(), "{} bytes dense, {} plain", dense.len(), bytes.len());
}

#[test]
fn what_does_not_change_costs_next_to_nothing() {
    let table = table(1);
    let steady =
        |n: u64| sample(0, 600_000 + n * 60_000, Outcome::Ok, [Some(5), Some(5), Some(40_000), Some(40_000), Some(40_000), Some(40_000)]);
    let short = batch(&table, (0..5).map(steady).collect()).encode(&table).unwrap();
    let long = batch(&table, (0..100).map(steady).collect()).encode(&table).unwrap();
    // Only the lengths of the runs of zeros grow.
    assert!(long.len() <= short.len() + 4, "{} bytes for 5 rounds, {} for 100", short.len(), long.len());
}

#[test]
fn a_batch_for_another_table_is_refused() {
    let (ours, other) = (table(1), table(2));
    let bytes = batch(&ours, vec![]).encode(&ours).unwrap();
    assert_eq!(Batch::decode(&bytes, &other), Err(DecodeError::Table(ours.id())));
}

#[test]
fn samples_that_do_not_fit_their_series_are_refused() {
    let table = table(1);
    let stray = sample(1, 600_000, Outcome::Ok, [None; 6]);
    assert!(batch(&table, vec![stray]).encode(&table).is_err());
    let mut short = sample(0, 600_000, Outcome::Ok, [None; 6]);
    short.values.pop();
    assert!(batch(&table, vec![short]).encode(&table).is_err());
}

#[test]
fn a_small_frame_cannot_ask_for_much_memory() {
    let table = table(1);
    for count in [u32::MAX.into(), i64::MAX, -1] {
        let columns = ColumnsMessage { values: vec![count, 0, i64::MAX], ..ColumnsMessage::default() };
        assert!(Batch::decode(&batch(&table, vec![]).with_columns(&columns), &table).is_err());
    }
}

fn any_value() -> impl Strategy<Value = Option<i64>> {
    proptest::option::of(prop_oneof![0i64..10, 0i64..5_000_000, any::<i32>().prop_map(i64::from)])
}

fn any_sample() -> impl Strategy<Value = Sample> {
    (0u16..3, 0u64..10_000, 0usize..Outcome::ALL.len(), proptest::array::uniform6(any_value()))
        .prop_map(|(series, at, outcome, values)| sample(series, 500_000 + at * TIME_STEP_MS, Outcome::ALL[outcome], values))
}

proptest! {
    #[test]
    fn any_samples_come_back_rounded_to_the_precision(mut samples in proptest::collection::vec(any_sample(), 0..60)) {
        let table = table(3);
        samples.sort_by_key(|s| (s.series, s.at));
        let bytes = batch(&table, samples.clone()).encode(&table).unwrap();
        for sample in &mut samples {
            for (value, metric) in sample.values.iter_mut().zip(ICMP) {
                let precision = metric.info().precision;
                *value = value.and_then(|v| precision.value(precision.code(v)));
            }
        }
        let back = Batch::decode(&bytes, &table).unwrap();
        prop_assert_eq!(&back.samples, &samples);
        let dense = batch(&table, samples).encode_dense(&table).unwrap();
        prop_assert_eq!(Batch::decode(&dense, &table).unwrap(), back);
    }

    #[test]
    fn any_bytes_give_a_batch_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Batch::decode(&bytes, &table(2));
        let _ = SeriesTable::decode(&bytes);
        let _ = crate::Answer::decode(&bytes);
        let table = table(2);
        let columns = ColumnsMessage { columns: Some(bytes), ..ColumnsMessage::default() };
        let _ = Batch::decode(&batch(&table, vec![]).with_columns(&columns), &table);
    }

    #[test]
    fn a_flipped_bit_never_panics(bit in 0usize..400) {
        let table = table(2);
        let answered = [Some(5), Some(5), Some(40_160), Some(40_960), Some(44_160), Some(52_480)];
        let whole = batch(&table, (0..8).map(|n| sample(n % 2, 600_000 + u64::from(n) * 7_000, Outcome::Ok, answered)).collect());
        for mut bytes in [whole.encode(&table).unwrap(), whole.encode_dense(&table).unwrap()] {
            let place = bit / 8 % bytes.len();
            bytes[place] ^= 1 << (bit % 8);
            let _ = Batch::decode(&bytes, &table);
        }
    }
}
