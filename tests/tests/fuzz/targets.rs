//! What is tormented, with whole documents to start from.

use std::path::Path;

use rusta_agent::config::{Config, Machine};
use rusta_agent::packet::{certificate, dns, http};
use rusta_collector::inventory::source::{self, Files};
use rusta_wire::{Answer, Batch, Frame, FrameKind, SeriesTable, UnixMs};

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
        Target { name: "dns", seeds: vec![dns_answer()], run: dns_message },
        Target { name: "http", seeds: http_answers(), run: http_answer },
        Target { name: "certificate", seeds: vec![self_signed()], run: certificate_der },
        Target { name: "agent-config", seeds: vec![file("../configs/agent.yaml")], run: agent_config },
        Target { name: "collector-config", seeds: vec![collector_yaml()], run: collector_config },
        Target { name: "alert-rules", seeds: vec![file("../configs/alerts.yaml")], run: alert_rules },
        Target { name: "inventory-list", seeds: vec![file("../configs/inventory/links.csv"), REGIONS.into()], run: inventory_list },
        Target { name: "inventory-document", seeds: inventory_documents(), run: inventory_document },
    ]
}

const REGIONS: &str = "code,kind,parent_code,name_fa,households\n09,province,,استان,\n0901,county,09,شهرستان,12\n";

/// An answer with one address to [`dns_query`].
fn dns_answer() -> Vec<u8> {
    let mut message = dns_query();
    (message[2], message[3], message[7]) = (0x81, 0x80, 1);
    message.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    message
}

fn dns_query() -> Vec<u8> {
    dns::query(7, "portal.example", dns::Record::A).unwrap()
}

fn dns_message(bytes: &[u8]) {
    let _ = dns::answer(bytes, &dns_query());
}

fn http_answers() -> Vec<Vec<u8>> {
    vec![
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_vec(),
        b"HTTP/1.1 302 Found\r\nLocation: https://portal.example/fa\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhello\r\n0\r\n\r\n"
            .to_vec(),
    ]
}

fn http_answer(bytes: &[u8]) {
    let Ok(Some(head)) = http::head(bytes) else { return };
    let mut body = http::Body::new(head.framing, 4096);
    let _ = body.feed(&bytes[head.length.min(bytes.len())..]);
    assert!(body.bytes.len() <= 4096, "the body limit does not hold");
}

fn self_signed() -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["portal.example".to_string()]).unwrap();
    made.cert.der().to_vec()
}

fn agent_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(mistakes) = Config::parse(text, &Machine::default()) {
        assert!(!mistakes.is_empty(), "refused without a reason");
    }
}

fn collector_yaml() -> Vec<u8> {
    b"data_dir: /tmp/x\nagents: { listen: \"0.0.0.0:8443\", names: [a] }\nthresholds: { cycle: 60s, degraded_loss: 0.05 }\n".to_vec()
}

fn collector_config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = rusta_collector::config::parse("collector.yaml", text);
}

fn alert_rules(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = rusta_collector::rules::parse("alerts.yaml", text);
}

/// Any draft that can be read is built into a version or refused with its faults.
fn inventory(name: &str, bytes: &[u8]) {
    let mut files = Files::from([("regions.csv".to_string(), REGIONS.into())]);
    files.insert(name.into(), bytes.to_vec());
    if let Ok(draft) = source::draft(&files) {
        let _ = draft.build(1, UnixMs(0));
    }
}

fn inventory_list(bytes: &[u8]) {
    for name in ["regions.csv", "links.csv"] {
        inventory(name, bytes);
    }
}

fn inventory_documents() -> Vec<Vec<u8>> {
    ["profiles", "services", "calendars", "maintenance", "events"].map(|name| file(&format!("../configs/inventory/{name}.yaml"))).into()
}

fn inventory_document(bytes: &[u8]) {
    for name in ["profiles.yaml", "services.yaml", "calendars.yaml", "maintenance.yaml", "events.yaml"] {
        inventory(name, bytes);
    }
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

fn certificate_der(bytes: &[u8]) {
    let _ = certificate::Certificate::read(bytes);
}
