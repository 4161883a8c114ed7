//! What modems say, in whatever words they say it: pure readers of recorded outputs, one file per tool or protocol.
//!
//! Every reader fills the same [`Facts`], so a site's series do not change when its modem does. A fact outside its valid
//! range is how modems say "I do not know", and is left out.

pub mod at;
pub mod hilink;
pub mod mmcli;
pub mod ubus;
pub mod uqmi;

use rusta_wire::Metric;

use crate::sim::Iccid;

/// What is known of a modem.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    values: Vec<(Metric, i64)>,
    /// The number of its SIM.
    pub iccid: Option<Iccid>,
    /// The access point name of its first context.
    pub apn: Option<String>,
    /// Its network interfaces, by the kernel's names.
    pub interfaces: Vec<String>,
}

/// What a modem can tell, in the order of its series.
pub const METRICS: &[Metric] = &[
    Metric::SimState,
    Metric::Registration,
    Metric::Rat,
    Metric::Plmn,
    Metric::CellId,
    Metric::Tac,
    Metric::Pci,
    Metric::Band,
    Metric::RsrpDbm,
    Metric::RsrqCb,
    Metric::SinrCb,
    Metric::RssiDbm,
    Metric::BearerUp,
    Metric::SimId,
];

/// States of a SIM (`sim_state`).
pub mod sim {
    /// No card.
    pub const ABSENT: i64 = 0;
    /// Ready for use.
    pub const READY: i64 = 1;
    /// Waits for its PIN.
    pub const PIN: i64 = 2;
    /// Waits for its PUK.
    pub const PUK: i64 = 3;
    /// Broken.
    pub const FAILED: i64 = 4;
}

/// Registration states (`registration`), as TS 27.007 numbers them.
pub mod registration {
    /// Not registered and not trying.
    pub const NONE: i64 = 0;
    /// Registered at home.
    pub const HOME: i64 = 1;
    /// Looking for a network.
    pub const SEARCHING: i64 = 2;
    /// The network refused this SIM.
    pub const DENIED: i64 = 3;
    /// The modem does not know.
    pub const UNKNOWN: i64 = 4;
    /// Registered as a guest.
    pub const ROAMING: i64 = 5;
}

/// Valid ranges: TS 36.133 for RSRP and RSRQ (with the extensions of TS 38.133), what receivers can tell for SINR, TS 27.007
/// for RSSI, TS 23.003 for identities.
fn range(metric: Metric) -> (i64, i64) {
    match metric {
        Metric::RsrpDbm => (-140, -44),
        Metric::RsrqCb => (-340, 30),
        Metric::SinrCb => (-200, 300),
        Metric::RssiDbm => (-125, -25),
        Metric::SimState => (0, 4),
        Metric::Registration | Metric::Rat => (0, 5),
        Metric::Plmn => (10_000, 999_999),
        // 36 bits of NR cell identity hold the 28 of E-UTRA; all ones or zeros is a modem without a cell.
        Metric::CellId => (1, (1 << 36) - 2),
        // 0xFFFE and 0xFFFF are reserved, and so are their 24-bit brothers.
        Metric::Tac => (1, 0xff_fffd),
        Metric::Pci => (0, 1_007),
        Metric::SimId => (1, 0xff_ffff),
        Metric::Band => (1, 1_024),
        _ => (0, 1),
    }
}

impl Facts {
    /// Notes a fact if it is valid; the first reader to tell wins.
    pub fn note(&mut self, metric: Metric, value: i64) {
        let (least, most) = range(metric);
        if (least..=most).contains(&value) && self.get(metric).is_none() {
            self.values.push((metric, value));
        }
    }

    /// Notes a fact that may be absent.
    pub fn note_some(&mut self, metric: Metric, value: Option<i64>) {
        if let Some(value) = value {
            self.note(metric, value);
        }
    }

    /// Notes the number of the SIM, if this is one.
    pub fn note_iccid(&mut self, text: &str) {
        self.iccid = self.iccid.take().or_else(|| text.parse().ok());
    }

    /// Notes the access point name, if there is one.
    pub fn note_apn(&mut self, text: &str) {
        let apn = text.trim().trim_matches('"');
        self.apn = self.apn.take().or_else(|| (!apn.is_empty() && apn != "--").then(|| apn.to_owned()));
    }

    /// Notes a value in dB as tenths of a dB.
    pub fn note_tenths(&mut self, metric: Metric, value: Option<f64>) {
        self.note_some(metric, value.map(|db| (db * 10.0).round() as i64));
    }

    /// Notes the operator's code.
    pub fn note_plmn(&mut self, mcc: Option<i64>, mnc: Option<i64>) {
        if let (Some(mcc), Some(mnc)) = (mcc, mnc) {
            self.note(Metric::Plmn, mcc * if mnc < 100 { 100 } else { 1_000 } + mnc);
        }
    }

    /// Returns a fact.
    pub fn get(&self, metric: Metric) -> Option<i64> {
        self.values.iter().find(|(m, _)| *m == metric).map(|(_, value)| *value)
    }

    /// Tells whether nothing is known.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Returns all facts in the order of [`METRICS`].
    pub fn into_values(mut self) -> Vec<(Metric, i64)> {
        self.values.sort_by_key(|(metric, _)| METRICS.iter().position(|m| m == metric));
        self.values
    }
}

/// Reads the number a text starts with: modems write `-95dBm`, `>=-51dBm`, `12.5 dB`.
fn leading_number(text: &str) -> Option<f64> {
    let text = text.trim().trim_start_matches(['>', '<', '=']);
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '-' | '+' | '.'))).unwrap_or(text.len());
    text[..end].parse().ok()
}

fn hexadecimal(text: &str) -> Option<i64> {
    i64::from_str_radix(text.trim().trim_start_matches("0x"), 16).ok()
}

#[cfg(test)]
mod tests;
