//! How many parts a text message takes, and how to make it fit.
//!
//! Persian needs UCS-2: 70 characters alone, 67 in each part of a longer one. Text that the GSM 7-bit alphabet holds takes
//! 160 and 153 (3GPP TS 23.038, TS 23.040).

/// Characters of the GSM 7-bit default alphabet that the templates use beyond ASCII letters and digits.
const GSM7: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./:;<=>?¡ÄÖÑÜ§¿äöñüà";
/// Characters that take two places.
const GSM7_TWICE: &str = "^{}\\[~]|€";

/// Counts the parts of a text message.
pub fn parts(text: &str) -> usize {
    let (length, alone, joined) = match septets(text) {
        Some(septets) => (septets, 160, 153),
        None => (text.encode_utf16().count(), 70, 67),
    };
    if length <= alone { 1 } else { length.div_ceil(joined) }
}

fn septets(text: &str) -> Option<usize> {
    let one = |c: char| match c {
        c if c.is_ascii_alphanumeric() || GSM7.contains(c) => Some(1),
        c if GSM7_TWICE.contains(c) => Some(2),
        _ => None,
    };
    text.chars().map(one).sum()
}

/// Shortens a text to at most `most` parts, at the end of a word, with an ellipsis.
pub fn fit(text: &str, most: usize) -> String {
    if parts(text) <= most.max(1) {
        return text.to_owned();
    }
    let ends = text.char_indices().filter(|(_, c)| c.is_whitespace()).map(|(place, _)| place);
    let mut shortened = ends.map(|end| format!("{}…", text[..end].trim_end())).filter(|short| parts(short) <= most.max(1));
    shortened.next_back().unwrap_or_else(|| cut(text, most))
}

/// Cuts inside a word, for a text whose first word is already too long.
fn cut(text: &str, most: usize) -> String {
    let mut kept = String::new();
    for letter in text.chars() {
        let longer = format!("{kept}{letter}…");
        if parts(&longer) > most.max(1) {
            break;
        }
        kept.push(letter);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persian_takes_70_alone_and_67_joined() {
        assert_eq!(parts(&"ب".repeat(70)), 1);
        assert_eq!(parts(&"ب".repeat(71)), 2);
        assert_eq!(parts(&"ب".repeat(134)), 2);
        assert_eq!(parts(&"ب".repeat(135)), 3);
        assert_eq!(parts(&"a".repeat(160)), 1);
        assert_eq!(parts(&"a".repeat(161)), 2);
        assert_eq!(parts(&format!("{}[", "a".repeat(159))), 2, "a bracket takes two places");
        assert_eq!(parts(&format!("{}😀", "ب".repeat(69))), 2, "two UTF-16 units");
    }

    #[test]
    fn fitting_ends_at_a_word_and_never_takes_a_part_too_many() {
        let text = "قطع نقطه حضور نیشابور ۳۰۰ روستا ".repeat(10);
        for most in 1..5 {
            let fitted = fit(&text, most);
            assert!(parts(&fitted) <= most, "{most}: {}", parts(&fitted));
            assert!(fitted.ends_with('…'));
        }
        assert!(parts(&fit(&"ب".repeat(500), 1)) == 1);
        assert_eq!(fit("کوتاه", 1), "کوتاه");
    }
}
