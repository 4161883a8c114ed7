//! OpenMetrics text, or Prometheus' older text, put together from several writers so that each family has one head.
//!
//! The registry's library writes a family's head again for each sub-registry (two ports, three sinks), which the standard
//! forbids; samples of one name are gathered here under the first head.

use std::collections::HashMap;
use std::fmt::Write as _;

/// The last line of a text.
const END: &str = "# EOF";

/// What kind of numbers a family holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Goes up and down.
    Gauge,
    /// Says something in its labels; its value is 1.
    Info,
}

/// How a text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4: what every scraper and `promtool` reads.
    Text,
    /// OpenMetrics 1.0.0: for those who ask for it.
    OpenMetrics,
}

impl Format {
    /// Chooses by a request's `Accept` header.
    pub fn accepted(accept: &str) -> Format {
        let mut ranges = accept.split(',').map(str::trim);
        let asks = ranges.any(|range| range.starts_with("application/openmetrics-text") && !range.ends_with("q=0"));
        if asks { Format::OpenMetrics } else { Format::Text }
    }

    /// Returns its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// A text under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    families: Vec<(String, String)>,
    by_name: HashMap<String, usize>,
}

/// A family that takes samples.
pub struct Family<'a> {
    samples: &'a mut String,
    name: String,
}

impl Exposition {
    /// Begins a family, or goes on with it.
    pub fn family(&mut self, name: &str, kind: Kind, help: &str) -> Family<'_> {
        let (word, suffix) = match kind {
            Kind::Gauge => ("gauge", ""),
            Kind::Info => ("info", "_info"),
        };
        let (_, samples) = self.open(name, || format!("# HELP {name} {help}.\n# TYPE {name} {word}\n"));
        Family { samples, name: format!("{name}{suffix}") }
    }

    /// Takes the text of another writer, in which each family begins with its `HELP`.
    pub fn absorb(&mut self, text: &str) {
        let (mut name, mut is_new) = ("", true);
        for line in text.lines().filter(|line| *line != END) {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                name = rest.split(' ').next().unwrap_or_default();
                is_new = !self.by_name.contains_key(name);
            }
            let (head, samples) = self.open(name, String::new);
            match line.starts_with('#') {
                true if is_new => head.extend([line, "\n"]),
                true => {}
                false => samples.extend([line, "\n"]),
            }
        }
    }

    /// Returns the whole text.
    pub fn finish(self, format: Format) -> String {
        let families = self.families.into_iter();
        match format {
            Format::OpenMetrics => families.flat_map(|(head, samples)| [head, samples]).chain([format!("{END}\n")]).collect(),
            Format::Text => families.flat_map(|(head, samples)| [text_head(&head), samples]).collect(),
        }
    }

    fn open(&mut self, name: &str, head: impl FnOnce() -> String) -> (&mut String, &mut String) {
        let at = *self.by_name.entry(name.to_owned()).or_insert_with(|| {
            self.families.push((head(), String::new()));
            self.families.len() - 1
        });
        let (head, samples) = &mut self.families[at];
        (head, samples)
    }
}

/// Writes a family's head as text 0.0.4 has it: the name is that of its samples, and there are fewer types.
fn text_head(head: &str) -> String {
    let kind = head.lines().find_map(|line| line.strip_prefix("# TYPE ")?.split(' ').nth(1)).unwrap_or("unknown");
    let (suffix, kind) = match kind {
        "counter" => ("_total", "counter"),
        "info" => ("_info", "gauge"),
        "stateset" => ("", "gauge"),
        "unknown" => ("", "untyped"),
        kind => ("", kind),
    };
    let line = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let (_, word, name, rest) = (words.next()?, words.next()?, words.next()?, words.next().unwrap_or_default());
        match word {
            "HELP" => Some(format!("# HELP {name}{suffix} {rest}\n")),
            "TYPE" => Some(format!("# TYPE {name}{suffix} {kind}\n")),
            _ => None,
        }
    };
    head.lines().filter_map(line).collect()
}

impl Family<'_> {
    /// Adds a sample. Labels with an empty value are left out: the standard says that both mean the same.
    pub fn add(&mut self, labels: &[(&str, &str)], value: f64) {
        self.samples.push_str(&self.name);
        let mut separator = '{';
        for (key, value) in labels.iter().filter(|(_, value)| !value.is_empty()) {
            let _ = write!(self.samples, "{separator}{key}=\"");
            escape(self.samples, value);
            self.samples.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.samples.push('}');
        }
        let _ = writeln!(self.samples, " {value}");
    }

    /// Adds a sample if there is a number: what is not known has none.
    pub fn add_known(&mut self, labels: &[(&str, &str)], value: Option<f64>) {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.add(labels, value);
        }
    }
}

fn escape(out: &mut String, text: &str) {
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '"' => out.push_str("\\\""),
            '\n' => out.push_str("\\n"),
            other => out.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_family_has_one_head_whoever_writes_to_it() {
        let mut text = Exposition::default();
        text.absorb("# HELP a Some.\n# TYPE a counter\na_total{port=\"x\"} 1\n# HELP b Other.\n# TYPE b gauge\nb 2\n");
        text.absorb("# HELP a Some.\n# TYPE a counter\na_total{port=\"y\"} 3\n# EOF\n");
        text.family("b", Kind::Gauge, "Other").add(&[("name", "a\"b\\c\nd"), ("none", "")], 0.5);
        let expected = "# HELP a Some.\n# TYPE a counter\na_total{port=\"x\"} 1\na_total{port=\"y\"} 3\n\
                        # HELP b Other.\n# TYPE b gauge\nb 2\nb{name=\"a\\\"b\\\\c\\nd\"} 0.5\n# EOF\n";
        assert_eq!(text.finish(Format::OpenMetrics), expected);
        let mut text = Exposition::default();
        text.absorb("# HELP a Some things.\n# TYPE a counter\n# UNIT a things\na_total 1\n");
        text.family("b", Kind::Info, "Other").add(&[("v", "1")], 1.0);
        let expected = "# HELP a_total Some things.\n# TYPE a_total counter\na_total 1\n# HELP b_info Other.\n# TYPE b_info gauge\nb_info{v=\"1\"} 1\n";
        assert_eq!(text.finish(Format::Text), expected);
    }

    #[test]
    fn the_older_text_is_written_unless_the_other_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        let asked = ["", "*/*", "text/plain", prometheus, "application/openmetrics-text; q=0"].map(Format::accepted);
        assert_eq!(asked, [Format::Text, Format::Text, Format::Text, Format::OpenMetrics, Format::Text]);
    }

    #[test]
    fn what_is_not_known_has_no_sample() {
        let mut text = Exposition::default();
        let mut family = text.family("k", Kind::Gauge, "K");
        family.add_known(&[], None);
        family.add_known(&[], Some(f64::NAN));
        assert_eq!(text.finish(Format::OpenMetrics), "# HELP k K.\n# TYPE k gauge\n# EOF\n");
    }
}
