//! One table, its batches and an answer that use every field of the contract, for the tests that hold it still.

use rusta_wire::{
    AgentId, Answer, Batch, BatchId, BootId, Clock, ClockSource, Hold, Metric, MonoMs, Network, Outcome, ProbeKind, Reason, Rung, Sample,
    Sequence, Series, SeriesIndex, SeriesTable, TableId, UnixMs,
};

/// A village with two links, one device part and one vantage target.
pub fn table() -> SeriesTable {
    let series = |link: &str, network, target: &str, towards: &str, rung, probe, interval_s, metrics: &[Metric]| Series {
        link: link.into(),
        network,
        target: target.into(),
        towards: towards.into(),
        rung,
        probe,
        interval_s,
        metrics: metrics.to_vec(),
    };
    let icmp = [Metric::Sent, Metric::Received, Metric::RttUsMin, Metric::RttUsP50, Metric::RttUsP90, Metric::RttUsMax];
    SeriesTable {
        series: vec![
            series("apn0", Network::Apn, "gateway", "", Rung::Gateway, ProbeKind::Icmp, 60, &icmp),
            series("gov0", Network::Gov, "فرمانداری", "", Rung::Pop, ProbeKind::Tcp, 300, &[Metric::ConnectUs]),
            series(
                "gov0",
                Network::Gov,
                "router/eth0",
                "",
                Rung::Device,
                ProbeKind::Snmp,
                60,
                &[Metric::IfHcInOctets, Metric::IfOperStatus],
            ),
            series("gov0", Network::Gov, "village-17", "0916020017", Rung::Gateway, ProbeKind::Icmp, 60, &icmp),
        ],
    }
}

/// Losses, a gap in the schedule, a counter past 32 bits, a negative gauge, and every head field set.
pub fn full_batch() -> Batch {
    // Times the wire keeps exactly: up to 2.56 ms every 10 µs, above it powers of two of them.
    let answered = [Some(5), Some(5), Some(1_120), Some(2_330), Some(40_960), Some(81_920)];
    let lost = [Some(5), Some(0), None, None, None, None];
    let sample = |series, at, outcome, values: &[Option<i64>]| Sample {
        series: SeriesIndex(series),
        at: MonoMs(at),
        outcome,
        values: values.to_vec(),
    };
    Batch {
        id: BatchId { agent: AgentId(0x0123_4567_89ab_cdef), boot: BootId(0xfedc_ba98_7654_3210), sequence: Sequence(70_000) },
        covers: 3,
        from: MonoMs(86_400_000),
        until: MonoMs(86_700_000),
        clock: Clock { unix: UnixMs(1_795_000_000_123), source: ClockSource::Collector, uncertainty_ms: 40 },
        reason: Reason::StateChange,
        summary_s: 300,
        thinned: 12,
        dropped: 7,
        lost: 0,
        table: table().id(),
        samples: vec![
            sample(0, 86_400_000, Outcome::Ok, &answered),
            sample(0, 86_460_000, Outcome::Timeout, &lost),
            sample(0, 86_475_000, Outcome::Ok, &answered),
            sample(1, 86_400_500, Outcome::Refused, &[None]),
            sample(2, 86_400_700, Outcome::Ok, &[Some(9_000_000_000_000), Some(1)]),
            sample(2, 86_460_700, Outcome::Ok, &[Some(9_000_000_123_456), Some(7)]),
            sample(3, 86_401_000, Outcome::NotRun, &[None; 6]),
        ],
    }
}

/// A router in 1970 that measured nothing.
pub fn bare_batch() -> Batch {
    Batch {
        id: BatchId { agent: AgentId(1), boot: BootId(2), sequence: Sequence(0) },
        covers: 1,
        from: MonoMs(0),
        until: MonoMs(60_000),
        clock: Clock { unix: UnixMs(0), source: ClockSource::None, uncertainty_ms: 0 },
        reason: Reason::Interval,
        summary_s: 0,
        thinned: 0,
        dropped: 0,
        lost: 0,
        table: table().id(),
        samples: vec![],
    }
}

/// A refusal that uses every field.
pub fn answer() -> Answer {
    Answer {
        server_time: UnixMs(1_795_000_000_456),
        assignment_version: 42,
        missing_tables: vec![TableId(7), TableId(0xffff_ffff_ffff_ffff)],
        retry_after_ms: 1_500,
        backlog_bytes: 65_536,
        hold: Hold::Backlog,
        reason: "جدول لازم است".into(),
        reads_dense: false,
        upload: None,
        faults: Vec::new(),
    }
}
