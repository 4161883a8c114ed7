//! Numbers as a reader of each language writes them.
//!
//! Persian: `۱۲٬۳۴۵٫۶`, `۹۱٫۲٪`. English: `12,345.6`, `91.2%`. Facts that belong to machines (addresses, serials,
//! versions, codes) keep ASCII digits and are [`isolate`]d instead.

use super::Lang;

/// Replaces ASCII digits by the language's own; nothing else changes.
pub fn digits(text: &str, lang: Lang) -> String {
    match lang {
        Lang::En => text.to_owned(),
        Lang::Fa => text.chars().map(persian_digit).collect(),
    }
}

/// Writes a whole number with thousands separators.
pub fn integer(value: i64, lang: Lang) -> String {
    let grouped = group_thousands(&value.unsigned_abs().to_string(), lang);
    signed(value < 0, &digits(&grouped, lang), lang)
}

/// Writes a number with exactly `places` decimals, rounded half away from zero.
pub fn decimal(value: f64, places: usize, lang: Lang) -> String {
    let plain = format!("{:.places$}", round(value.abs(), places));
    let (whole, fraction) = plain.split_once('.').unwrap_or((&plain, ""));
    let mut text = group_thousands(whole, lang);
    if !fraction.is_empty() {
        text.push(lang.pick("٫", ".").chars().next().unwrap_or('.'));
        text.push_str(fraction);
    }
    let is_zero = plain.bytes().all(|b| !(b'1'..=b'9').contains(&b));
    signed(value < 0.0 && !is_zero, &digits(&text, lang), lang)
}

/// Writes a ratio as a percentage with one decimal; a ratio of exactly 0 or 1 has none.
///
/// A ratio below 1 never shows as 100 and one above 0 never as 0: those words are promises.
pub fn percent(ratio: f64, lang: Lang) -> String {
    let sign = lang.pick("٪", "%");
    if ratio == 0.0 || ratio == 1.0 {
        return format!("{}{sign}", decimal(ratio * 100.0, 0, lang));
    }
    let shown = round(ratio * 100.0, 1);
    let honest = if ratio > 0.0 && ratio < 1.0 { shown.clamp(0.1, 99.9) } else { shown };
    format!("{}{sign}", decimal(honest, 1, lang))
}

/// Writes a difference of two ratios in percentage points, always with its sign.
pub fn points(difference: f64, lang: Lang) -> String {
    let size = decimal(difference.abs() * 100.0, 1, lang);
    let sign = if difference < 0.0 { '−' } else { '+' };
    format!("\u{2066}{sign}{size}\u{2069}")
}

/// Wraps a left-to-right fact (`10.12.4.1`, `-98 dBm`, `RUT241`) so that surrounding Persian cannot reorder it.
pub fn isolate(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

fn persian_digit(c: char) -> char {
    match c.to_digit(10) {
        Some(digit) if c.is_ascii_digit() => char::from_u32(0x06f0 + digit).unwrap_or(c),
        _ => c,
    }
}

fn group_thousands(whole: &str, lang: Lang) -> String {
    let separator = lang.pick("٬", ",");
    let mut text = String::with_capacity(whole.len() + whole.len() / 3 * separator.len());
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

/// In right-to-left text a bare minus moves to the wrong side of its number; the isolate holds it on the left.
fn signed(negative: bool, digits: &str, lang: Lang) -> String {
    match (negative, lang) {
        (false, _) => digits.to_owned(),
        (true, Lang::En) => format!("−{digits}"),
        (true, Lang::Fa) => format!("\u{2066}−{digits}\u{2069}"),
    }
}

fn round(value: f64, places: usize) -> f64 {
    let scale = 10_f64.powi(i32::try_from(places).unwrap_or(0));
    (value * scale).round() / scale
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_language() {
        assert_eq!(integer(1_234_567, Lang::Fa), "۱٬۲۳۴٬۵۶۷");
        assert_eq!(integer(1_234_567, Lang::En), "1,234,567");
        assert_eq!(integer(999, Lang::En), "999");
        assert_eq!(decimal(1234.56, 1, Lang::Fa), "۱٬۲۳۴٫۶");
        assert_eq!(decimal(1234.56, 1, Lang::En), "1,234.6");
        assert_eq!(decimal(0.0, 0, Lang::Fa), "۰");
        assert_eq!(integer(-98, Lang::Fa), "\u{2066}−۹۸\u{2069}");
        assert_eq!(decimal(-0.01, 1, Lang::En), "0.0");
    }

    #[test]
    fn a_percentage_never_rounds_into_a_promise() {
        assert_eq!(percent(0.912, Lang::Fa), "۹۱٫۲٪");
        assert_eq!(percent(1.0, Lang::Fa), "۱۰۰٪");
        assert_eq!(percent(0.9999, Lang::En), "99.9%");
        assert_eq!(percent(0.0001, Lang::En), "0.1%");
        assert_eq!(percent(0.0, Lang::En), "0%");
    }

    #[test]
    fn differences_carry_their_sign() {
        assert_eq!(points(-0.035, Lang::En), "\u{2066}−3.5\u{2069}");
        assert_eq!(points(0.02, Lang::Fa), "\u{2066}+۲٫۰\u{2069}");
    }

    #[test]
    fn machine_facts_keep_ascii() {
        assert_eq!(isolate("10.12.4.1"), "\u{2068}10.12.4.1\u{2069}");
        assert_eq!(digits("RUT241 v2", Lang::En), "RUT241 v2");
        assert_eq!(digits("17 شهریور", Lang::Fa), "۱۷ شهریور");
    }
}
