//! What is tormented, with whole documents to start from.

use std::path::Path;

use rusta_wire::{Answer, Batch, Frame, FrameKind, SeriesTable};

/// One decoder.
pub struct Target {
    /// The name for `scripts/fuzz`.
    pub name: &'static str,
    /// Whole inputs.
    pub seeds: Vec<Vec<u8>>,
    /// Feeds it one input.
    pub run: fn(&[u8]),
}

fn file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn table() -> SeriesTable {
    SeriesTable::decode(&file("golden/wire/v1-table.bin")).unwrap()
}

/// Lists every target.
pub fn all() -> Vec<Target> {
    vec![
        Target { name: "frame", seeds: vec![file("golden/wire/v1-upload.bin")], run: frame },
        Target { name: "table", seeds: vec![file("golden/wire/v1-table.bin")], run: series_table },
        Target { name: "batch", seeds: vec![file("golden/wire/v1-batch-full.bin"), file("golden/wire/v1-batch-bare.bin")], run: batch },
        Target { name: "answer", seeds: vec![file("golden/wire/v1-answer.bin")], run: answer },
    ]
}

fn frame(bytes: &[u8]) {
    let table = table();
    for frame in Frame::read_all(bytes).flatten() {
        match frame.kind {
            FrameKind::Table => drop(SeriesTable::decode(&frame.payload)),
            FrameKind::Batch => drop(Batch::decode(&frame.payload, &table)),
            FrameKind::Mark => {}
        }
    }
}

fn series_table(bytes: &[u8]) {
    let Ok(table) = SeriesTable::decode(bytes) else { return };
    assert_eq!(SeriesTable::decode(&table.encode()).unwrap(), table);
}

/// What decodes also encodes, and means the same.
fn batch(bytes: &[u8]) {
    let table = table();
    let Ok(batch) = Batch::decode(bytes, &table) else { return };
    if let Ok(again) = batch.encode(&table) {
        assert_eq!(Batch::decode(&again, &table).unwrap(), batch);
    }
}

fn answer(bytes: &[u8]) {
    let Ok(answer) = Answer::decode(bytes) else { return };
    assert_eq!(Answer::decode(&answer.encode()).unwrap(), answer);
}
