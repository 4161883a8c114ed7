//! The form of a scenario file.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Story {
    /// What it shows.
    #[allow(dead_code)] // For the reader of the file.
    pub title: String,
    /// Local date and time in Tehran at which it begins.
    pub begins: String,
    #[serde(default)]
    pub node: Vec<Node>,
    pub site: Vec<Sites>,
    /// Replaces the rules that ship.
    pub rules: Option<String>,
    /// People, turns, routes and channels; without it one person hears everything.
    pub oncall: Option<String>,
    /// Told by batches through the engine, with the thresholds that ship.
    #[serde(default)]
    pub samples: bool,
    #[serde(default)]
    pub step: Vec<Step>,
    pub expect: Vec<Expect>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub code: String,
    pub kind: String,
    #[serde(default)]
    pub parent: String,
}

/// Sites of one form: `v-{n}` counts from 1.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sites {
    pub code: String,
    #[serde(default = "one")]
    pub count: usize,
    #[serde(default = "village")]
    pub kind: String,
    #[serde(default = "county")]
    pub county: String,
    #[serde(default = "class")]
    pub class: String,
    #[serde(default)]
    pub operator: String,
    #[serde(default)]
    pub parents: String,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    #[serde(deserialize_with = "time")]
    pub at: Duration,
    pub down: Vec<String>,
    pub silent: Vec<String>,
    pub up: Vec<String>,
    pub flapping: Vec<String>,
    pub maintenance: Vec<String>,
    /// The collector stops and starts again at once.
    pub restart: bool,
    /// The collector is stopped this long; agents are silent when it wakes up.
    pub asleep: Option<String>,
    /// Our clock is set by this much, such as `-1h`.
    pub clock: Option<String>,
    /// The engine says that much of the fleet is quiet, or is no more.
    pub fleet_quiet: Option<bool>,
    /// Somebody acknowledges an incident.
    pub acknowledge: Option<u64>,
    /// By somebody bound to that region; without it by somebody of the province.
    pub acknowledge_within: Option<String>,
    /// Who does; `ali` if not said.
    pub by: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    #[serde(deserialize_with = "time")]
    pub at: Duration,
    /// Open incidents.
    pub open: Option<usize>,
    /// Incidents ever opened.
    pub opened: Option<usize>,
    /// Sites by state.
    pub states: BTreeMap<String, usize>,
    /// Links held, with their reasons.
    pub held: BTreeMap<String, usize>,
    /// Open incidents by kind of root and number of open members.
    pub incidents: Vec<String>,
    /// Calls so far, by kind.
    pub calls: BTreeMap<String, usize>,
    /// The most calls, resolves left out, that anybody got so far.
    pub most_calls: Option<usize>,
    /// Every site of this pattern stands in exactly one call that tells of trouble.
    pub each_listed_once: Vec<String>,
    /// By incident: who takes care of all of it; nobody is empty.
    pub acknowledged: BTreeMap<String, String>,
    /// Parts of decisions that must have been recorded: `stage: part of the reason`.
    pub reasons: Vec<String>,
    /// What the last call tells of, in a digest or summary.
    pub lines: Option<usize>,
    /// Who got something, and of which kind: `ali: escalate`.
    pub told: Vec<String>,
    /// Seconds from the last step to the first call.
    pub first_call_within_s: Option<i64>,
}

fn one() -> usize {
    1
}

fn village() -> String {
    "village".into()
}

fn county() -> String {
    "0901".into()
}

fn class() -> String {
    "C".into()
}

fn time<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    duration(&text).ok_or_else(|| serde::de::Error::custom(format!("`{text}` is not a time such as 90s or 1h30m")))
}

/// Reads `1h30m`, `90s`.
pub fn duration(text: &str) -> Option<Duration> {
    let mut total = 0;
    let mut number = String::new();
    for letter in text.chars() {
        match letter {
            '0'..='9' => number.push(letter),
            'h' | 'm' | 's' => {
                let unit = match letter {
                    'h' => 3600,
                    'm' => 60,
                    _ => 1,
                };
                total += std::mem::take(&mut number).parse::<u64>().ok()? * unit;
            }
            _ => return None,
        }
    }
    number.is_empty().then_some(Duration::from_secs(total))
}
