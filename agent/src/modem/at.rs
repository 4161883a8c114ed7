//! AT commands (TS 27.007, and Quectel's own), and USSD answers.

use rusta_wire::Metric;

use super::{Facts, hexadecimal, registration, sim};

/// What is asked of a modem. Who does not know a command answers ERROR, which says nothing: `+CCID` is everybody's but Quectel's,
/// the last three are Quectel's.
pub const COMMANDS: [&str; 11] = [
    "AT+CPIN?",
    "AT+CEREG?",
    "AT+COPS?",
    "AT+CESQ",
    "AT+CSQ",
    "AT+CGPADDR",
    "AT+CGDCONT?",
    "AT+CCID",
    "AT+QCCID",
    "AT+QCSQ",
    "AT+QENG=\"servingcell\"",
];

/// Tells whether an answer is complete: its last line is a final result code (V.250 section 5.7.1).
pub fn is_complete(answer: &str) -> bool {
    let last = answer.trim_end().rsplit(['\r', '\n']).next().unwrap_or_default();
    let is_final = matches!(last, "OK" | "ERROR" | "NO CARRIER") || last.starts_with("+CME ERROR:") || last.starts_with("+CMS ERROR:");
    is_final && answer.ends_with(['\r', '\n'])
}

/// Reads the lines of an answer; which command it answers shows in them.
pub fn read(answer: &str, facts: &mut Facts) {
    for line in answer.split(['\r', '\n']) {
        let Some((name, rest)) = line.trim().split_once(": ") else {
            // SIMCom says the ICCID without a name.
            facts.note_iccid(line);
            continue;
        };
        let fields: Vec<&str> = rest.split(',').map(|field| field.trim().trim_matches('"')).collect();
        let number = |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok());
        match name {
            "+CPIN" => facts.note_some(Metric::SimState, pin(rest)),
            "+CME ERROR" => facts.note_some(Metric::SimState, sim_error(rest)),
            "+CCID" | "+QCCID" | "^ICCID" | "+ICCID" => facts.note_iccid(rest),
            // The first context is the one that is used.
            "+CGDCONT" if fields.first() == Some(&"1") => facts.note_apn(fields.get(2).copied().unwrap_or_default()),
            "+CEREG" => cereg(&fields, facts),
            "+COPS" => cops(&fields, facts),
            "+CESQ" => {
                // 255 is "not known", which no range holds.
                facts.note_some(Metric::RsrqCb, number(4).filter(|n| (0..=34).contains(n)).map(|n| n * 5 - 195));
                facts.note_some(Metric::RsrpDbm, number(5).filter(|n| (0..=97).contains(n)).map(|n| n - 140));
            }
            // The modem reports 99 for "not known", not a strong signal.
            "+CSQ" => facts.note_some(Metric::RssiDbm, number(0).filter(|n| (0..=31).contains(n)).map(|n| 2 * n - 113)),
            "+CGPADDR" => facts.note(Metric::BearerUp, i64::from(fields.iter().skip(1).any(|address| is_address(address)))),
            "+QCSQ" if fields.first() == Some(&"LTE") => {
                facts.note_some(Metric::RssiDbm, number(1));
                facts.note_some(Metric::RsrpDbm, number(2));
                // Fifths of a dB from -20 dB on.
                facts.note_some(Metric::SinrCb, number(3).filter(|n| (0..=250).contains(n)).map(|n| n * 2 - 200));
                facts.note_some(Metric::RsrqCb, number(4).map(|db| db * 10));
            }
            "+QENG" if fields.first() == Some(&"servingcell") => serving_cell(&fields, facts),
            _ => {}
        }
    }
}

fn pin(state: &str) -> Option<i64> {
    match state.trim() {
        "READY" => Some(sim::READY),
        "SIM PIN" | "SIM PIN2" => Some(sim::PIN),
        "SIM PUK" | "SIM PUK2" => Some(sim::PUK),
        "NOT INSERTED" => Some(sim::ABSENT),
        _ => None,
    }
}

/// Reads the errors that are about the SIM (TS 27.007 section 9.2.1).
fn sim_error(error: &str) -> Option<i64> {
    match error.trim() {
        "10" | "SIM not inserted" => Some(sim::ABSENT),
        "11" | "SIM PIN required" => Some(sim::PIN),
        "12" | "SIM PUK required" => Some(sim::PUK),
        "13" | "15" | "SIM failure" | "SIM wrong" => Some(sim::FAILED),
        _ => None,
    }
}

/// Reads `+CEREG: <n>,<stat>[,<tac>,<ci>,<AcT>]`.
fn cereg(fields: &[&str], facts: &mut Facts) {
    let Some(state) = fields.get(1).and_then(|field| field.parse::<i64>().ok()) else { return };
    let state = match state {
        6 | 9 => registration::HOME,
        7 | 10 => registration::ROAMING,
        state => state,
    };
    facts.note(Metric::Registration, state);
    facts.note_some(Metric::Tac, fields.get(2).and_then(|field| hexadecimal(field)));
    facts.note_some(Metric::CellId, fields.get(3).and_then(|field| hexadecimal(field)));
    facts.note_some(Metric::Rat, fields.get(4).and_then(|field| technology(field)));
}

/// Reads `+COPS: <mode>,<format>,<oper>,<AcT>`; only format 2 is a number.
fn cops(fields: &[&str], facts: &mut Facts) {
    if fields.get(1) == Some(&"2") {
        facts.note_some(Metric::Plmn, fields.get(2).and_then(|field| field.parse().ok()));
    }
    facts.note_some(Metric::Rat, fields.get(3).and_then(|field| technology(field)));
}

/// `<AcT>` of TS 27.007 section 7.3.
fn technology(field: &str) -> Option<i64> {
    match field.parse::<i64>().ok()? {
        0 | 1 | 3 => Some(2),
        2 | 4..=6 => Some(3),
        7..=9 => Some(4),
        10..=13 => Some(5),
        _ => None,
    }
}

fn is_address(text: &str) -> bool {
    // An IPv6 address may come as sixteen numbers with dots; no address at all comes as zeros or as nothing.
    text.contains(['.', ':']) && text.chars().any(|c| c.is_ascii_digit() && c != '0')
}

/// Reads an LTE serving cell: state, "LTE", duplex, mcc, mnc, cell, pci, earfcn, band, two bandwidths, tac, rsrp, rsrq, rssi.
/// The SINR that follows has another unit with each firmware and is taken from `+QCSQ` instead.
fn serving_cell(fields: &[&str], facts: &mut Facts) {
    let state = match fields.get(1) {
        Some(&"SEARCH") => Some(registration::SEARCHING),
        Some(&"LIMSRV") => Some(registration::NONE),
        _ => None,
    };
    facts.note_some(Metric::Registration, state);
    if fields.get(2) != Some(&"LTE") {
        return;
    }
    let number = |at: usize| fields.get(at).and_then(|field| field.parse::<i64>().ok());
    facts.note(Metric::Rat, 4);
    facts.note_plmn(number(4), number(5));
    facts.note_some(Metric::CellId, fields.get(6).and_then(|field| hexadecimal(field)));
    facts.note_some(Metric::Pci, number(7));
    facts.note_some(Metric::Band, number(9));
    facts.note_some(Metric::Tac, fields.get(12).and_then(|field| hexadecimal(field)));
    facts.note_some(Metric::RsrpDbm, number(13));
    facts.note_some(Metric::RsrqCb, number(14).map(|db| db * 10));
    facts.note_some(Metric::RssiDbm, number(15));
}

/// Reads the text of a USSD answer, `+CUSD: <m>,"<text>",<dcs>`; the text may be UCS-2 in hexadecimal.
pub fn ussd(answer: &str) -> Option<String> {
    let rest = answer.split_once("+CUSD:")?.1;
    let (_, quoted) = rest.split_once('"')?;
    let (text, after) = quoted.rsplit_once('"')?;
    let scheme: u8 = after.trim_start_matches(',').split(['\r', '\n']).next()?.trim().parse().unwrap_or(15);
    let is_ucs2 = scheme == 72 || scheme & 0xcc == 0x48;
    let looks_ucs2 = text.len() >= 4 && text.len().is_multiple_of(4) && text.bytes().all(|b| b.is_ascii_hexdigit());
    Some(if is_ucs2 || looks_ucs2 && text.starts_with("06") { from_ucs2(text)? } else { text.to_owned() })
}

fn from_ucs2(text: &str) -> Option<String> {
    let units: Option<Vec<u16>> =
        text.as_bytes().chunks_exact(4).map(|unit| u16::from_str_radix(std::str::from_utf8(unit).ok()?, 16).ok()).collect();
    String::from_utf16(&units?).ok()
}

/// Finds the data that is left in an operator's text, in KiB: the first number with a unit of volume, in Latin or Persian.
pub fn balance_kib(text: &str) -> Option<i64> {
    let text: String = text.chars().map(latin_digit).collect();
    let mut at = 0;
    while let Some(start) = text[at..].find(|c: char| c.is_ascii_digit()).map(|i| at + i) {
        let end = text[start..].find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ','))).map_or(text.len(), |i| start + i);
        let number: f64 = text[start..end].trim_end_matches(['.', ',']).replace(',', "").parse().ok()?;
        if let Some(kib) = unit_kib(text[end..].trim_start()) {
            return Some((number * kib).round() as i64);
        }
        at = end;
    }
    None
}

fn unit_kib(rest: &str) -> Option<f64> {
    let rest = rest.to_lowercase();
    let units = [(1.0, ["kb", "kib", "کیلوبایت"]), (1024.0, ["mb", "mib", "مگابایت"]), (1024.0 * 1024.0, ["gb", "gib", "گیگابایت"])];
    units.into_iter().find(|(_, names)| names.iter().any(|name| rest.starts_with(name))).map(|(kib, _)| kib)
}

fn latin_digit(c: char) -> char {
    let value = match c {
        '۰'..='۹' => u32::from(c) - u32::from('۰'),
        '٠'..='٩' => u32::from(c) - u32::from('٠'),
        '٫' => return '.',
        '٬' => return ',',
        _ => return c,
    };
    char::from_digit(value, 10).unwrap_or(c)
}
