//! Presets: what an SMS gateway or a messenger expects, as data. They ship in `configs/channels/` and stay editable.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::config::{Mistake, Mistakes, from_yaml};

/// What a gateway expects and how it says that all went well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// The name channels refer to.
    pub name: String,
    /// `POST` or `GET`.
    #[serde(default = "post")]
    pub method: String,
    /// The address, with placeholders.
    pub url: String,
    /// Headers, with placeholders.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A form body; or
    #[serde(default)]
    pub form: BTreeMap<String, String>,
    /// a JSON body; or
    pub json: Option<serde_json::Value>,
    /// any other body.
    pub raw: Option<String>,
    /// How numbers are written: `local` (09…), `international` (98…), `plus` (+98…), `as_is`.
    #[serde(default = "as_is")]
    pub number: String,
    /// What separates several numbers of one address; without it an address is one number.
    pub join: Option<String>,
    /// How success looks in the body of a 2xx answer; without it 2xx is success.
    pub success: Option<Success>,
    /// Body values that mean "try later", by the pointer of `success`.
    #[serde(default)]
    pub later: Vec<String>,
    /// Whether the text is the short one, cut to the parts of an SMS.
    #[serde(default)]
    pub sms: bool,
    /// Longest text in characters, for messengers.
    pub most_chars: Option<usize>,
    /// Whether the gateway recognises the `{id}` of a message it already took.
    #[serde(default)]
    pub recognises_repeats: bool,
    /// Requests a minute at most.
    pub per_minute: Option<u32>,
}

/// Where the body says that all went well.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Success {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// Values that mean success, as text.
    pub values: Vec<String>,
}

fn post() -> String {
    "POST".to_owned()
}

fn as_is() -> String {
    "as_is".to_owned()
}

/// The presets that ship with the program.
const SHIPPED: [(&str, &str); 7] = [
    ("kavenegar.yaml", include_str!("../../../../configs/channels/kavenegar.yaml")),
    ("smsir.yaml", include_str!("../../../../configs/channels/smsir.yaml")),
    ("amoot.yaml", include_str!("../../../../configs/channels/amoot.yaml")),
    ("bale.yaml", include_str!("../../../../configs/channels/bale.yaml")),
    ("eitaa.yaml", include_str!("../../../../configs/channels/eitaa.yaml")),
    ("rubika.yaml", include_str!("../../../../configs/channels/rubika.yaml")),
    ("telegram.yaml", include_str!("../../../../configs/channels/telegram.yaml")),
];

/// Reads the presets: those that ship, and those of a folder, which win by name.
///
/// # Errors
/// Every mistake in every file.
pub fn presets(folder: Option<&Path>) -> Result<Vec<Preset>, Mistakes> {
    let mut texts = SHIPPED.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect::<Vec<_>>();
    texts.extend(folder.map(files).unwrap_or_default());
    let mut found: Vec<Preset> = Vec::new();
    let mut mistakes = Vec::new();
    for (file, text) in texts {
        match parse_preset(&file, &text) {
            Ok(preset) => {
                found.retain(|known| known.name != preset.name);
                found.push(preset);
            }
            Err(Mistakes(more)) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(found) } else { Err(Mistakes(mistakes)) }
}

fn files(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut paths = entries.filter(|path| path.extension().is_some_and(|ext| ext == "yaml")).collect::<Vec<_>>();
    paths.sort();
    paths.into_iter().filter_map(|path| Some((path.display().to_string(), std::fs::read_to_string(&path).ok()?))).collect()
}

/// Reads one preset.
///
/// # Errors
/// Every mistake, with line and column.
pub fn parse_preset(file: &str, text: &str) -> Result<Preset, Mistakes> {
    let preset: Preset = from_yaml(file, text)?;
    let mut mistakes = Vec::new();
    let mut wrong = |key: &str, why: &str| {
        let (line, column) = crate::rules::place(text, &[key]);
        mistakes.push(Mistake { file: file.to_owned(), line, column, text: format!("{key}: {why}") });
    };
    if !["GET", "POST"].contains(&preset.method.as_str()) {
        wrong("method", "is GET or POST");
    }
    if !["local", "international", "plus", "as_is"].contains(&preset.number.as_str()) {
        wrong("number", "is local, international, plus or as_is");
    }
    let bodies = usize::from(!preset.form.is_empty()) + usize::from(preset.json.is_some()) + usize::from(preset.raw.is_some());
    if bodies > 1 {
        wrong("form", "give one of form, json, raw");
    }
    if !preset.later.is_empty() && preset.success.is_none() {
        wrong("later", "needs success, whose pointer it reads");
    }
    if mistakes.is_empty() { Ok(preset) } else { Err(Mistakes(mistakes)) }
}
