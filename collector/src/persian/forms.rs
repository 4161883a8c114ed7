//! Sentences that are kept in one language and read in two: a form in English, the same in Persian, and what differs.

use super::{Lang, digits};

/// English and Persian of a sentence; `{}` stands for what differs, in the same order in both.
pub type Form = (&'static str, &'static str);

/// Says an English sentence in Persian; `None` if it has none of the forms. The first form that fits counts.
pub fn reworded(forms: &[Form], text: &str) -> Option<String> {
    forms.iter().find_map(|(english, persian)| Some(fill(persian, &parts(english, text)?)))
}

/// Returns what stands in the places of a form, if the text has that form.
fn parts<'a>(form: &str, text: &'a str) -> Option<Vec<&'a str>> {
    let mut pieces = form.split("{}");
    let mut rest = text.strip_prefix(pieces.next()?)?;
    let mut parts = Vec::new();
    let mut pieces = pieces.peekable();
    while let Some(piece) = pieces.next() {
        let part = match pieces.peek() {
            None => rest.strip_suffix(piece)?,
            Some(_) => rest.split_once(piece)?.0,
        };
        parts.push(part);
        rest = &rest[part.len() + piece.len()..];
    }
    rest.is_empty().then_some(parts)
}

fn fill(form: &str, parts: &[&str]) -> String {
    let mut pieces = form.split("{}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for (piece, part) in pieces.zip(parts) {
        // Figures are Persian; names and codes stay as they are written.
        text += &if part.contains(|c: char| c.is_ascii_alphabetic()) { (*part).to_owned() } else { digits(part, Lang::Fa) };
        text += piece;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_is_found_and_put_into_the_other_form() {
        let forms = &[("step {} done", "گام {} انجام شد"), ("step {}: {}", "گام {}: {}"), ("over", "تمام")];
        assert_eq!(reworded(forms, "step 12 done").unwrap(), "گام ۱۲ انجام شد");
        assert_eq!(reworded(forms, "step 1: ali, sara2").unwrap(), "گام ۱: ali, sara2");
        assert_eq!(reworded(forms, "over").unwrap(), "تمام");
        for other in ["overs", "step 1", "all over", ""] {
            assert_eq!(reworded(forms, other), None, "{other}");
        }
    }
}
