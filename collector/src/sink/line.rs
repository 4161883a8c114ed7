//! Line protocol, written so that no name can break a line: InfluxDB answers 204 or drops a line silently when one does.
//!
//! Tags that are empty and fields that are not finite are left out, control characters are dropped (a newline would start
//! a line of its own), and commas, spaces and equal signs are escaped. A backslash becomes a slash: parsers disagree on
//! how to escape one, and at the end of a value some refuse it in any form. Every field is a float: a field's type is
//! fixed for ever by its first point.

use std::fmt::Write as _;

use rusta_wire::UnixMs;

/// Appends one line, or nothing when no field is left. Timestamps are milliseconds (`precision=ms`).
pub fn write_line<'a>(
    out: &mut String,
    measurement: &str,
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
    fields: impl IntoIterator<Item = (&'a str, f64)>,
    at: UnixMs,
) {
    let start = out.len();
    escape(out, measurement);
    for (key, value) in tags.into_iter().filter(|(_, value)| value.chars().any(|c| !c.is_control())) {
        out.push(',');
        escape(out, key);
        out.push('=');
        escape(out, value);
    }
    let mut separator = ' ';
    for (key, value) in fields.into_iter().filter(|(_, value)| value.is_finite()) {
        out.push(separator);
        separator = ',';
        escape(out, key);
        // Writing to a string cannot fail.
        let _ = write!(out, "={value}");
    }
    if separator == ' ' {
        out.truncate(start);
        return;
    }
    let _ = writeln!(out, " {}", at.0);
}

fn escape(out: &mut String, text: &str) {
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            ',' | ' ' | '=' => out.extend(['\\', c]),
            '\\' => out.push('/'),
            _ => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use influxdb_line_protocol::parse_lines;
    use proptest::prelude::*;

    fn line(site: &str, value: f64) -> String {
        let mut out = String::new();
        write_line(
            &mut out,
            "probe",
            [("site", site), ("empty", "")],
            [("rtt_seconds_min", value), ("other", f64::NAN)],
            UnixMs(1_795_000_000_000),
        );
        out
    }

    #[test]
    fn an_ordinary_line() {
        assert_eq!(line("0901", 0.04), "probe,site=0901 rtt_seconds_min=0.04 1795000000000\n");
    }

    #[test]
    fn a_line_without_a_finite_field_is_not_written() {
        assert_eq!(line("0901", f64::INFINITY), "");
    }

    #[test]
    fn a_newline_in_a_name_injects_nothing() {
        assert_eq!(line("a\nevil v=1", 1.0).lines().count(), 1);
    }

    proptest! {
        /// InfluxData's own parser is the judge.
        #[test]
        fn any_name_and_number_make_one_line_that_reads_back(site in "\\PC{1,20}|[,= \\\\\n\"]{1,6}", value in any::<f64>()) {
            let text = line(&site, value);
            let parsed: Vec<_> = parse_lines(&text).collect();
            let kept: String = site.replace('\\', "/").chars().filter(|c| !c.is_control()).collect();
            prop_assert_eq!(parsed.len(), usize::from(value.is_finite()));
            for line in parsed {
                let line = line.unwrap();
                let tag = line.tag_value("site").map(|v| v.to_string());
                prop_assert_eq!(tag.unwrap_or_default(), kept.clone());
                prop_assert_eq!(line.field_value("rtt_seconds_min").map(|f| f.to_string()), Some(value.to_string()));
            }
        }
    }
}
