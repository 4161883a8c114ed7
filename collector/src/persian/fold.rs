//! Spelling: what is stored, and what is compared.
//!
//! Persian names arrive from Arabic keyboards, Excel and PDF files in several spellings of one word. [`normalise`] keeps the
//! word and mends the code points; [`fold`] goes further and forgets everything a person would not notice when searching.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

const ZWNJ: char = '\u{200c}';

/// Mends a text for storage: NFC, Persian letters for their Arabic twins, ASCII digits, no kashida, no invisible
/// characters, single spaces, and a ZWNJ only between two letters. Doing it twice changes nothing.
pub fn normalise(text: &str) -> String {
    let mended = text.nfc().flat_map(plain_forms).filter_map(persian_letter).nfc();
    let mut out = String::with_capacity(text.len());
    let mut gap = None;
    for c in mended {
        match c {
            c if c.is_whitespace() => gap = Some(' '),
            ZWNJ => gap = gap.or(Some(ZWNJ)),
            c => {
                close_gap(&mut out, gap.take(), c);
                out.push(c);
            }
        }
    }
    out.nfc().collect()
}

/// Returns the key under which a name, code or query is found: letters and digits only, lower case, without vowel marks,
/// hamza, ZWNJ and spaces. `علی‌آباد`, `علي اباد` and `علیآباد` share one key.
pub fn fold(text: &str) -> String {
    let mut key = fold_once(text);
    // A few exotic letters reach their base form only in two steps (lower-casing can expose a compatibility form).
    for _ in 0..3 {
        let again = fold_once(&key);
        if again == key {
            break;
        }
        key = again;
    }
    key
}

fn fold_once(text: &str) -> String {
    normalise(text)
        .nfkd()
        .filter(|c| !is_combining_mark(*c))
        .filter_map(persian_letter)
        .flat_map(char::to_lowercase)
        .filter_map(|c| match c {
            'ٱ' => Some('ا'),
            'ة' | 'ۀ' | 'ە' | 'ۂ' | 'ہ' => Some('ه'),
            'ء' => None,
            c => c.is_alphanumeric().then_some(c),
        })
        .collect()
}

fn close_gap(out: &mut String, gap: Option<char>, next: char) {
    let Some(last) = out.chars().next_back() else { return };
    match gap {
        Some(ZWNJ) if is_arabic_letter(last) && is_arabic_letter(next) => out.push(ZWNJ),
        Some(' ') => out.push(' '),
        _ => {}
    }
}

fn is_arabic_letter(c: char) -> bool {
    ('\u{0600}'..='\u{06ff}').contains(&c) && (c.is_alphabetic() || is_combining_mark(c))
}

/// Replaces the presentation forms old software leaves in files (`ﻻ`, `ﮐ`) by the letters they stand for.
fn plain_forms(c: char) -> impl Iterator<Item = char> {
    let presentation = matches!(c, '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}');
    let (letters, itself) = if presentation { (Some(std::iter::once(c).nfkc()), None) } else { (None, Some(c)) };
    letters.into_iter().flatten().chain(itself)
}

/// Maps Arabic keyboard letters and digits to the stored ones; `None` drops what nobody can see.
fn persian_letter(c: char) -> Option<char> {
    Some(match c {
        'ي' | 'ى' => 'ی',
        'ك' => 'ک',
        '\u{0660}'..='\u{0669}' => shift_digit(c, 0x0660),
        '\u{06f0}'..='\u{06f9}' => shift_digit(c, 0x06f0),
        // Kashida, soft hyphen, zero-width space and joiner, direction marks and isolates, byte order mark.
        '\u{0640}' | '\u{00ad}' | '\u{200b}' | '\u{200d}'..='\u{200f}' | '\u{202a}'..='\u{202e}' => return None,
        '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{061c}' => return None,
        c if c.is_control() && !c.is_whitespace() => return None,
        c => c,
    })
}

fn shift_digit(c: char, zero: u32) -> char {
    char::from_digit(u32::from(c).saturating_sub(zero), 10).unwrap_or(c)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stored_form_mends_arabic_letters_digits_kashida_and_gaps() {
        assert_eq!(normalise("علي آباد كتول"), "علی آباد کتول");
        assert_eq!(normalise("  محمـــد‌  آباد \u{200f}"), "محمد آباد");
        assert_eq!(normalise("روستای ٤٥ و ۱۷"), "روستای 45 و 17");
        assert_eq!(normalise("\u{200c}علی\u{200c}\u{200c}آباد\u{200c}"), "علی\u{200c}آباد");
        assert_eq!(normalise("ﻻله"), "لاله");
        assert_eq!(normalise("line\u{200c}17"), "line17");
        assert_eq!(normalise("ا\u{0653}باد"), "آباد");
    }

    #[test]
    fn one_village_in_many_spellings_has_one_key() {
        let key = fold("علی\u{200c}آباد");
        for spelling in ["علي اباد", "علی آباد", "علیآباد", "عَلی آباد", "علـی  آباد", "على\u{00a0}أباد"]
        {
            assert_eq!(fold(spelling), key, "{spelling}");
        }
        assert_eq!(fold("قلعة نو"), fold("قلعه نو"));
        assert_eq!(fold("خانۀ سرخ"), fold("خانه سرخ"));
        assert_eq!(fold("Ali-Ābād"), "aliabad");
        assert_eq!(fold("۰۹۱۲"), "0912");
        assert_ne!(fold("حسن آباد"), fold("حسین آباد"));
    }

    proptest! {
        #[test]
        fn both_forms_are_stable_for_any_text(text in "\\PC{0,40}") {
            let stored = normalise(&text);
            prop_assert_eq!(normalise(&stored), stored.clone());
            prop_assert_eq!(fold(&fold(&text)), fold(&text));
        }

        #[test]
        fn persian_text_folds_the_same_before_and_after_storing(text in "[\u{0600}-\u{06ff} \u{200c}a-z0-9]{0,30}") {
            prop_assert_eq!(fold(&normalise(&text)), fold(&text));
            prop_assert_eq!(normalise(&normalise(&text)), normalise(&text));
        }
    }
}
