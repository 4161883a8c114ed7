//! Huawei HiLink: small XML documents over HTTP from the stick's own address.

use rusta_wire::Metric;

use super::{Facts, leading_number, registration, sim};

/// Where the session cookie and the token come from.
pub const SESSION: &str = "/api/webserver/SesTokInfo";
/// What is asked.
pub const PATHS: [&str; 4] = ["/api/device/signal", "/api/monitoring/status", "/api/net/current-plmn", "/api/device/information"];

/// Reads the cookie and the token out of the answer to [`SESSION`].
pub fn session(document: &str) -> Option<(&str, &str)> {
    let is_plain = |text: &&str| !text.is_empty() && !text.contains(['\r', '\n']);
    Some((element(document, "SesInfo").filter(is_plain)?, element(document, "TokInfo").filter(is_plain)?))
}

/// Reads the answer to one of [`PATHS`]; which one shows in its elements. An error document (a login is wanted) says nothing.
pub fn read(document: &str, facts: &mut Facts) {
    let number = |name: &str| element(document, name).and_then(leading_number);
    let whole = |name: &str| number(name).map(|n| n.round() as i64);
    facts.note_some(Metric::RsrpDbm, whole("rsrp"));
    facts.note_some(Metric::RssiDbm, whole("rssi"));
    facts.note_tenths(Metric::RsrqCb, number("rsrq"));
    facts.note_tenths(Metric::SinrCb, number("sinr"));
    facts.note_some(Metric::Pci, whole("pci"));
    facts.note_some(Metric::Band, whole("band"));
    facts.note_some(Metric::CellId, whole("cell_id"));
    facts.note_some(Metric::SimState, whole("SimStatus").map(|state| if state == 1 { sim::READY } else { sim::ABSENT }));
    let registered = whole("ServiceStatus").map(|state| match (state, whole("RoamingStatus")) {
        (2, Some(1)) => registration::ROAMING,
        (2, _) => registration::HOME,
        _ => registration::NONE,
    });
    facts.note_some(Metric::Registration, registered);
    // 901 is connected; 900 connecting, 902 disconnected, 903 disconnecting, the rest are refusals.
    facts.note_some(Metric::BearerUp, whole("ConnectionStatus").map(|state| i64::from(state == 901)));
    facts.note_some(Metric::Plmn, whole("Numeric"));
    facts.note_iccid(element(document, "Iccid").unwrap_or_default());
    let rat = whole("Rat").and_then(|rat| match rat {
        0 => Some(2),
        2 => Some(3),
        7 => Some(4),
        12 => Some(5),
        _ => None,
    });
    facts.note_some(Metric::Rat, rat);
}

fn element<'a>(document: &'a str, name: &str) -> Option<&'a str> {
    let after = document.split_once(&format!("<{name}>"))?.1;
    Some(after.split_once(&format!("</{name}>"))?.0.trim())
}
