//! YAML into typed values, with every mistake and its place, not only the first.
//!
//! `serde_yaml` stops at its first error. [`read`] therefore parses the text once into a tree and hands the tree to serde
//! through [`At`], a deserializer that knows its path. A mistake is noted with its path; what holds it is then skipped
//! and the tree is read again, until nothing more is found. Lines and columns are looked up afterwards, by walking the
//! text along the path. What does not depend on the type that is read stands in functions of its own, so that the program
//! has it once and not once for each type.

mod place;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::Value;

use place::locate;

/// Largest configuration read: a county node with 8,192 targets fits; the parser is quadratic on hostile nesting.
pub const TEXT_BYTES: usize = 1024 * 1024;

/// Most mistakes reported: past this the file is of another kind.
const MISTAKES: usize = 100;

/// One step from a value to a value inside it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Into a mapping.
    Key(String),
    /// Into a sequence, from 0.
    Item(usize),
}

/// The way from the root to a value.
pub type Path = Vec<Step>;

/// A place in the configuration and what is wrong there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Where that is in the structure, as `targets[3].icmp`; empty at the top.
    pub path: String,
    /// What is wrong and how to mend it.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.text)
    }
}

/// A mistake before its line and column are known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Note {
    path: Path,
    text: String,
    /// Whether the key is at fault rather than the value behind it.
    at_key: bool,
}

impl Note {
    /// Notes that the value at `path` is wrong.
    pub fn value(path: Path, text: impl Into<String>) -> Note {
        Note { path, text: text.into(), at_key: false }
    }
}

/// What reading found.
pub struct Reading<T> {
    /// The typed value, without the parts that are wrong; `None` if the whole is.
    pub value: Option<T>,
    /// What is wrong, in no order.
    pub notes: Vec<Note>,
    /// The paths left out of `value`.
    pub skipped: HashSet<Path>,
}

/// Reads `text` as a `T`.
///
/// # Errors
/// One mistake for a text that is too long or no YAML at all.
pub fn read<T: de::DeserializeOwned>(text: &str) -> Result<Reading<T>, Mistake> {
    let whole = |text: String| Mistake { line: 1, column: 1, path: String::new(), text };
    if text.len() > TEXT_BYTES {
        return Err(whole(format!("the file has {} bytes; at most {TEXT_BYTES} are read", text.len())));
    }
    let tree: Value = serde_yaml::from_str(text).map_err(|error| {
        let (line, column) = error.location().map_or((1, 1), |at| (at.line(), at.column()));
        let said = error.to_string();
        // The location stands in front already.
        let said = said.split(" at line ").next().unwrap_or(&said);
        Mistake { line, column, path: String::new(), text: said.to_string() }
    })?;
    Ok(read_tree(&tree))
}

/// Reads `text` as a `T` that is right in every part.
///
/// # Errors
/// The first mistake.
pub fn read_whole<T: de::DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let Reading { value, notes, .. } = read(text)?;
    let first = place(text, &notes).into_iter().next();
    let nothing = || Mistake { line: 1, column: 1, path: String::new(), text: "cannot be read".to_owned() };
    match (value, first) {
        (Some(value), None) => Ok(value),
        (_, first) => Err(first.unwrap_or_else(nothing)),
    }
}

fn read_tree<T: de::DeserializeOwned>(tree: &Value) -> Reading<T> {
    let mut skipped = HashSet::new();
    let mut found: Vec<Note> = Vec::new();
    loop {
        let notes = Notes { list: RefCell::default(), skipped: &skipped };
        let at = At { value: tree, path: Vec::new(), notes: &notes };
        let result = T::deserialize(at).map_err(|refusal| notes.take(refusal, &[]));
        let fresh = notes.list.into_inner();
        for note in &fresh {
            if !found.contains(note) {
                found.push(note.clone());
            }
        }
        let faulty = match result {
            Ok(value) => return Reading { value: Some(value), notes: found, skipped },
            Err(path) => path,
        };
        // A faulty element of a list is left out; a faulty setting is, too, and its owner's default stands in. Only when
        // that was tried and did not help is the owner itself faulty.
        if faulty.is_empty() || found.len() >= MISTAKES || !skipped.insert(faulty) {
            return Reading { value: None, notes: found, skipped };
        }
    }
}

/// Turns notes into mistakes in the order of the text.
pub fn place(text: &str, notes: &[Note]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = notes
        .iter()
        .map(|note| {
            let (line, column) = locate(text, &note.path, note.at_key);
            Mistake { line, column, path: show(&note.path), text: note.text.clone() }
        })
        .collect();
    mistakes.sort_by_key(|m| (m.line, m.column));
    mistakes.dedup();
    mistakes
}

fn show(path: &[Step]) -> String {
    let mut out = String::new();
    for step in path {
        match step {
            Step::Key(key) if out.is_empty() => out.push_str(key),
            Step::Key(key) => {
                out.push('.');
                out.push_str(key);
            }
            Step::Item(index) => out.push_str(&format!("[{index}]")),
        }
    }
    out
}

/// Collects what one pass over the tree finds.
struct Notes<'a> {
    list: RefCell<Vec<Note>>,
    skipped: &'a HashSet<Path>,
}

impl Notes<'_> {
    fn push(&self, note: Note) {
        self.list.borrow_mut().push(note);
    }

    /// Notes a refusal at `path` unless that was done further in, and returns the path to leave out.
    fn take(&self, refusal: Refusal, path: &[Step]) -> Path {
        match refusal {
            Refusal::Noted(inner) => return inner,
            // Once a part was left out, its owner's complaint about that is no mistake of its own.
            Refusal::Said(_) if self.skipped.iter().any(|s| s.len() > path.len() && s.starts_with(path)) => {}
            Refusal::Said(text) => self.push(Note::value(path.to_vec(), text)),
            Refusal::Missing(field) => {
                let child = path.iter().cloned().chain([Step::Key(field.to_string())]).collect::<Path>();
                // A field that was left out because it is wrong, or that is there with a slip in its key, is not missing too.
                let meant = format!("did you mean `{field}`?");
                let mistyped =
                    |note: &Note| note.at_key && note.path.split_last().is_some_and(|(_, p)| p == path) && note.text.ends_with(&meant);
                if !self.skipped.contains(&child) && !self.list.borrow().iter().any(mistyped) {
                    self.push(Note::value(path.to_vec(), format!("`{field}` is missing")));
                }
            }
        }
        path.to_vec()
    }
}

/// Why serde could not go on.
#[derive(Debug)]
enum Refusal {
    Said(String),
    Missing(&'static str),
    /// Noted already; the path is to be left out.
    Noted(Path),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Said(text) => f.write_str(text),
            Refusal::Missing(field) => write!(f, "`{field}` is missing"),
            Refusal::Noted(path) => write!(f, "mistake at {}", show(path)),
        }
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Refusal::Said(text.to_string())
    }

    fn missing_field(field: &'static str) -> Self {
        Refusal::Missing(field)
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        Refusal::Said(unknown("value", variant, expected))
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Refusal::Said(unknown("key", field, expected))
    }
}

/// Says that a word is unknown, and the nearest known one or all of them.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("unknown {what} `{word}`; did you mean `{near}`?"),
        None => format!("unknown {what} `{word}`; known are {}", known.join(", ")),
    }
}

/// Finds the known word with the fewest edits, if they are few enough for a slip of the hand.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    known.iter().map(|k| (edits(word, k), *k)).filter(|(edits, _)| *edits <= allowed).min_by_key(|(edits, _)| *edits).map(|(_, k)| k)
}

/// Counts insertions, deletions, replacements and swaps of neighbours (optimal string alignment).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// A value of the tree with its path.
struct At<'a> {
    value: &'a Value,
    path: Path,
    notes: &'a Notes<'a>,
}

impl<'a> At<'a> {
    fn inside(&self, step: Step, value: &'a Value) -> At<'a> {
        let path = self.path.iter().cloned().chain([step]).collect();
        At { value, path, notes: self.notes }
    }

    fn read<'de, S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        let (notes, path) = (self.notes, self.path.clone());
        seed.deserialize(self).map_err(|refusal| Refusal::Noted(notes.take(refusal, &path)))
    }

    fn wrong(&self, expected: &str) -> Refusal {
        let found = match self.value {
            Value::Null => "nothing".to_string(),
            Value::Bool(b) => format!("`{b}`"),
            Value::Number(n) => format!("`{n}`"),
            Value::String(s) => format!("`{s}`"),
            Value::Sequence(_) => "a list".to_string(),
            Value::Mapping(_) => "a mapping".to_string(),
            Value::Tagged(_) => "a tagged value".to_string(),
        };
        Refusal::Said(format!("found {found}, expected {expected}"))
    }

    /// Lists what the mapping holds, without the keys that are not in `known` (if given) and what is to be left out.
    fn entries(self, known: Option<&'static [&'static str]>) -> Result<Entries<'a>, Refusal> {
        let mapping = match self.value {
            Value::Mapping(mapping) => mapping,
            _ => return Err(self.wrong("a mapping")),
        };
        let mut entries = Vec::new();
        for (key, value) in mapping {
            let Some(key) = key_text(key) else {
                self.notes.push(Note::value(self.path.clone(), "a key here is neither a word nor a number"));
                continue;
            };
            let child = self.inside(Step::Key(key.clone()), value);
            if self.notes.skipped.contains(&child.path) {
                continue;
            }
            match known {
                Some(known) if !known.contains(&key.as_str()) => {
                    let text = unknown("key", &key, known);
                    self.notes.push(Note { path: child.path, text, at_key: true });
                }
                _ => entries.push((key, child)),
            }
        }
        Ok(Entries { rest: entries.into_iter(), value: None })
    }

    /// Lists what the sequence holds, without what is to be left out.
    fn items(self) -> Result<Items<'a>, Refusal> {
        let Value::Sequence(items) = self.value else { return Err(self.wrong("a list")) };
        let items = items.iter().enumerate().map(|(index, item)| self.inside(Step::Item(index), item));
        let kept: Vec<_> = items.filter(|item| !self.notes.skipped.contains(&item.path)).collect();
        Ok(Items { rest: kept.into_iter() })
    }

    fn text(&self) -> Result<Cow<'a, str>, Refusal> {
        match self.value {
            Value::String(text) => Ok(Cow::Borrowed(text)),
            // `keyword: 137` means the text.
            Value::Number(number) => Ok(Cow::Owned(number.to_string())),
            Value::Bool(flag) => Ok(Cow::Owned(flag.to_string())),
            _ => Err(self.wrong("a text")),
        }
    }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    }
}

impl<'de> Deserializer<'de> for At<'_> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(flag) => visitor.visit_bool(*flag),
            Value::Number(number) => match (number.as_u64(), number.as_i64()) {
                (Some(n), _) => visitor.visit_u64(n),
                (_, Some(n)) => visitor.visit_i64(n),
                _ => visitor.visit_f64(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => visitor.visit_str(text),
            Value::Sequence(_) => visitor.visit_seq(self.items()?),
            Value::Mapping(_) => visitor.visit_map(self.entries(None)?),
            Value::Tagged(_) => Err(self.wrong("a value without a tag")),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(&self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_seq(self.items()?)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_map(self.entries(None)?)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_map(self.entries(Some(fields))?)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match self.value {
            Value::String(word) => visitor.visit_enum(word.as_str().into_deserializer()),
            Value::Mapping(mapping) if mapping.len() == 1 => visitor.visit_enum(de::value::MapAccessDeserializer::new(self.entries(None)?)),
            _ => Err(self.wrong("one word, or a mapping with one key")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct tuple tuple_struct identifier
    }
}

struct Entries<'a> {
    rest: std::vec::IntoIter<(String, At<'a>)>,
    value: Option<At<'a>>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        seed.deserialize(key.into_deserializer()).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        match self.value.take() {
            Some(at) => at.read(seed),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

struct Items<'a> {
    rest: std::vec::IntoIter<At<'a>>,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        self.rest.next().map(|at| at.read(seed)).transpose()
    }
}

#[cfg(test)]
mod tests;
