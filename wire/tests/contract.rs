//! Holds the public text, `wire/CONTRACT.md`, and its neutral vectors, `tests/golden/contract.json`, against the programs.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::fmt::Write;
use std::path::PathBuf;

use rusta_wire::{
    Answer, Batch, BatchFault, ClockSource, FaultReason, Frame, FrameKind, Metric, MetricKind, Network, Outcome, Precision, ProbeKind,
    Reason, Rung, Series, SeriesTable, TableId, Verdict, limits, upload_mark,
};

/// Compares a file with what the programs say, or writes it when asked to.
fn hold(path: &str, whole: impl Fn(&str) -> String) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(path);
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = whole(&present);
    if std::env::var_os("RUSTA_WRITE_CONTRACT").is_some() {
        std::fs::write(&path, &wanted).unwrap();
    }
    let present = std::fs::read_to_string(&path).unwrap();
    assert!(present == wanted, "{} does not say what the programs do; RUSTA_WRITE_CONTRACT=1 writes it", path.display());
}

fn codes(text: &mut String, title: &str, rows: impl Iterator<Item = (u16, String)>) {
    writeln!(text, "\n### {title}\n\n| code | |\n|---|---|").unwrap();
    rows.for_each(|(code, word)| writeln!(text, "| {code} | {word} |").unwrap());
}

fn lists() -> String {
    let mut text = String::new();
    codes(&mut text, "Networks (`Series.network`)", Network::ALL.iter().map(|n| (n.code(), n.to_string())));
    let anchor = |rung: Rung| match (rung.is_anchor_of(Network::Gov), rung.is_anchor_of(Network::Internet)) {
        (true, _) => ", anchor",
        (false, true) => ", anchor of network 4",
        _ => "",
    };
    codes(&mut text, "Rungs (`Series.rung`)", Rung::ALL.iter().map(|r| (r.code(), format!("{r}{}", anchor(*r)))));
    codes(&mut text, "Probes (`Series.probe`)", ProbeKind::ALL.iter().map(|p| (p.code(), p.to_string())));
    let says = |outcome: Outcome| match outcome.verdict() {
        Verdict::Success => "success",
        Verdict::Failure => "failure",
        Verdict::NoEvidence => "no evidence",
    };
    let path = |outcome: Outcome| if outcome.proves_path() { ", proves the path" } else { "" };
    codes(&mut text, "Outcomes", Outcome::ALL.iter().map(|o| (o.code(), format!("{o}: {}{}", says(*o), path(*o)))));
    codes(&mut text, "Clock sources (`Clock.source`)", ClockSource::ALL.iter().map(|c| (c.code(), c.to_string())));
    codes(&mut text, "Reasons a batch was closed (`Batch.reason`)", Reason::ALL.iter().map(|r| (r.code(), r.to_string())));
    let ever = |reason: FaultReason| if reason.is_permanent() { "never taken" } else { "waits" };
    codes(&mut text, "Faults (`BatchFault.reason`)", FaultReason::ALL.iter().map(|r| (r.code(), format!("{r}: {}", ever(*r)))));
    writeln!(text, "\n### Metrics\n\n| code | name | unit | kind | precision | base | meaning |\n|---|---|---|---|---|---|---|").unwrap();
    for metric in Metric::ALL {
        let info = metric.info();
        let kind = if info.kind == MetricKind::Counter { "counter" } else { "gauge" };
        let precision = match info.precision {
            Precision::Step(n) => format!("step({n})"),
            Precision::Significant(n) => format!("significant({n})"),
        };
        let base = info.base.map_or(String::from("-"), |base| base.code().to_string());
        let source = if info.standard == "-" { String::new() } else { format!(" {}.", info.standard) };
        writeln!(text, "| {} | {} | {} | {kind} | {precision} | {base} | {}{source} |", metric.code(), info.name, info.unit, info.meaning)
            .unwrap();
    }
    text
}

#[test]
fn the_lists_of_the_public_text_are_those_of_the_programs() {
    hold("CONTRACT.md", |present| {
        let (before, rest) = present.split_once("<!-- generated -->\n").expect("a place for the lists");
        let (_, behind) = rest.split_once("<!-- end -->").expect("an end of the lists");
        format!("{before}<!-- generated -->\n{}\n<!-- end -->{behind}", lists())
    });
}

#[test]
fn the_limits_of_the_public_text_are_those_of_the_programs() {
    let text = std::fs::read_to_string(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("CONTRACT.md")).unwrap();
    let said = |what: &str| assert!(text.contains(what), "the public text does not say `{what}`");
    said(&format!("{} series in a table", grouped(limits::SERIES_PER_TABLE)));
    said(&format!("{} samples and {} places", grouped(limits::SAMPLES_PER_BATCH), grouped(limits::VALUES_PER_BATCH)));
    said(&format!("{} bytes in a payload", grouped(limits::FRAME_PAYLOAD_BYTES)));
    said(&format!("at most {}", grouped(limits::FRAMES_PER_UPLOAD)).replace("at most", "At most"));
    said(&format!("{} KiB.", limits::UPLOAD_BYTES / 1024));
    said(&format!("`metrics`: at most {}.", limits::METRICS_PER_SERIES));
    said(&format!("1 to {} bytes without", limits::NAME_BYTES));
}

fn grouped(number: usize) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// JSON by hand: names and numbers only, in an order that stays.
fn meaning(batch: &Batch) -> String {
    let values = |values: &[Option<i64>]| values.iter().map(|v| v.map_or("null".into(), |v| v.to_string())).collect::<Vec<_>>().join(", ");
    let sample = |s: &rusta_wire::Sample| {
        format!(
            "{{\"series\": {}, \"at_ms\": {}, \"outcome\": {}, \"values\": [{}]}}",
            s.series.0,
            s.at.0,
            s.outcome.code(),
            values(&s.values)
        )
    };
    let samples: Vec<_> = batch.samples.iter().map(sample).collect();
    format!(
        "{{\"agent\": \"{}\", \"boot\": \"{}\", \"sequence\": {}, \"covers\": {}, \"from_ms\": {}, \"span_ms\": {},\n      \
         \"clock\": {{\"unix_ms\": {}, \"source\": {}, \"uncertainty_ms\": {}}}, \"reason\": {}, \"summary_s\": {}, \"thinned\": {}, \
         \"dropped\": {}, \"table\": \"{}\",\n      \"samples\": [\n        {}\n      ]}}",
        batch.id.agent,
        batch.id.boot,
        batch.id.sequence,
        batch.covers,
        batch.from.0,
        batch.until.since(batch.from).as_millis(),
        batch.clock.unix.0,
        batch.clock.source.code(),
        batch.clock.uncertainty_ms,
        batch.reason.code(),
        batch.summary_s,
        batch.thinned,
        batch.dropped,
        batch.table,
        samples.join(",\n        "),
    )
}

fn table_meaning(table: &SeriesTable) -> String {
    let series = |s: &Series| {
        let metrics: Vec<_> = s.metrics.iter().map(|m| m.code().to_string()).collect();
        format!(
            "{{\"link\": \"{}\", \"network\": {}, \"target\": \"{}\", \"rung\": {}, \"probe\": {}, \"interval_s\": {}, \"metrics\": [{}], \"towards\": \"{}\"}}",
            s.link,
            s.network.code(),
            s.target,
            s.rung.code(),
            s.probe.code(),
            s.interval_s,
            metrics.join(", "),
            s.towards
        )
    };
    table.series.iter().map(series).collect::<Vec<_>>().join(",\n      ")
}

/// What a later version might send: codes, a metric, and fields that nobody knows yet.
fn later() -> (SeriesTable, Vec<u8>, Batch) {
    let mut table = shared::table();
    let mut new = table.series[0].clone();
    (new.network, new.rung, new.probe) = (Network::Unknown(900), Rung::Unknown(77), ProbeKind::Unknown(61));
    new.metrics.push(Metric::Unknown(5_000));
    new.target = "later".into();
    table.series.push(new);
    let encoded = [table.encode(), vec![0xf8, 0x3e, 0x01]].concat();
    let mut batch = shared::full_batch();
    batch.table = TableId::of(&encoded);
    (batch.reason, batch.clock.source) = (Reason::Unknown(9), ClockSource::Unknown(8));
    batch.samples[1].outcome = Outcome::Unknown(50);
    let mut values = batch.samples[0].values.clone();
    values.push(Some(-123_456));
    let series = rusta_wire::SeriesIndex(4);
    batch.samples.push(rusta_wire::Sample { series, at: batch.from, outcome: Outcome::Ok, values: values.clone() });
    batch.samples.push(rusta_wire::Sample { series, at: batch.until, outcome: Outcome::Timeout, values });
    (table, encoded, batch)
}

#[test]
fn the_neutral_vectors_mean_what_the_programs_read() {
    let table = shared::table();
    let (later_table, later_encoded, later_batch) = later();
    let extra = [0xf8, 0x3e, 0x2a];
    let batch = |name: &str, table: &str, payload: &[u8], batch: &Batch| {
        format!("    {{\"name\": \"{name}\", \"needs\": \"{table}\", \"hex\": \"{}\",\n     \"is\": {}}}", hex(payload), meaning(batch))
    };
    let full = shared::full_batch();
    let batches = [
        batch("plain", "first", &full.encode(&table).unwrap(), &full),
        batch("dense", "first", &full.encode_dense(&table).unwrap(), &full),
        batch("bare", "first", &shared::bare_batch().encode(&table).unwrap(), &shared::bare_batch()),
        batch("later, plain", "later", &[later_batch.encode(&later_table).unwrap(), extra.to_vec()].concat(), &later_batch),
        batch("later, dense", "later", &[later_batch.encode_dense(&later_table).unwrap(), extra.to_vec()].concat(), &later_batch),
    ];
    let tables = [("first", &table, table.encode()), ("later", &later_table, later_encoded)].map(|(name, table, encoded)| {
        format!(
            "    {{\"name\": \"{name}\", \"id\": \"{}\", \"hex\": \"{}\",\n     \"series\": [\n      {}]}}",
            TableId::of(&encoded),
            hex(&encoded),
            table_meaning(table)
        )
    });
    let body = Frame::new(FrameKind::Table, table.encode()).unwrap().to_bytes();
    let fault = BatchFault { boot: full.id.boot, sequence: full.id.sequence, reason: FaultReason::Overlap };
    let answer = Answer { upload: Some(upload_mark(&body)), faults: vec![fault], ..shared::answer() };
    let codes: Vec<_> = [-40_125i64, -1, 0, 4, 5, 14, 15, 2_549, 2_550, 2_560, 40_120, 5_000_000, 9_000_000_000_000]
        .map(|value| {
            let (significant, hours) = (Precision::Significant(10), Precision::Step(3_600));
            let back = |precision: Precision| precision.value(precision.code(value)).unwrap();
            format!(
                "    {{\"value\": {value}, \"significant(10)\": {{\"code\": {}, \"back\": {}}}, \"step(3600)\": {{\"code\": {}, \"back\": {}}}}}",
                significant.code(value),
                back(significant),
                hours.code(value),
                back(hours)
            )
        })
        .to_vec();
    let whole = format!(
        "{{\n  \"about\": \"Bytes of the contract with their meaning; wire/CONTRACT.md explains them. Written by wire/tests/contract.rs.\",\n  \
         \"precision\": [\n{}\n  ],\n  \"frame\": {{\"kind\": 1, \"payload_is\": \"table first\", \"hex\": \"{}\"}},\n  \"tables\": [\n{}\n  ],\n  \"batches\": [\n{}\n  ],\n  \
         \"answer\": {{\"hex\": \"{}\", \"is\": {{\"server_unix_ms\": {}, \"assignment_version\": {}, \"missing_tables\": [\"{}\", \"{}\"], \"retry_after_ms\": {}, \
         \"backlog_bytes\": {}, \"hold\": 1, \"reason\": \"{}\", \"upload\": {}, \"faults\": [{{\"boot\": \"{}\", \"sequence\": {}, \"reason\": 1}}]}}}}\n}}\n",
        codes.join(",\n"),
        hex(&body),
        tables.join(",\n"),
        batches.join(",\n"),
        hex(&answer.encode()),
        answer.server_time.0,
        answer.assignment_version,
        answer.missing_tables[0],
        answer.missing_tables[1],
        answer.retry_after_ms,
        answer.backlog_bytes,
        answer.reason,
        answer.upload.unwrap(),
        fault.boot,
        fault.sequence,
    );
    hold("../tests/golden/contract.json", |_| whole.clone());
    // And what was written is read: the same batch, and in the other coding the same bytes but for the columns.
    for bytes in [later_batch.encode(&later_table).unwrap(), later_batch.encode_dense(&later_table).unwrap()] {
        let bytes = [bytes, extra.to_vec()].concat();
        let (read, _) = Batch::decode_named(&bytes, &later_table, later_batch.table).unwrap();
        assert_eq!(read, later_batch);
        let plain = read.plain_again(&bytes, &later_table).unwrap();
        assert_eq!(plain, [later_batch.encode(&later_table).unwrap(), extra.to_vec()].concat());
        let dense = read.dense_again(&plain, &later_table).unwrap();
        assert_eq!(dense, [later_batch.encode_dense(&later_table).unwrap(), extra.to_vec()].concat());
    }
    assert_eq!(Answer::decode(&answer.encode()).unwrap(), answer);
}
