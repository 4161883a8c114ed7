//! Cells of files that spreadsheets open. Names come from files that people send around, and a spreadsheet runs a cell that
//! begins like a formula (CWE-1236).
//!
//! A cell that begins with `=`, `+`, `-`, `@`, a tab or a line's end, after any apostrophes, gets one apostrophe in front,
//! which spreadsheets read as "this is text". [`plain`] takes it off again, and only where [`guarded`] put it: there and back
//! is exact, also for a name that began with an apostrophe itself. Numbers stay numbers.

use std::borrow::Cow;

/// Whether a spreadsheet would run a cell, were its apostrophes taken off. A sign alone is a sign.
fn is_formula(cell: &str) -> bool {
    let cell = cell.trim_start_matches('\'');
    cell.len() > 1 && cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n'])
}

/// Guards a cell.
pub fn guarded(cell: &str) -> Cow<'_, str> {
    if is_formula(cell) && !is_number(cell) { Cow::Owned(format!("'{cell}")) } else { Cow::Borrowed(cell) }
}

/// Takes the guard off a cell.
pub fn plain(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if is_formula(rest) && !is_number(rest) => rest,
        _ => cell,
    }
}

/// Guards a cell and quotes it for a CSV file (RFC 4180).
pub fn quoted(cell: &str) -> String {
    let cell = guarded(cell);
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.into_owned() }
}

/// A number with a sign is a number: `-98` dBm, `+3.5`. Anything that is not only digits, a point and an exponent is not.
fn is_number(cell: &str) -> bool {
    cell.len() < 32
        && cell.bytes().any(|byte| byte.is_ascii_digit())
        && cell.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'+' | b'-' | b'.' | b'e' | b'E'))
        && cell.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_a_spreadsheet_would_run_is_guarded_and_what_it_would_not_is_as_it_was() {
        for (cell, there) in [
            ("=HYPERLINK(\"x\")", "'=HYPERLINK(\"x\")"),
            ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
            ("-2+3", "'-2+3"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("'=1", "''=1"),
            ("-98", "-98"),
            ("-", "-"),
            ("'-", "'-"),
            ("+3.5e2", "+3.5e2"),
            ("علی‌آباد", "علی‌آباد"),
            ("'quoted'", "'quoted'"),
            ("", ""),
        ] {
            assert_eq!(guarded(cell), there);
            assert_eq!(plain(&guarded(cell)), cell);
        }
    }

    proptest! {
        #[test]
        fn there_and_back_is_exact(cell in "['=+@\t\r\n0-9.a-]{0,6}|.{0,12}") {
            let there = guarded(&cell);
            prop_assert_eq!(plain(&there), cell.as_str());
            prop_assert!(there.len() == 1 || is_number(&there) || !there.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']));
        }
    }
}
