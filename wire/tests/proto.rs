//! Holds `wire/rusta.proto`, the public contract for other languages, against the Rust types: what Rust writes is read
//! with the schema alone, field by field, and what the schema writes is read by Rust.

// A test is allowed to fail.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod shared;

use std::path::Path;

use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};
use rusta_wire::{Answer, Batch, SeriesTable};

fn schema() -> DescriptorPool {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    DescriptorPool::from_file_descriptor_set(protox::compile(["rusta.proto"], [here]).unwrap()).unwrap()
}

/// Reads `bytes` with the schema, and proves that the schema names every field in them.
fn read(message: &str, bytes: &[u8]) -> DynamicMessage {
    let descriptor = schema().get_message_by_name(&format!("rusta.v1.{message}")).unwrap();
    let read = DynamicMessage::decode(descriptor, bytes).unwrap();
    assert_no_unknown_field(&read);
    read
}

fn assert_no_unknown_field(message: &DynamicMessage) {
    let name = message.descriptor().full_name().to_string();
    assert_eq!(message.unknown_fields().count(), 0, "{name} has fields the .proto does not name");
    for (_, value) in message.fields() {
        let inner: Vec<&Value> = value.as_list().map_or_else(|| vec![value], |list| list.iter().collect());
        inner.into_iter().filter_map(Value::as_message).for_each(assert_no_unknown_field);
    }
}

fn field<'a>(message: &'a DynamicMessage, name: &str) -> std::borrow::Cow<'a, Value> {
    message.get_field_by_name(name).unwrap_or_else(|| panic!("{name} is not in the .proto"))
}

fn number(message: &DynamicMessage, name: &str) -> i128 {
    match &*field(message, name) {
        Value::U32(v) => i128::from(*v),
        Value::U64(v) => i128::from(*v),
        Value::I64(v) => i128::from(*v),
        other => panic!("{name} is {other:?}"),
    }
}

#[test]
fn a_table_means_the_same_in_the_schema() {
    let table = shared::table();
    let message = read("SeriesTable", &table.encode());
    let series = field(&message, "series");
    let series = series.as_list().unwrap();
    assert_eq!(series.len(), table.series.len());
    for (value, expected) in series.iter().zip(&table.series) {
        let one = value.as_message().unwrap();
        assert_eq!(field(one, "link").as_str(), Some(expected.link.as_str()));
        assert_eq!(field(one, "target").as_str(), Some(expected.target.as_str()));
        assert_eq!(field(one, "towards").as_str(), Some(expected.towards.as_str()));
        assert_eq!(number(one, "network"), i128::from(expected.network.code()));
        assert_eq!(number(one, "rung"), i128::from(expected.rung.code()));
        assert_eq!(number(one, "probe"), i128::from(expected.probe.code()));
        assert_eq!(number(one, "interval_s"), i128::from(expected.interval_s));
        let metrics = field(one, "metrics");
        let metrics: Vec<_> = metrics.as_list().unwrap().iter().map(|m| m.as_u32().unwrap()).collect();
        assert_eq!(metrics, expected.metrics.iter().map(|m| u32::from(m.code())).collect::<Vec<_>>());
    }
    assert_eq!(SeriesTable::decode(&message.encode_to_vec()).unwrap(), table);
}

#[test]
fn a_batch_means_the_same_in_the_schema() {
    let batch = shared::full_batch();
    let message = read("Batch", &batch.encode(&shared::table()).unwrap());
    assert_eq!(number(&message, "agent"), i128::from(batch.id.agent.0));
    assert_eq!(number(&message, "boot"), i128::from(batch.id.boot.0));
    assert_eq!(number(&message, "sequence"), i128::from(batch.id.sequence.0));
    assert_eq!(number(&message, "covers"), i128::from(batch.covers));
    assert_eq!(number(&message, "from_ms"), i128::from(batch.from.0));
    assert_eq!(number(&message, "span_ms"), i128::from(batch.until.0 - batch.from.0));
    assert_eq!(number(&message, "reason"), i128::from(batch.reason.code()));
    assert_eq!(number(&message, "summary_s"), i128::from(batch.summary_s));
    assert_eq!(number(&message, "thinned"), i128::from(batch.thinned));
    assert_eq!(number(&message, "dropped"), i128::from(batch.dropped));
    assert_eq!(number(&message, "table"), i128::from(batch.table.0));
    let clock = field(&message, "clock");
    let clock = clock.as_message().unwrap();
    assert_eq!(number(clock, "unix_ms"), i128::from(batch.clock.unix.0));
    assert_eq!(number(clock, "source"), i128::from(batch.clock.source.code()));
    assert_eq!(number(clock, "uncertainty_ms"), i128::from(batch.clock.uncertainty_ms));
    assert_eq!(Batch::decode(&message.encode_to_vec(), &shared::table()).unwrap(), batch);
    let bare = read("Batch", &shared::bare_batch().encode(&shared::table()).unwrap());
    assert_eq!(Batch::decode(&bare.encode_to_vec(), &shared::table()).unwrap(), shared::bare_batch());
    let dense = read("Batch", &batch.encode_dense(&shared::table()).unwrap());
    assert_eq!(Batch::decode(&dense.encode_to_vec(), &shared::table()).unwrap(), batch);
}

#[test]
fn the_columns_can_be_read_with_the_schema_alone() {
    let message = read("Batch", &shared::full_batch().encode(&shared::table()).unwrap());
    let values = field(&message, "values");
    let values: Vec<_> = values.as_list().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    // Samples of each series, as the difference to the series before.
    assert_eq!(values[..4], [3, -2, 1, -1]);
    // The first series' times, in 100 ms: on the schedule twice (a run of two zeros), then 45 s early.
    assert_eq!(values[4..7], [0, 1, -450]);
    // Samples that are not ok, as (skipped, outcome): the second of the first series times out, the next series refuses.
    let outcomes = field(&message, "outcomes");
    let outcomes: Vec<_> = outcomes.as_list().unwrap().iter().map(|v| v.as_u32().unwrap()).collect();
    assert_eq!(outcomes, [1, 1, 1, 2, 2, 11]);
}

#[test]
fn an_answer_means_the_same_in_the_schema() {
    let answer = shared::answer();
    let message = read("Answer", &answer.encode());
    assert_eq!(number(&message, "server_unix_ms"), i128::from(answer.server_time.0));
    assert_eq!(number(&message, "assignment_version"), i128::from(answer.assignment_version));
    assert_eq!(number(&message, "retry_after_ms"), i128::from(answer.retry_after_ms));
    assert_eq!(number(&message, "backlog_bytes"), i128::from(answer.backlog_bytes));
    assert_eq!(number(&message, "hold"), 1);
    assert_eq!(field(&message, "reason").as_str(), Some(answer.reason.as_str()));
    let missing = field(&message, "missing_tables");
    let missing: Vec<_> = missing.as_list().unwrap().iter().map(|v| v.as_u64().unwrap()).collect();
    assert_eq!(missing, answer.missing_tables.iter().map(|t| t.0).collect::<Vec<_>>());
    assert_eq!(Answer::decode(&message.encode_to_vec()).unwrap(), answer);
    let dense = read("Answer", &Answer { reads_dense: true, ..answer }.encode());
    assert_eq!(field(&dense, "reads_dense").as_bool(), Some(true));
}
