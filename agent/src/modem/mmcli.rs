//! `mmcli`, ModemManager's tool, with `-J`: every value is a string, `--` stands for none.

use rusta_wire::Metric;
use serde_json::Value;

use super::{Facts, hexadecimal, registration, sim};

/// The arguments of each run, after `-m <index>`.
pub const COMMANDS: [&[&str]; 3] = [&["-J"], &["--signal-get", "-J"], &["--location-get", "-J"]];

/// Makes ModemManager ask the modem for its signal: until somebody wants it to, it knows none. The seconds are those between its
/// looks; the setting lasts until it starts anew.
pub const SIGNAL_SETUP: &[&str] = &["--signal-setup=30"];

/// Tells from the output of `--signal-get` whether nobody has asked for the signal.
pub fn wants_setup(output: &str) -> bool {
    let rate = serde_json::from_str::<Value>(output).ok().and_then(|document| number(&document["modem"]["signal"]["refresh"]["rate"]));
    rate == Some(0.0)
}

/// Tells from the first output which SIM to ask about next; ModemManager's path of it.
pub fn sim_path(output: &str) -> Option<String> {
    let document = serde_json::from_str::<Value>(output).ok()?;
    document["modem"]["generic"]["sim"].as_str().filter(|path| path.starts_with('/')).map(str::to_owned)
}

/// Reads the output of one of [`COMMANDS`] or of `-i SIM -J`; which one shows in its keys.
pub fn read(output: &str, facts: &mut Facts) {
    let Ok(document) = serde_json::from_str::<Value>(output) else { return };
    let modem = &document["modem"];
    generic(&modem["generic"], facts);
    network(&modem["3gpp"], facts);
    let signal = &modem["signal"];
    for technology in ["lte", "5g"] {
        let signal = &signal[technology];
        facts.note_some(Metric::RsrpDbm, number(&signal["rsrp"]).map(|n| n.round() as i64));
        facts.note_some(Metric::RssiDbm, number(&signal["rssi"]).map(|n| n.round() as i64));
        facts.note_tenths(Metric::RsrqCb, number(&signal["rsrq"]));
        facts.note_tenths(Metric::SinrCb, number(&signal["snr"]));
    }
    let location = &modem["location"]["3gpp"];
    facts.note_some(Metric::CellId, location["cid"].as_str().and_then(hexadecimal));
    facts.note_some(Metric::Tac, location["tac"].as_str().and_then(hexadecimal));
    facts.note_iccid(document["sim"]["properties"]["iccid"].as_str().unwrap_or_default());
    facts.note_apn(modem["3gpp"]["eps"]["initial-bearer"]["settings"]["apn"].as_str().unwrap_or_default());
    let ports = modem["generic"]["ports"].as_array().into_iter().flatten().filter_map(Value::as_str);
    facts.interfaces.extend(ports.filter_map(|port| port.strip_suffix(" (net)")).map(str::to_owned));
}

fn number(value: &Value) -> Option<f64> {
    value.as_str()?.parse().ok()
}

fn generic(generic: &Value, facts: &mut Facts) {
    let Some(state) = generic["state"].as_str() else { return };
    facts.note(Metric::BearerUp, i64::from(state == "connected"));
    let sim_state = match (generic["state-failed-reason"].as_str(), generic["unlock-required"].as_str(), generic["sim"].as_str()) {
        (Some("sim-missing"), _, _) => Some(sim::ABSENT),
        (Some("sim-error"), _, _) => Some(sim::FAILED),
        (_, Some("sim-pin"), _) => Some(sim::PIN),
        (_, Some("sim-puk"), _) => Some(sim::PUK),
        (_, _, Some(path)) if path.starts_with('/') => Some(sim::READY),
        _ => None,
    };
    facts.note_some(Metric::SimState, sim_state);
    let technologies = generic["access-technologies"].as_array().into_iter().flatten().filter_map(Value::as_str);
    facts.note_some(Metric::Rat, technologies.filter_map(rat).max());
}

fn rat(technology: &str) -> Option<i64> {
    match technology {
        "gsm" | "gsm-compact" | "gprs" | "edge" => Some(2),
        "umts" | "hsdpa" | "hsupa" | "hspa" | "hspa-plus" => Some(3),
        "lte" | "lte-cat-m" | "lte-nb-iot" => Some(4),
        "5gnr" => Some(5),
        _ => None,
    }
}

fn network(network: &Value, facts: &mut Facts) {
    let state = match network["registration-state"].as_str() {
        Some("home" | "home-sms-only" | "home-csfb-not-preferred") => Some(registration::HOME),
        Some("roaming" | "roaming-sms-only" | "roaming-csfb-not-preferred") => Some(registration::ROAMING),
        Some("searching") => Some(registration::SEARCHING),
        Some("denied") => Some(registration::DENIED),
        Some("idle" | "emergency-only") => Some(registration::NONE),
        Some("unknown") => Some(registration::UNKNOWN),
        _ => None,
    };
    facts.note_some(Metric::Registration, state);
    facts.note_some(Metric::Plmn, network["operator-code"].as_str().and_then(|code| code.parse().ok()));
}
