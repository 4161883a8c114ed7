//! Reads a collector's log from its files, with no code of the collector.

use std::path::Path;

use rusta_wire::{AgentId, BatchId, BootId, Sequence};

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
