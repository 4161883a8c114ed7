//! `uqmi`, OpenWrt's small QMI tool: one JSON document per command.

use rusta_wire::Metric;
use serde_json::Value;

use super::{Facts, registration, sim};

/// The commands to run, each with its reader.
pub const COMMANDS: [&str; 6] =
    ["--get-signal-info", "--get-serving-system", "--get-system-info", "--get-data-status", "--uim-get-sim-state", "--get-iccid"];

/// Reads the output of one of [`COMMANDS`]; which one shows in its keys.
pub fn read(output: &str, facts: &mut Facts) {
    match serde_json::from_str(output) {
        // With E-UTRA and NR together the tool lists both; the anchor is E-UTRA.
        Ok(Value::Array(signals)) => {
            let is_nr = |s: &&Value| s["type"] == "5gnr";
            if signals.iter().any(|s| is_nr(&s)) {
                facts.note(Metric::Rat, 5);
            }
            signals.iter().filter(|s| !is_nr(s)).chain(signals.iter().filter(is_nr)).for_each(|s| signal(s, facts));
        }
        Ok(Value::String(word)) => {
            facts.note_iccid(&word);
            facts.note_some(Metric::BearerUp, bearer(&word));
        }
        Ok(document) => {
            signal(&document, facts);
            serving_system(&document, facts);
            system_info(&document, facts);
            sim_state(&document, facts);
        }
        Err(_) => {}
    }
}

fn bearer(status: &str) -> Option<i64> {
    match status {
        "connected" => Some(1),
        "disconnected" | "suspended" | "authenticating" => Some(0),
        _ => None,
    }
}

fn signal(signal: &Value, facts: &mut Facts) {
    let rat = match signal["type"].as_str() {
        Some("gsm") => 2,
        Some("wcdma" | "tdscdma" | "cdma" | "hdr") => 3,
        Some("lte") => 4,
        Some("5gnr") => 5,
        _ => return,
    };
    facts.note(Metric::Rat, rat);
    facts.note_some(Metric::RsrpDbm, signal["rsrp"].as_i64());
    facts.note_some(Metric::RssiDbm, signal["rssi"].as_i64());
    facts.note_tenths(Metric::RsrqCb, signal["rsrq"].as_f64());
    // Before March 2018 the tool printed tenths of a dB as an integer (124), since then dB with a point (12.4).
    let snr = &signal["snr"];
    facts.note_tenths(Metric::SinrCb, snr.as_i64().map(|tenths| tenths as f64 / 10.0).or_else(|| snr.as_f64()));
}

fn serving_system(document: &Value, facts: &mut Facts) {
    let state = match document["registration"].as_str() {
        Some("registered") if document["roaming"] == true => registration::ROAMING,
        Some("registered") => registration::HOME,
        Some("searching") => registration::SEARCHING,
        Some("registering_denied") => registration::DENIED,
        Some("not_registered") => registration::NONE,
        Some("unknown") => registration::UNKNOWN,
        _ => return,
    };
    facts.note(Metric::Registration, state);
    facts.note_plmn(document["plmn_mcc"].as_i64(), document["plmn_mnc"].as_i64());
}

fn system_info(document: &Value, facts: &mut Facts) {
    let lte = &document["lte"];
    if let (Some(node), Some(cell)) = (lte["enodeb_id"].as_i64(), lte["cell_id"].as_i64()) {
        facts.note(Metric::CellId, (node << 8) | (cell & 0xff));
    }
    facts.note_some(Metric::Tac, lte["tracking_area_code"].as_i64());
}

fn sim_state(document: &Value, facts: &mut Facts) {
    let state = match document["card_application_state"].as_str() {
        Some("ready") => sim::READY,
        Some("pin1_or_upin_pin_required") => sim::PIN,
        Some("puk1_or_upin_puk_required" | "pin1_blocked") => sim::PUK,
        Some("illegal" | "personalization_state_must_be_checked") => sim::FAILED,
        _ => return,
    };
    facts.note(Metric::SimState, state);
}
