//! Reads a collector's log and an agent's spool from their files, with no code of either.

use std::collections::HashMap;
use std::path::Path;
use std::rc::Rc;

use rusta_wire::{AgentId, Batch, BatchId, BootId, Frame, FrameKind, Metric, MonoMs, Outcome, Sample, Sequence, SeriesTable, TableId};

/// One stored batch.
#[derive(Debug, Clone, Copy)]
pub struct StoredBatch {
    /// Which.
    pub id: BatchId,
    /// How many sequence numbers it stands for.
    pub covers: u32,
}

/// Lists every batch in the day files of a log folder, one that lies there twice twice.
pub fn stored(folder: &Path) -> Vec<StoredBatch> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if !name.ends_with(".sqlite") || !name.starts_with(|c: char| c.is_ascii_digit()) {
            continue;
        }
        let db = rusqlite::Connection::open(&path).unwrap();
        let has_records = "SELECT count(*) FROM sqlite_schema WHERE name = 'records'";
        if db.query_row(has_records, [], |row| row.get::<_, i64>(0)).unwrap() == 0 {
            // A day that is being made just now.
            continue;
        }
        let mut statement = db.prepare("SELECT agent, boot, sequence, covers FROM records").unwrap();
        let rows = statement.query_map([], |row| Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])).unwrap();
        for [agent, boot, sequence, covers] in rows.map(Result::unwrap) {
            let [agent, boot, sequence] = [agent, boot, sequence].map(i64::cast_unsigned);
            let id = BatchId { agent: AgentId(agent), boot: BootId(boot), sequence: Sequence(sequence) };
            found.push(StoredBatch { id, covers: u32::try_from(covers).unwrap() });
        }
    }
    found
}

/// One batch in a spool's segments, done or not.
#[derive(Debug, Clone, Copy)]
pub struct SpooledBatch {
    /// Which.
    pub id: BatchId,
    /// How many samples it holds.
    pub samples: usize,
}

/// Lists every whole batch in the segments of a spool's folder; an agent may be writing there.
pub fn spooled(folder: &Path) -> Vec<SpooledBatch> {
    batches(folder).into_iter().map(|(_, batch)| SpooledBatch { id: batch.id, samples: batch.samples.len() }).collect()
}

/// Lists the values of one metric in a spool's folder, of all series.
pub fn spooled_values(folder: &Path, metric: Metric) -> Vec<i64> {
    let value_of = |table: &SeriesTable, sample: &Sample| table.series[usize::from(sample.series.0)].value(sample, metric);
    batches(folder).iter().flat_map(|(table, batch)| batch.samples.iter().filter_map(|sample| value_of(table, sample))).collect()
}

/// One round of a target.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// When it began.
    pub at: MonoMs,
    /// What came of it.
    pub outcome: Outcome,
    /// What was asked for, if it was measured.
    pub value: Option<i64>,
}

/// Lists a target's rounds in a spool's folder, in their order, each with its value of a metric.
pub fn rounds_of(folder: &Path, target: &str, metric: Metric) -> Vec<Round> {
    let mut rounds = Vec::new();
    for (table, batch) in batches(folder) {
        let of_target = batch.samples.iter().filter(|sample| table.series[usize::from(sample.series.0)].target == target);
        let round = |sample: &Sample| Round {
            at: sample.at,
            outcome: sample.outcome,
            value: table.series[usize::from(sample.series.0)].value(sample, metric),
        };
        rounds.extend(of_target.map(round));
    }
    rounds.sort_by_key(|round| round.at);
    rounds
}

fn batches(folder: &Path) -> Vec<(Rc<SeriesTable>, Batch)> {
    let mut segments: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "journal"));
    segments.sort();
    let (mut tables, mut found) = (HashMap::new(), Vec::new());
    for segment in segments {
        let bytes = std::fs::read(segment).unwrap_or_default();
        for frame in Frame::read_all(&bytes).map_while(Result::ok) {
            match frame.kind {
                FrameKind::Table => {
                    let table = Rc::new(SeriesTable::decode(&frame.payload).unwrap());
                    tables.insert(TableId::of(&frame.payload), table);
                }
                FrameKind::Batch => {
                    let table = &tables[&Batch::head(&frame.payload).unwrap().table];
                    found.push((table.clone(), Batch::decode(&frame.payload, table).unwrap()));
                }
                FrameKind::Mark => {}
            }
        }
    }
    found
}
