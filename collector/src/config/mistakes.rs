//! Mistakes in a file, each with its place and, for a mistyped key, the nearest key there is.

use std::fmt;
use std::path::Path;

use serde::de::DeserializeOwned;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 if the mistake is not at one place.
    pub line: usize,
    /// Column, from 1; 0 if the mistake is not at one place.
    pub column: usize,
    /// What is wrong and how to mend it.
    pub text: String,
}

/// Every mistake found, in file order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Mistakes(pub Vec<Mistake>);

/// A key that holds a value with the right form and the wrong meaning.
#[derive(Debug)]
pub(super) struct Wrong {
    path: Vec<&'static str>,
    text: String,
}

impl Wrong {
    pub(super) fn at(path: &[&'static str], text: &str) -> Self {
        Wrong { path: path.to_vec(), text: text.to_owned() }
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.text),
            line => write!(f, "{}:{}:{}: {}", self.file, line, self.column, self.text),
        }
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl Mistakes {
    /// Says that the file could not be read at all.
    pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Self {
        Mistakes(vec![Mistake { file: path.display().to_string(), line: 0, column: 0, text: format!("cannot be read: {error}") }])
    }

    /// Gives wrong meanings their places in `text`.
    pub(super) fn located(file: &str, text: &str, wrong: Vec<Wrong>) -> Self {
        let place = |w: Wrong| {
            let (line, column) = find_key(text, &w.path).unwrap_or((0, 0));
            Mistake { file: file.to_owned(), line, column, text: format!("{}: {}", w.path.join("."), w.text) }
        };
        let mut mistakes: Vec<Mistake> = wrong.into_iter().map(place).collect();
        mistakes.sort_by_key(|m| (m.line, m.column));
        Mistakes(mistakes)
    }
}

/// Reads a typed value from YAML.
///
/// The deserialiser stops at the first mistake; so the entry it stopped at is blanked out and the rest read again, until
/// all of it reads or nothing more can be blanked.
///
/// # Errors
/// Every mistake.
pub fn from_yaml<T: DeserializeOwned>(file: &str, text: &str) -> Result<T, Mistakes> {
    // An empty document is a null to YAML; to us it is a file in which every key has its default.
    let mut rest =
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) { "{}".into() } else { text.to_owned() };
    let mut mistakes = Vec::new();
    loop {
        let error = match serde_yaml::from_str::<T>(&rest) {
            Ok(value) if mistakes.is_empty() => return Ok(value),
            Ok(_) => break,
            Err(error) => error,
        };
        let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
        mistakes.push(Mistake { file: file.to_owned(), line, column, text: explain(&error.to_string()) });
        match blank_entry(&rest, line, column) {
            Some(shorter) if shorter != rest => rest = shorter,
            _ => break,
        }
    }
    Err(Mistakes(mistakes))
}

/// Takes the place out of the deserialiser's text, which names it at the end, and names the nearest key.
fn explain(text: &str) -> String {
    let text = text.rsplit_once(" at line ").map_or(text, |(before, _)| before);
    let Some((_, names)) = text.split_once("unknown field ") else { return text.to_owned() };
    let mut quoted = names.split('`').skip(1).step_by(2);
    let Some(typed) = quoted.next() else { return text.to_owned() };
    let known: Vec<&str> = quoted.collect();
    match nearest(typed, &known) {
        Some(near) => format!("unknown key `{typed}`; did you mean `{near}`?"),
        None => format!("unknown key `{typed}`; known here: {}", known.join(", ")),
    }
}

/// Finds the known word within a third of the typed word's length in edits.
pub fn nearest<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = (typed.chars().count() / 3).max(1);
    known.iter().map(|word| (edits(typed, word), *word)).filter(|(n, _)| *n <= allowed).min().map(|(_, word)| word)
}

/// Counts the edits between two words: insertions, removals, replacements.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

/// Blanks the mapping entry or list item that holds the given place, keeping every other line and column.
fn blank_entry(text: &str, line: usize, column: usize) -> Option<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let at = line.checked_sub(1)?;
    let own = lines.get(at)?;
    if let Some(shorter) = blank_in_braces(own, column.checked_sub(1)?) {
        lines[at] = shorter;
        return Some(lines.join("\n"));
    }
    let own_indent = indent(own);
    lines[at] = String::new();
    for line in lines.iter_mut().skip(at + 1).take_while(|l| l.trim().is_empty() || indent(l) > own_indent).collect::<Vec<_>>() {
        line.clear();
    }
    // A file whose every entry was blanked still has to be a mapping.
    let all = lines.join("\n");
    Some(if all.trim().is_empty() { "{}".into() } else { all })
}

/// Blanks one entry of a `{ a: 1, b: 2 }` on one line, with the comma that parts it from the next.
fn blank_in_braces(line: &str, column: usize) -> Option<String> {
    let chars: Vec<char> = line.chars().collect();
    let mut depth = 0usize;
    let mut start = None;
    for (place, c) in chars.iter().enumerate().take(column + 1) {
        match c {
            '{' | '[' => {
                depth += 1;
                start = Some(place + 1);
            }
            '}' | ']' => depth = depth.saturating_sub(1),
            ',' if depth > 0 => start = Some(place + 1),
            _ => {}
        }
    }
    let start = start.filter(|_| depth > 0)?;
    let mut inner = 0usize;
    let mut end = start;
    for c in chars.get(start..)? {
        match c {
            '{' | '[' => inner += 1,
            '}' | ']' if inner == 0 => break,
            '}' | ']' => inner -= 1,
            ',' if inner == 0 => break,
            _ => {}
        }
        end += 1;
    }
    let end = if chars.get(end) == Some(&',') { end + 1 } else { end };
    Some(chars.iter().enumerate().map(|(place, c)| if (start..end).contains(&place) { ' ' } else { *c }).collect())
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Finds where a path of keys stands; the deepest key found counts.
fn find_key(text: &str, path: &[&str]) -> Option<(usize, usize)> {
    let mut from = (0usize, 0usize);
    let mut found = None;
    for key in path {
        let Some(place) = next_key(text, key, from) else { break };
        found = Some((place.0 + 1, place.1 + 1));
        from = (place.0, place.1 + key.len());
    }
    found
}

fn next_key(text: &str, key: &str, from: (usize, usize)) -> Option<(usize, usize)> {
    for (number, line) in text.lines().enumerate().skip(from.0) {
        let skip = if number == from.0 { from.1 } else { 0 };
        let code = line.split(" #").next().unwrap_or(line);
        let found = code.match_indices(key).find(|(place, _)| {
            let before = code[..*place].chars().next_back();
            let after = code[place + key.len()..].trim_start();
            *place >= skip && before.is_none_or(|c| matches!(c, ' ' | '{' | ',')) && after.starts_with(':')
        });
        if let Some((place, _)) = found {
            return Some((number, place));
        }
    }
    None
}
