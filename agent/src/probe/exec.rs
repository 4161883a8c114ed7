//! Any Nagios-compatible plugin, with its performance data, without a shell.
//!
//! The plugin gets no environment but a fixed path and the link it should keep to (`RUSTA_INTERFACE`, `RUSTA_SOURCE`): a
//! program of someone else's cannot be bound from outside. It runs in a process group of its own, which is killed at the
//! deadline or when it talks too much. It never runs as root: an agent that is root starts it as nobody.

use std::path::Path;

use rusta_wire::{Metric, Outcome};
use serde::Deserialize;

use super::process::{Command, Finished};
use super::round::{Round, Values};
use super::{Measurement, Part};

/// The settings.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The program, with its full path, and its arguments, one list item each.
    pub command: Vec<String>,
}

impl Config {
    pub(super) fn files(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The Monitoring Plugins guidelines allow a few lines; eight KiB are a few screens.
const OUTPUT_BYTES: usize = 8 * 1024;

/// Most performance values kept from one plugin, each a series.
const VALUES: usize = 16;

/// A plugin.
#[derive(Debug)]
pub struct Exec {
    command: Vec<String>,
}

impl Exec {
    pub(super) fn new(config: Config) -> Result<Self, String> {
        let program = config.command.first().ok_or("`command` is empty; its first item is the program")?;
        if !Path::new(program).is_absolute() {
            return Err(format!("`command` starts with `{program}`; give the program's full path, nothing is searched"));
        }
        Ok(Exec { command: config.command })
    }

    pub(super) fn metrics(&self) -> Vec<Metric> {
        vec![Metric::ExitCode]
    }

    pub(super) fn part_metrics(&self) -> Vec<Metric> {
        vec![Metric::PerfValueMilli]
    }

    pub(super) fn estimated_bytes(&self) -> u64 {
        0
    }

    pub(super) fn address(&self) -> String {
        self.command.join(" ")
    }

    pub(super) async fn measure(&self, round: &Round<'_>) -> Measurement {
        match self.run(round).await {
            Ok(Finished { code, output }) => {
                let mut values = Values::default();
                values.set(Metric::ExitCode, code);
                Measurement { parts: performance(&output), ..values.into_measurement(outcome_of(code)) }
            }
            Err(outcome) => Measurement::failed(outcome),
        }
    }

    async fn run(&self, round: &Round<'_>) -> Result<Finished, Outcome> {
        if !round.way.is_there() {
            // A program that we cannot hold to a link would go out by another one.
            return Err(Outcome::LinkGone);
        }
        Command { words: &self.command, output_bytes: OUTPUT_BYTES, as_nobody: true }.run(round).await
    }
}

fn outcome_of(code: i32) -> Outcome {
    match code {
        // A warning is a working service with a remark.
        0 | 1 => Outcome::Ok,
        2 => Outcome::Unexpected,
        // 3 is the plugin's "unknown"; anything else is a crash: neither says anything about the target.
        _ => Outcome::SystemError,
    }
}

/// Reads `label=value[unit];warn;crit;min;max` after the first `|` of each line (Monitoring Plugins, section 2.6).
fn performance(output: &str) -> Vec<Part> {
    output.lines().filter_map(|line| line.split_once('|')).flat_map(|(_, data)| labelled(data)).take(VALUES).collect()
}

fn labelled(mut data: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    while let Some((label, rest)) = next_label(data.trim_start()) {
        let (value, after) = rest.split_at(rest.find(char::is_whitespace).unwrap_or(rest.len()));
        let number = value.split(';').next().unwrap_or_default();
        if let Some(milli) = in_milli(number).filter(|_| is_name(&label)) {
            parts.push(Part { name: label, outcome: Outcome::Ok, values: vec![(Metric::PerfValueMilli, milli)] });
        }
        data = after;
    }
    parts
}

/// A label with spaces stands in single quotes, and a quote within it is doubled.
fn next_label(data: &str) -> Option<(String, &str)> {
    match data.strip_prefix('\'') {
        None => data.split_once('=').map(|(label, rest)| (label.to_owned(), rest)),
        Some(quoted) => {
            let ends = quoted.match_indices('\'').map(|(at, _)| at);
            let end = ends.into_iter().find(|at| quoted[at + 1..].starts_with('='))?;
            Some((quoted[..end].replace("''", "'"), &quoted[end + 2..]))
        }
    }
}

fn is_name(label: &str) -> bool {
    !label.is_empty() && label.len() <= 64 && !label.chars().any(char::is_control)
}

/// Reads a number with an optional unit. Percent, seconds and bytes keep their size; the unit is the reader's to know.
fn in_milli(text: &str) -> Option<i64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == '%');
    let value = digits.replace(',', ".").parse::<f64>().ok()? * 1_000.0;
    (value.is_finite() && value.abs() < 1e15).then_some(value.round() as i64)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use rusta_wire::{Metric, Outcome};

    use super::super::Measurement;
    use super::super::tests_support::*;
    use super::performance;
    use crate::socket::Way;

    fn values(output: &str) -> Vec<(String, i64)> {
        performance(output).into_iter().map(|p| (p.name, p.values[0].1)).collect()
    }

    #[test]
    fn performance_data_of_real_plugins_is_read() {
        // Outputs of check_load, check_disk, check_http and a plugin with quoted labels (monitoring-plugins 2.3.3).
        let load = "OK - load average: 0.05, 0.10, 0.09|load1=0.050;5.000;10.000;0; load5=0.100;4.000;6.000;0;";
        assert_eq!(values(load), [("load1".into(), 50), ("load5".into(), 100)]);
        let disk = "DISK OK - free space: / 3326 MB (56%);| /=2643MB;5948;5958;0;5968";
        assert_eq!(values(disk), [("/".into(), 2_643_000)]);
        let http = "HTTP OK: 200 - 612 bytes in 0.001 s |time=0.001104s;;;0.000000;10.000000 size=612B;;;0";
        assert_eq!(values(http), [("time".into(), 1), ("size".into(), 612_000)]);
        assert_eq!(values("OK | 'free space'=12,5% 'it''s'=-3c;;"), [("free space".into(), 12_500), ("it's".into(), -3_000)]);
    }

    #[test]
    fn broken_performance_data_is_left_out() {
        for output in ["no data", "x |", "x | =5", "x | a=U;;", "x | 'open=5", "x | a=1e999", "x | \u{1}=4"] {
            assert!(values(output).is_empty(), "{output}");
        }
        let many: String = (0..100).map(|n| format!(" v{n}={n}")).collect();
        assert_eq!(values(&format!("x |{many}")).len(), super::VALUES);
    }

    async fn sh(script: &str) -> Measurement {
        let target = probe(&format!("exec: {{ command: [/bin/sh, -c, {script:?}] }}"));
        prober().measure(&target, &Way::default(), Duration::from_millis(600)).await
    }

    #[tokio::test]
    async fn exit_codes_are_outcomes() {
        for (code, outcome) in
            [(0, Outcome::Ok), (1, Outcome::Ok), (2, Outcome::Unexpected), (3, Outcome::SystemError), (9, Outcome::SystemError)]
        {
            let measured = sh(&format!("echo 'x | a=1'; exit {code}")).await;
            assert_eq!((measured.outcome, measured.value(Metric::ExitCode)), (outcome, Some(code)));
            assert_eq!(measured.parts.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_plugin_that_hangs_dies_with_its_children() {
        let dir = tempfile::tempdir().unwrap();
        // Everybody may write there, so that a survivor could.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
        std::fs::set_permissions(dir.path(), open).unwrap();
        let survivor = dir.path().join("survivor");
        let started = Instant::now();
        let measured = sh(&format!("(sleep 1.5; touch {}) & sleep 60", survivor.display())).await;
        assert_eq!(measured.outcome, Outcome::Timeout);
        assert!(started.elapsed() < Duration::from_secs(1));
        tokio::time::sleep(Duration::from_millis(1_500)).await;
        assert!(!survivor.exists(), "a grandchild outlived the deadline");
    }

    #[tokio::test]
    async fn a_plugin_that_talks_without_end_is_malformed() {
        assert_eq!(sh("yes").await.outcome, Outcome::Malformed);
        let measured = sh("printf '\\377\\376 | a=5'").await;
        assert_eq!(measured.parts.len(), 1, "text that is not UTF-8 is read as far as it goes");
    }

    #[tokio::test]
    async fn nothing_of_our_environment_is_seen_and_the_link_is() {
        let way = Way { interface: Some("lo".into()), ..Way::default() };
        let target = probe("exec: { command: [/bin/sh, -c, 'test \"$RUSTA_INTERFACE\" = lo && test -z \"$HOME$CARGO_MANIFEST_DIR\"'] }");
        assert_eq!(prober().measure(&target, &way, Duration::from_secs(1)).await.outcome, Outcome::Ok);
        let gone = prober().measure(&target, &by_interface("nosuch0"), Duration::from_secs(1)).await;
        assert_eq!((gone.outcome, gone.value(Metric::ExitCode)), (Outcome::LinkGone, None));
    }

    /// The fault this keeps out: an assigned plugin ran with uid 0 on every router.
    #[tokio::test]
    async fn a_plugin_never_runs_as_root() {
        let measured = sh("test $(id -u) != 0 && test $(id -g) != 0 && test \"$(id -G)\" = \"$(id -g)\"").await;
        assert_eq!(measured.outcome, Outcome::Ok, "{measured:?}");
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_or_not_ours_says_so() {
        let absent = probe("exec: { command: [/nosuch/check_x] }");
        assert_eq!(measure(&absent).await.outcome, Outcome::SystemError);
        let not_executable = probe("exec: { command: [/etc/passwd] }");
        assert_eq!(measure(&not_executable).await.outcome, Outcome::NotPermitted);
        assert!(refusal("exec: { command: [] }").contains("is empty"));
        assert!(refusal("exec: { command: [check_load] }").contains("full path"));
    }
}
