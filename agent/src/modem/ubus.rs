//! `ubus call network.interface.<name> status` of OpenWrt: does the bearer have an address. It knows nothing of radio.

use rusta_wire::Metric;
use serde_json::Value;

use super::Facts;

/// Reads the status of an interface.
pub fn read(output: &str, facts: &mut Facts) {
    let Ok(status) = serde_json::from_str::<Value>(output) else { return };
    let Some(is_up) = status["up"].as_bool() else { return };
    let has_address = ["ipv4-address", "ipv6-address"].iter().any(|key| status[*key].as_array().is_some_and(|list| !list.is_empty()));
    facts.note(Metric::BearerUp, i64::from(is_up && has_address));
}
