//! Bytes written once and decoded for ever: a spool that lay in a village for a year must still be readable.
//!
//! Files in `tests/golden/wire/` are never rewritten. A change of the format adds files with the next version in
//! their names; `RUSTA_WRITE_GOLDEN=1` writes the ones that are missing.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::path::PathBuf;

use rusta_wire::{Answer, Batch, Frame, FrameKind, SeriesTable};

fn golden(name: &str, current: impl FnOnce() -> Vec<u8>) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/wire").join(name);
    if !path.exists() && std::env::var_os("RUSTA_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, current()).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

#[test]
fn the_first_table_still_reads_and_keeps_its_name() {
    let bytes = golden("v1-table.bin", || shared::table().encode());
    assert_eq!(SeriesTable::decode(&bytes).unwrap(), shared::table());
    // The name of a table is the hash of its bytes, so the encoder may not change either.
    assert_eq!(shared::table().encode(), bytes);
    assert_eq!(shared::table().id().to_string(), "f66154decdf8a4f9");
}

#[test]
fn the_first_batches_still_read() {
    for (name, expected) in [("v1-batch-full.bin", shared::full_batch()), ("v1-batch-bare.bin", shared::bare_batch())] {
        let bytes = golden(name, || expected.encode(&shared::table()).unwrap());
        assert_eq!(Batch::decode(&bytes, &shared::table()).unwrap(), expected, "{name}");
        assert_eq!(Batch::head(&bytes).unwrap().id, expected.id, "{name}");
    }
}

#[test]
fn the_first_dense_batches_still_read() {
    for (name, expected) in [("v2-batch-full.bin", shared::full_batch()), ("v2-batch-bare.bin", shared::bare_batch())] {
        let bytes = golden(name, || expected.encode_dense(&shared::table()).unwrap());
        assert_eq!(Batch::decode_any(&bytes, &shared::table()).unwrap(), (expected.clone(), true), "{name}");
        assert_eq!(Batch::head(&bytes).unwrap().id, expected.id, "{name}");
    }
}

#[test]
fn the_first_upload_still_reads() {
    let table = Frame::new(FrameKind::Table, shared::table().encode()).unwrap();
    let batch = Frame::new(FrameKind::Batch, shared::full_batch().encode(&shared::table()).unwrap()).unwrap();
    let bytes = golden("v1-upload.bin", || [table.to_bytes(), batch.to_bytes()].concat());
    let frames: Vec<_> = Frame::read_all(&bytes).map(Result::unwrap).collect();
    let kinds: Vec<_> = frames.iter().map(|f| f.kind).collect();
    assert_eq!(kinds, [FrameKind::Table, FrameKind::Batch]);
    let table = SeriesTable::decode(&frames[0].payload).unwrap();
    assert_eq!(Batch::decode(&frames[1].payload, &table).unwrap(), shared::full_batch());
}

#[test]
fn the_first_answer_still_reads() {
    let bytes = golden("v1-answer.bin", || shared::answer().encode());
    assert_eq!(Answer::decode(&bytes).unwrap(), shared::answer());
    let dense = Answer { reads_dense: true, ..shared::answer() };
    assert_eq!(Answer::decode(&golden("v2-answer.bin", || dense.encode())).unwrap(), dense);
}
