//! Measured values as a technician reads them: the metric's own name, its value in the unit of the trade.

use rusta_wire::Metric;

/// Says a value by the metric's name, `rsrp -98 dBm`; one whose metric is not known by its bare number.
pub fn shown(name: &str, value: i64) -> String {
    let Some(metric) = Metric::by_name(name) else { return format!("{name} {value}") };
    let number = |divisor: f64, digits: usize| format!("{:.digits$}", value as f64 / divisor);
    // The suffix of a name says the unit of the integer, which is not the one shown.
    let (suffix, text) = match metric.info().unit {
        "us" => ("_us", number(1_000.0, 1) + " ms"),
        "dBm" => ("_dbm", format!("{value} dBm")),
        "0.1dB" => ("_cb", number(10.0, 1) + " dB"),
        "0.01dBm" => ("_cdbm", number(100.0, 2) + " dBm"),
        "0.1degC" => ("_dc", number(10.0, 1) + " °C"),
        "0.1V" => ("_dv", number(10.0, 1) + " V"),
        "mV" => ("_mv", number(1_000.0, 2) + " V"),
        "milli" => ("_milli", number(1_000.0, 3)),
        "percent" => ("_pct", format!("{value} %")),
        "KiB" => ("_kib", number(1_024.0, 1) + " MiB"),
        "bps" => ("_bps", number(1_000_000.0, 2) + " Mbps"),
        "s" => ("_s", format!("{value} s")),
        "ms" => ("_ms", format!("{value} ms")),
        "min" => ("_minutes_left", format!("{value} min left")),
        "bytes" => ("_bytes", format!("{value} bytes")),
        "address" => ("", u32::try_from(value).map_or_else(|_| value.to_string(), |v4| std::net::Ipv4Addr::from(v4).to_string())),
        "Mbps" => ("", format!("{value} Mbps")),
        _ => ("", value.to_string()),
    };
    // `rtt_us_p50` has its unit in the middle.
    let label = name.strip_suffix(suffix).map_or_else(|| name.replacen("_us_", "_", 1), str::to_owned);
    format!("{label} {text}")
}

#[cfg(test)]
mod tests {
    use super::shown;
    use rusta_wire::Metric;

    #[test]
    fn values_are_said_in_the_units_of_the_trade() {
        for (name, value, text) in [
            ("rsrp_dbm", -98, "rsrp -98 dBm"),
            ("sinr_cb", 124, "sinr 12.4 dB"),
            ("optical_rx_cdbm", -2_345, "optical_rx -23.45 dBm"),
            ("rtt_us_p50", 12_340, "rtt_p50 12.3 ms"),
            ("connect_us", 900, "connect 0.9 ms"),
            ("temperature_dc", 385, "temperature 38.5 °C"),
            ("last_hop", 0x0a01_0001, "last_hop 10.1.0.1"),
            ("registration", 1, "registration 1"),
            ("unheard_of", 7, "unheard_of 7"),
        ] {
            assert_eq!(shown(name, value), text);
        }
        for metric in Metric::ALL {
            let text = shown(metric.name(), 1_000);
            assert!(text.split_once(' ').is_some_and(|(label, _)| !label.is_empty()), "{text}");
        }
    }
}
