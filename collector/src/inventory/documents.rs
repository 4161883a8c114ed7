//! The YAML files: services, profiles, calendars, events and maintenance, exactly as people write them.
//!
//! Each file is a list. Items are read one by one, so that each wrong item is reported with its own line.

use serde::{Deserialize, Serialize};
use serde_yaml::{Mapping, Value};

use super::fault::{Fault, Kind};

/// All YAML files of an inventory.
#[derive(Debug, Clone, Default)]
pub struct Documents {
    /// `services.yaml`
    pub services: Vec<Item<ServiceText>>,
    /// `profiles.yaml`
    pub profiles: Vec<Item<ProfileText>>,
    /// `calendars.yaml`
    pub calendars: Vec<Item<CalendarText>>,
    /// `events.yaml`
    pub events: Vec<Item<EventText>>,
    /// `maintenance.yaml`
    pub maintenance: Vec<Item<MaintenanceText>>,
}

/// An item and the line it starts at; 0 if it was not read from a file.
#[derive(Debug, Clone)]
pub struct Item<T> {
    /// Line of the file.
    pub line: u32,
    /// As written.
    pub text: T,
}

impl<T> From<T> for Item<T> {
    fn from(text: T) -> Self {
        Item { line: 0, text }
    }
}

/// One service as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `profile::Service`.
pub struct ServiceText {
    pub id: String,
    pub name_fa: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name_en: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub owner: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub criticality: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub calendar: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub channel: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Mapping>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vantages: Vec<String>,
    #[serde(default, skip_serializing_if = "ScopeText::is_everywhere")]
    pub scope: ScopeText,
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub active: bool,
    #[serde(default, skip_serializing_if = "is_no")]
    pub single_window: bool,
}

/// A service's scope as written.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `profile::Scope`.
pub struct ScopeText {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cohort: Option<String>,
}

impl ScopeText {
    fn is_everywhere(&self) -> bool {
        *self == ScopeText::default()
    }
}

/// One profile as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `profile::Profile`.
pub struct ProfileText {
    pub name: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kinds: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metered: Option<bool>,
    pub targets: Vec<Mapping>,
}

/// One working calendar as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `calendar::ServiceCalendar`.
pub struct CalendarText {
    pub name: String,
    pub week: WeekText,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
}

/// Opening hours as written, `07:30-14:30`; a day left out is closed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs)] // The names of the days say it.
pub struct WeekText {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saturday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sunday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tuesday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wednesday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thursday: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub friday: Option<String>,
}

impl WeekText {
    /// Lists the days from Saturday.
    pub fn days(&self) -> [&Option<String>; 7] {
        [&self.saturday, &self.sunday, &self.monday, &self.tuesday, &self.wednesday, &self.thursday, &self.friday]
    }
}

/// One public event as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `calendar::PublicEvent`.
pub struct EventText {
    pub id: String,
    pub name_fa: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name_en: String,
    pub from: String,
    pub until: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// One maintenance window as written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // The fields are those of `calendar::MaintenanceWindow`.
pub struct MaintenanceText {
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    pub from: String,
    pub until: String,
    pub announced: String,
    #[serde(default, skip_serializing_if = "is_no")]
    pub weekly: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sites: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<String>,
}

fn yes() -> bool {
    true
}

fn is_yes(flag: &bool) -> bool {
    *flag
}

fn is_no(flag: &bool) -> bool {
    !*flag
}

/// A list somebody typed; a thousand times the largest real one.
const MAX_YAML_BYTES: usize = 4 * 1024 * 1024;

/// File names of the documents, in reading order.
pub const FILES: [&str; 5] = ["services.yaml", "profiles.yaml", "calendars.yaml", "events.yaml", "maintenance.yaml"];

impl Documents {
    /// Reads one file.
    pub fn read(&mut self, file: &'static str, text: &str, faults: &mut Vec<Fault>) {
        if text.len() > MAX_YAML_BYTES {
            faults.push(Fault::at(file, 0, "", Kind::TooLarge { what: "the file", limit: MAX_YAML_BYTES as u64 }));
            return;
        }
        match file {
            "services.yaml" => self.services = items(file, text, faults),
            "profiles.yaml" => self.profiles = items(file, text, faults),
            "calendars.yaml" => self.calendars = items(file, text, faults),
            "events.yaml" => self.events = items(file, text, faults),
            _ => self.maintenance = items(file, text, faults),
        }
    }

    /// Writes one file; `None` if it would be empty.
    pub fn write(&self, file: &str) -> Result<Option<String>, serde_yaml::Error> {
        match file {
            "services.yaml" => written(&self.services),
            "profiles.yaml" => written(&self.profiles),
            "calendars.yaml" => written(&self.calendars),
            "events.yaml" => written(&self.events),
            _ => written(&self.maintenance),
        }
    }
}

fn written<T: Serialize>(items: &[Item<T>]) -> Result<Option<String>, serde_yaml::Error> {
    let list: Vec<&T> = items.iter().map(|item| &item.text).collect();
    if list.is_empty() { Ok(None) } else { serde_yaml::to_string(&list).map(Some) }
}

fn items<T: for<'de> Deserialize<'de>>(file: &str, text: &str, faults: &mut Vec<Fault>) -> Vec<Item<T>> {
    let mut found = Vec::new();
    for (line, chunk) in chunks(text) {
        match serde_yaml::from_str::<Vec<T>>(chunk) {
            Ok(list) => found.extend(list.into_iter().map(|text| Item { line, text })),
            Err(error) => {
                let at = error.location();
                let row = line + at.as_ref().map_or(0, |l| u32::try_from(l.line()).unwrap_or(1).saturating_sub(1));
                let column = at.map_or(String::new(), |l| l.column().to_string());
                let words = error.to_string();
                let reason = words.split(" at line ").next().unwrap_or_default().to_owned();
                faults.push(Fault::at(file, row, &column, Kind::Unreadable { reason }));
            }
        }
    }
    found
}

/// Cuts a list at its top-level dashes, with the line each piece starts at. Text before the first dash is a piece of
/// its own if it says anything, and is then refused by the reader.
fn chunks(text: &str) -> Vec<(u32, &str)> {
    let mut starts = vec![(1u32, 0usize)];
    let mut offset = 0;
    for (number, line) in (1u32..).zip(text.split_inclusive('\n')) {
        if offset > 0 && (line.starts_with("- ") || line.trim_end() == "-") {
            starts.push((number, offset));
        }
        offset += line.len();
    }
    let ends = starts.iter().skip(1).map(|(_, at)| *at).chain([text.len()]);
    let pieces = starts.iter().zip(ends).map(|(&(line, from), until)| (line, &text[from..until]));
    pieces.filter(|(_, piece)| piece.lines().any(says_something)).collect()
}

fn says_something(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#') && line != "---" && line != "[]"
}

/// Reads an optional text value of a mapping.
pub(super) fn text_of(mapping: &Mapping, key: &str) -> Option<String> {
    mapping.get(key).and_then(|value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}
