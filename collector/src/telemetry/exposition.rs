//! OpenMetrics text, put together from several writers so that each family has one head.
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

    /// Returns the whole text with its end mark.
    pub fn finish(self) -> String {
        let mut text: String = self.families.into_iter().flat_map(|(head, samples)| [head, samples]).collect();
        text.extend([END, "\n"]);
        text
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
        assert_eq!(text.finish(), expected);
    }

    #[test]
    fn what_is_not_known_has_no_sample() {
        let mut text = Exposition::default();
        let mut family = text.family("k", Kind::Gauge, "K");
        family.add_known(&[], None);
        family.add_known(&[], Some(f64::NAN));
        assert_eq!(text.finish(), "# HELP k K.\n# TYPE k gauge\n# EOF\n");
    }
}
