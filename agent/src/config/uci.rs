//! OpenWrt's own form of the configuration: `/etc/config/rusta`, as `uci` and LuCI write it.
//!
//! It becomes the YAML of [`text`](super::text), line by line, and each line remembers where it came from: one set of rules, and
//! mistakes told at the line of the file that a person edits.
//!
//! ```text
//! config agent 'main'                      links:
//!     option invitation 'rusta1:..'          - name: "wwan"
//! config link 'wwan'            ----->         netifd: "wan4g"
//!     option interface 'wan4g'                 plan: { bytes: 3GB }
//!     option plan_gb '3'
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::yaml::{self, Mistake};

/// What a UCI file says.
pub enum Meaning {
    /// The configuration itself.
    Here(Yaml),
    /// That it is in a YAML file (`option config`).
    In(PathBuf),
}

/// A configuration as YAML.
#[derive(Default)]
pub struct Yaml {
    /// The text.
    pub text: String,
    /// For each of its lines the line of the file it came from.
    lines: Vec<usize>,
}

impl Yaml {
    fn line(&mut self, from: usize, text: &str) {
        self.text.push_str(text);
        self.text.push('\n');
        self.lines.push(from);
    }

    /// Puts mistakes in the YAML where they are in the file.
    pub fn place(&self, mistakes: Vec<Mistake>) -> Vec<Mistake> {
        let place = |m: Mistake| Mistake { line: self.lines.get(m.line.saturating_sub(1)).copied().unwrap_or(1), column: 1, ..m };
        mistakes.into_iter().map(place).collect()
    }
}

/// Tells whether a file is UCI: its place says so, or its first word.
pub fn is_uci(path: &Path, text: &str) -> bool {
    let first = text.lines().map(str::trim_start).find(|line| !line.is_empty() && !line.starts_with('#'));
    path.starts_with("/etc/config") || first.is_some_and(|line| line.starts_with("config ") || line.starts_with("package "))
}

/// How an option's value is written in YAML.
#[derive(Clone, Copy)]
enum Form {
    /// A text.
    Text,
    /// A number or a word of the YAML's own, such as a size.
    Plain,
    /// UCI's yes and no.
    Flag,
    /// A number of this unit, with a fraction or without.
    Number(&'static str),
}

/// An option: its name, the key it becomes and its form.
type Known = (&'static str, &'static str, Form);

/// What may stand in `config agent`; what has no key of its own is handled by name.
const AGENT: &[Known] = &[
    ("enabled", "", Form::Flag),
    ("config", "", Form::Text),
    ("invitation", "", Form::Text),
    ("collector", "", Form::Text),
    ("token", "", Form::Text),
    ("fingerprint", "", Form::Text),
    ("state", "", Form::Text),
    ("spool", "spool.max_bytes", Form::Text),
    ("sync", "spool.sync", Form::Text),
    ("writes_per_day", "spool.writes_per_day", Form::Text),
    ("report", "report.every", Form::Text),
    ("resolver", "resolvers", Form::Text),
    ("allow_assigned", "allow_assigned", Form::Text),
];

/// What may stand in `config link`.
const LINK: &[Known] = &[
    ("name", "", Form::Text),
    ("interface", "netifd", Form::Text),
    ("device", "interface", Form::Text),
    ("path", "path", Form::Text),
    ("iccid", "iccid", Form::Text),
    ("apn", "apn", Form::Text),
    ("source", "source", Form::Text),
    ("resolver", "resolvers", Form::Text),
    ("network", "network", Form::Text),
    ("metered", "metered", Form::Flag),
    ("quiet", "quiet", Form::Text),
    ("plan_gb", "plan.bytes", Form::Number("MB")),
    ("own_mb", "plan.own_bytes", Form::Number("kB")),
    ("cycle_day", "plan.cycle_day", Form::Plain),
    ("calendar", "plan.calendar", Form::Text),
];

/// Where the state is unless `option state` names a folder that is there: where it is missing, its disk is.
const STATE: &str = "/etc/rusta/state";

/// One `config` section.
struct Section {
    line: usize,
    kind: String,
    name: Option<String>,
    /// Options and lists: the line and the values of each.
    values: BTreeMap<String, (usize, Vec<String>)>,
}

impl Section {
    fn get(&self, option: &str) -> Option<&str> {
        self.values.get(option)?.1.last().map(String::as_str)
    }

    fn line_of(&self, option: &str) -> usize {
        self.values.get(option).map_or(self.line, |(line, _)| *line)
    }
}

/// Reads a file.
///
/// # Errors
/// Everything that is no UCI, or that no agent knows.
pub fn read(text: &str) -> Result<Meaning, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    if text.len() > yaml::TEXT_BYTES {
        return Err(vec![mistake(1, format!("the file has {} bytes; at most {} are read", text.len(), yaml::TEXT_BYTES))]);
    }
    let sections = sections(text, &mut mistakes);
    for section in &sections {
        let known = match section.kind.as_str() {
            "agent" => AGENT,
            "link" => LINK,
            other => {
                mistakes.push(mistake(section.line, yaml::unknown("section", other, &["agent", "link"])));
                continue;
            }
        };
        let names: Vec<&str> = known.iter().map(|(name, ..)| *name).collect();
        for (option, (line, _)) in section.values.iter().filter(|(option, _)| !names.contains(&option.as_str())) {
            mistakes.push(mistake(*line, yaml::unknown("option", option, &names)));
        }
    }
    let agents: Vec<&Section> = sections.iter().filter(|section| section.kind == "agent").collect();
    if let Some(second) = agents.get(1) {
        mistakes.push(mistake(second.line, "a second `config agent`: there is one".into()));
    }
    if let Some(file) = agents.first().and_then(|agent| agent.get("config")) {
        return if mistakes.is_empty() { Ok(Meaning::In(file.into())) } else { Err(mistakes) };
    }
    let mut yaml = Yaml::default();
    if let Some(agent) = agents.first() {
        of_agent(agent, &mut yaml, &mut mistakes);
    } else {
        yaml.line(1, "collector: {}");
        yaml.line(1, &format!("spool: {{ dir: {STATE}/spool }}"));
    }
    let links: Vec<&Section> = sections.iter().filter(|section| section.kind == "link").collect();
    if !links.is_empty() {
        yaml.line(links[0].line, "links:");
    }
    links.iter().for_each(|link| of_link(link, &mut yaml, &mut mistakes));
    if mistakes.is_empty() { Ok(Meaning::Here(yaml)) } else { Err(mistakes) }
}

fn of_agent(agent: &Section, yaml: &mut Yaml, mistakes: &mut Vec<Mistake>) {
    yaml.line(agent.line, "collector:");
    yaml.line(agent.line, "  identity_dir: /etc/rusta/identity");
    if let Some((line, urls)) = agent.values.get("collector") {
        yaml.line(*line, &format!("  urls: [{}]", urls.iter().map(|url| quoted(url)).collect::<Vec<_>>().join(", ")));
    }
    match (agent.get("invitation"), agent.get("token"), agent.get("collector")) {
        (Some(invitation), ..) => yaml.line(agent.line_of("invitation"), &format!("  invitation: {}", quoted(invitation))),
        (None, Some(token), Some(_)) => {
            let places: Vec<&str> =
                agent.values["collector"].1.iter().map(|url| url.trim_start_matches("https://").trim_end_matches('/')).collect();
            let print = agent.get("fingerprint").unwrap_or_default().replace(':', "");
            let line = agent.line_of(if print.is_empty() { "token" } else { "fingerprint" });
            yaml.line(line, &format!("  invitation: {}", quoted(&format!("rusta1:{token}:{print}:{}", places.join(",")))));
        }
        (None, Some(_), None) => mistakes.push(mistake(agent.line_of("token"), "a token needs `list collector` beside it".into())),
        (None, None, _) => {}
    }
    let state = agent.get("state").filter(|state| Path::new(state).is_dir()).unwrap_or(STATE);
    yaml.line(agent.line_of("state"), "spool:");
    yaml.line(agent.line_of("state"), &format!("  dir: {}", quoted(&format!("{state}/spool"))));
    groups(agent, AGENT, ("", "spool"), yaml, mistakes);
}

fn of_link(link: &Section, yaml: &mut Yaml, mistakes: &mut Vec<Mistake>) {
    let Some(name) = link.get("name").or(link.name.as_deref()) else {
        mistakes.push(mistake(link.line, "a link has a name, as in `config link 'apn0'`: the one of the inventory".into()));
        return;
    };
    yaml.line(link.line, &format!("  - name: {}", quoted(name)));
    groups(link, LINK, ("    ", ""), yaml, mistakes);
}

/// Writes the options of a section, those of one group (`plan.bytes`, `plan.own_bytes`) below one heading; `heading` is there.
fn groups(section: &Section, known: &[Known], (indent, mut heading): (&str, &str), yaml: &mut Yaml, mistakes: &mut Vec<Mistake>) {
    for (option, path, form) in known.iter().filter(|(_, path, _)| !path.is_empty()) {
        let Some((line, values)) = section.values.get(*option) else { continue };
        let (group, key) = path.split_once('.').unwrap_or(("", path));
        if !group.is_empty() && group != heading {
            yaml.line(*line, &format!("{indent}{group}:"));
        }
        heading = group;
        let inner = if group.is_empty() { "" } else { "  " };
        match written(values, matches!(*option, "resolver" | "allow_assigned"), *form) {
            Ok(value) => yaml.line(*line, &format!("{indent}{inner}{key}: {value}")),
            Err(fault) => mistakes.push(mistake(*line, format!("{option}: {fault}"))),
        }
    }
}

fn written(values: &[String], is_list: bool, form: Form) -> Result<String, String> {
    if is_list {
        return Ok(format!("[{}]", values.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(", ")));
    }
    let value = values.last().map(String::as_str).unwrap_or_default();
    match form {
        Form::Text => Ok(quoted(value)),
        Form::Plain if value.bytes().all(|b| b.is_ascii_digit()) && !value.is_empty() => Ok(value.to_owned()),
        Form::Plain => Err(format!("`{value}` is no whole number")),
        Form::Flag => match value {
            "1" | "on" | "true" | "yes" | "enabled" => Ok("true".into()),
            "0" | "off" | "false" | "no" | "disabled" => Ok("false".into()),
            other => Err(format!("`{other}` is neither 1 nor 0")),
        },
        Form::Number(thousandth) => thousandths(value)
            .map(|number| format!("{number}{thousandth}"))
            .ok_or_else(|| format!("`{value}` is no number, as in 3 or 1.5")),
    }
}

/// Reads a number with at most three digits behind the point, in thousandths.
fn thousandths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(part) || part.len() > 3 {
        return None;
    }
    whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(format!("{part:0<3}").parse().ok()?)
}

/// Writes a text as JSON does, which YAML reads as well.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn mistake(line: usize, text: String) -> Mistake {
    Mistake { line, column: 1, path: String::new(), text }
}

fn sections(text: &str, mistakes: &mut Vec<Mistake>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    for (line, words) in (1..).zip(text.lines().map(words)) {
        let words = match words {
            Ok(words) => words,
            Err(fault) => {
                mistakes.push(mistake(line, fault.into()));
                continue;
            }
        };
        let mut words = words.into_iter();
        match (words.next().as_deref(), words.next(), words.next(), words.next()) {
            (None, ..) | (Some("package"), Some(_), None, None) => {}
            (Some("config"), Some(kind), name, None) => sections.push(Section { line, kind, name, values: BTreeMap::new() }),
            (Some(form @ ("option" | "list")), Some(option), Some(value), None) => match sections.last_mut() {
                None => mistakes.push(mistake(line, format!("`{form}` before any `config` section"))),
                Some(section) => {
                    let kept = section.values.entry(option).or_insert_with(|| (line, Vec::new()));
                    // uci takes the last `option`; each `list` adds one.
                    if form == "option" {
                        kept.1.clear();
                    }
                    kept.0 = line;
                    kept.1.push(value);
                }
            },
            _ => mistakes.push(mistake(line, "one of  config TYPE 'NAME'  option NAME 'VALUE'  list NAME 'VALUE'  is expected".into())),
        }
    }
    sections
}

/// Splits a line into words as `uci` does: 'as it stands', "with \\ escapes", bare; `#` begins a comment.
fn words(line: &str) -> Result<Vec<String>, &'static str> {
    let (mut words, mut word) = (Vec::new(), None::<String>);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '#' if word.is_none() => break,
            letter if letter.is_whitespace() => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("a value ends on its line, with a quote")? {
                        '\'' => break,
                        letter => word.push(letter),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match letters.next().ok_or("a value ends on its line, with a quote")? {
                        '"' => break,
                        '\\' => word.extend(letters.next()),
                        letter => word.push(letter),
                    }
                }
            }
            '\\' => word.get_or_insert_default().extend(letters.next()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
#[path = "uci_tests.rs"]
mod tests;
