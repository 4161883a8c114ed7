//! Every decoder of bytes from outside, with whole documents to start from: for the fuzz tests and `cargo fuzz`.

use std::path::Path;
use std::sync::LazyLock;

use rusta_agent::config::Config;
use rusta_agent::modem::{self, Facts};
use rusta_agent::packet::{certificate, dns, http, http2, ntp, sip};
use rusta_collector::inventory::source::{self, Files};
use rusta_wire::journal::Journal;
use rusta_wire::{Answer, Batch, Frame, FrameKind, SeriesTable, UnixMs};

use crate::hostile;

/// One decoder.
pub struct Decoder {
    /// The name: of the `cargo fuzz` target, and of the folder with its seeds.
    pub name: &'static str,
    /// Whole inputs; with those in `tests/golden/fuzz/NAME/`, see [`corpus`].
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

/// Reads the seeds of a decoder that are files: recorded answers, and inputs that once found a fault.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/fuzz").join(name);
    let mut files: Vec<_> = std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.iter().map(|file| std::fs::read(file).unwrap()).collect()
}

/// Lists every decoder with all its seeds.
pub fn all() -> Vec<Decoder> {
    let mut all = decoders();
    for decoder in &mut all {
        decoder.seeds.extend(corpus(decoder.name));
        assert!(!decoder.seeds.is_empty(), "{} has nothing to start from", decoder.name);
    }
    all
}

/// Drives log, engine and history with valid batches of one identity that any bytes choose; the other villages must not change.
fn ingest(bytes: &[u8]) {
    const MINUTES: i64 = 8;
    static WITHOUT: LazyLock<Vec<String>> = LazyLock::new(|| hostile::others(MINUTES, &[]));
    let sent = hostile::from_bytes(bytes, MINUTES);
    assert_eq!(hostile::others(MINUTES, &sent), *WITHOUT, "what one identity sent changed what is kept of the others");
}

fn hostile_seeds() -> Vec<Vec<u8>> {
    (0..4u64).map(|seed| (0..32u64).flat_map(|n| (seed << 32 | n).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes()).collect()).collect()
}

fn decoders() -> Vec<Decoder> {
    vec![
        Decoder { name: "frame", seeds: vec![file("golden/wire/v1-upload.bin")], run: frame },
        Decoder { name: "table", seeds: vec![file("golden/wire/v1-table.bin")], run: series_table },
        Decoder { name: "batch", seeds: batches(), run: batch },
        Decoder { name: "answer", seeds: vec![file("golden/wire/v1-answer.bin")], run: answer },
        Decoder { name: "journal", seeds: vec![file("golden/wire/v1-upload.bin"), segment()], run: journal },
        Decoder { name: "ingest", seeds: hostile_seeds(), run: ingest },
        Decoder { name: "dns", seeds: vec![dns_answer()], run: dns_message },
        Decoder { name: "ntp", seeds: vec![ntp_answer()], run: ntp_message },
        Decoder { name: "sip", seeds: vec![SIP_OK.into()], run: sip_message },
        Decoder { name: "snmp", seeds: vec![], run: snmp_response },
        Decoder { name: "at", seeds: vec![], run: at_answer },
        Decoder { name: "uqmi", seeds: vec![], run: |bytes| modem_tool(bytes, modem::uqmi::read) },
        Decoder { name: "mmcli", seeds: vec![], run: |bytes| modem_tool(bytes, modem::mmcli::read) },
        Decoder { name: "ubus", seeds: vec![UBUS.into()], run: |bytes| modem_tool(bytes, modem::ubus::read) },
        Decoder { name: "hilink", seeds: vec![], run: |bytes| modem_tool(bytes, modem::hilink::read) },
        Decoder { name: "http", seeds: http_answers(), run: http_answer },
        Decoder { name: "http2", seeds: vec![http2_answer()], run: http2_bytes },
        Decoder { name: "certificate", seeds: vec![self_signed()], run: certificate_der },
        Decoder { name: "agent-config", seeds: vec![file("../configs/agent.yaml")], run: agent_config },
        Decoder { name: "collector-config", seeds: vec![collector_yaml()], run: collector_config },
        Decoder { name: "alert-rules", seeds: vec![file("../configs/alerts.yaml")], run: alert_rules },
        Decoder { name: "inventory-list", seeds: vec![file("../configs/inventory/links.csv"), REGIONS.into()], run: inventory_list },
        Decoder { name: "inventory-document", seeds: inventory_documents(), run: inventory_document },
    ]
}

const REGIONS: &str = "code,kind,parent_code,name_fa,households\n09,province,,استان,\n0901,county,09,شهرستان,12\n";

/// What a collector sends on a new connection: settings, a refusal with `retry-after`, goodbye.
fn http2_answer() -> Vec<u8> {
    let frames: [&[u8]; 5] = [
        &[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 16],
        &[0, 0, 0, 4, 1, 0, 0, 0, 0],
        &[0, 0, 9, 1, 4, 0, 0, 0, 1, 0x48, 0x82, 0x68, 0x4f, 0x0f, 0x26, 2, b'3', b'0'],
        &[0, 0, 4, 0, 1, 0, 0, 0, 1, b'b', b'u', b's', b'y'],
        &[0, 0, 8, 7, 0, 0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0],
    ];
    frames.concat()
}

/// In pieces too, because a frame may come in any.
fn http2_bytes(bytes: &[u8]) {
    for step in [bytes.len().max(1), 7] {
        let mut client = http2::Client::new("collector.example:8443".into());
        let asked = client.request(http2::Request { path: "/v1/batches", body: Some(("a/b", vec![7; 70_000])), once: &[] });
        assert!(asked.is_ok());
        let taken = bytes.chunks(step).try_for_each(|piece| client.receive(piece));
        assert!(taken.is_err() || client.take_response().is_none_or(|response| (200..600).contains(&response.status.0)));
    }
}

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

const NONCE: u64 = 0x0102_0304_0506_0708;

fn ntp_answer() -> Vec<u8> {
    let mut packet = ntp::query(NONCE).to_vec();
    let sent = packet[40..48].to_vec();
    packet[24..32].copy_from_slice(&sent);
    (packet[0], packet[1]) = (0x24, 2);
    packet
}

const SIP_OK: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK0102030405060708\r\nCSeq: 1 OPTIONS\r\n\
    Content-Length: 0\r\n\r\n";

const UBUS: &str = r#"{"up": true, "uptime": 3021, "l3_device": "wwan0", "ipv4-address": [{"address": "10.71.3.9", "mask": 30}]}"#;

fn ntp_message(bytes: &[u8]) {
    if let Ok(Some(answer)) = ntp::answer(bytes, NONCE) {
        let _ = ntp::offset_us(&answer, 0, 0);
    }
}

fn sip_message(bytes: &[u8]) {
    let _ = sip::answer(bytes, NONCE);
}

/// What the agent's SNMP client makes of a datagram before it believes anything in it.
fn snmp_response(bytes: &[u8]) {
    let decoded = snmp::message::Message::decode(bytes.to_vec().into(), snmp::DecodeConfig::default());
    drop(decoded);
}

fn modem_tool(bytes: &[u8], read: fn(&str, &mut Facts)) {
    let text = String::from_utf8_lossy(bytes);
    let mut facts = Facts::default();
    read(&text, &mut facts);
    // Every fact a modem tells is in its metric's range, or is left out.
    for (metric, value) in facts.into_values() {
        assert!(modem::METRICS.contains(&metric), "{metric:?} = {value} is no fact of a modem");
    }
}

fn at_answer(bytes: &[u8]) {
    modem_tool(bytes, modem::at::read);
    let text = String::from_utf8_lossy(bytes);
    let _ = modem::at::is_complete(&text);
    if let Some(message) = modem::at::ussd(&text) {
        let _ = modem::at::balance_kib(&message);
    }
}

/// A segment of a spool: a table, batches, and what is left of a batch the power cut.
fn segment() -> Vec<u8> {
    let mut bytes = file("golden/wire/v1-upload.bin");
    let batch = Frame::new(FrameKind::Batch, file("golden/wire/v1-batch-bare.bin")).unwrap().to_bytes();
    bytes.extend_from_slice(&batch);
    bytes.extend_from_slice(&batch[..batch.len() / 2]);
    bytes
}

/// Whatever a segment holds, the journal opens; each frame it showed can be read again, also after more was appended.
fn journal(bytes: &[u8]) {
    let memory = Path::new("/dev/shm");
    let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    std::fs::write(dir.path().join("0000000001.journal"), bytes).unwrap();
    let mut places = Vec::new();
    let (mut journal, found) = Journal::open(dir.path(), 1 << 20, |place, _| places.push(place)).unwrap();
    assert_eq!(found.frames, places.len() as u64);
    places.extend(journal.append(&[Frame::new(FrameKind::Mark, vec![7; 9]).unwrap()]).unwrap());
    drop(journal);
    let mut again = Vec::new();
    let (journal, _) = Journal::open(dir.path(), 1 << 20, |place, _| again.push(place)).unwrap();
    assert_eq!(again, places, "what was there is not what is there");
    assert!(places.iter().all(|place| journal.read(*place).is_ok()));
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
    if let Err(mistakes) = Config::parse(text) {
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
fn batches() -> Vec<Vec<u8>> {
    ["v1-batch-full", "v1-batch-bare", "v2-batch-full", "v2-batch-bare"].map(|name| file(&format!("golden/wire/{name}.bin"))).into()
}

fn batch(bytes: &[u8]) {
    let table = table();
    let Ok(batch) = Batch::decode(bytes, &table) else { return };
    if let Ok(again) = batch.encode(&table) {
        assert_eq!(Batch::decode(&again, &table).unwrap(), batch);
        assert_eq!(Batch::decode(&batch.encode_dense(&table).unwrap(), &table).unwrap(), batch);
    }
}

fn answer(bytes: &[u8]) {
    let Ok(answer) = Answer::decode(bytes) else { return };
    assert_eq!(Answer::decode(&answer.encode()).unwrap(), answer);
}

fn certificate_der(bytes: &[u8]) {
    let _ = certificate::Certificate::read(bytes);
}
