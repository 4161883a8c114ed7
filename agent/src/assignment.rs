//! Assignments: what the collector wants watched, tried before it is kept.
//!
//! ```text
//! collector --version, yaml--> trial --acknowledged, and every link proved--> good, on disk
//!                                |
//!                                +--cannot be read, or not proved in time--> refused, with the reason
//! ```
//! A link proves itself by its own acknowledgement or its own successful probe: one link's report says nothing of another.
//! Only a good assignment is on disk, so a power cut in a trial ends it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusta_wire::MonoMs;
use serde::{Deserialize, Serialize};

use crate::flash::Flash;

/// How long a trial waits at least: two backoffs at their longest.
pub const TRIAL: Duration = Duration::from_secs(600);

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Assignment {
    /// As the collector counts.
    pub version: u64,
    /// Links and targets, as YAML.
    pub yaml: String,
}

/// What a trial came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to change.
    Stay,
    /// The assignment on trial is out; go back to this one, `None`: the file's own targets.
    RollBack(Option<Assignment>),
}

/// An assignment that was not taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// As the collector counts.
    pub version: u64,
    /// One sentence for people.
    pub reason: String,
}

#[derive(Debug)]
struct Trial {
    assignment: Assignment,
    since: MonoMs,
    until: MonoMs,
    acknowledged: bool,
    /// Links that have not shown yet that they work.
    unproved: BTreeSet<String>,
}

/// The assignment in force, the one on trial, the one that failed.
#[derive(Debug)]
pub struct Assignments {
    file: PathBuf,
    flash: Flash,
    good: Option<Assignment>,
    trial: Option<Trial>,
    refused: Option<Refused>,
}

impl Assignments {
    /// Reads the last good assignment in `dir`, where the next ones are written by way of `flash`; a damaged file counts as none,
    /// and the collector sends it again.
    pub fn load(dir: &Path, flash: Flash) -> Assignments {
        let file = dir.join("assignment");
        let good = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Assignments { file, flash, good, trial: None, refused: None }
    }

    /// Returns the last good assignment.
    pub fn good(&self) -> Option<&Assignment> {
        self.good.as_ref()
    }

    /// Tells whether a version is worth fetching: neither in force, nor on trial, nor failed before.
    pub fn wants(&self, version: u64) -> bool {
        let on_trial = self.trial.as_ref().map(|trial| trial.assignment.version);
        let in_force = on_trial.or(self.good.as_ref().map(|a| a.version));
        in_force != Some(version) && self.refused.as_ref().is_none_or(|refused| refused.version != version)
    }

    /// Begins a trial of at most `within`, in which the links `unproved` must each show that they work.
    pub fn begin(&mut self, assignment: Assignment, unproved: BTreeSet<String>, within: Duration, now: MonoMs) {
        self.trial = Some(Trial { assignment, since: now, until: now + within, acknowledged: false, unproved });
    }

    /// Tells whether there is a trial.
    pub fn on_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// Gives up on a version that cannot be used.
    pub fn refuse(&mut self, version: u64, reason: String) {
        tracing::error!(version, reason, "assignment refused");
        self.refused = Some(Refused { version, reason });
    }

    /// An acknowledgement came over a connection opened at `connected`, by this link. A connection from before the trial
    /// proves nothing about its links.
    pub fn acknowledged(&mut self, connected: MonoMs, link: Option<&str>) {
        let Some(trial) = self.trial.as_mut().filter(|trial| connected >= trial.since) else { return };
        trial.acknowledged = true;
        self.proved(link);
    }

    /// These links have shown since the trial began that they work.
    pub fn proved<'a>(&mut self, links: impl IntoIterator<Item = &'a str>) {
        let Some(trial) = &mut self.trial else { return };
        links.into_iter().for_each(|link| drop(trial.unproved.take(link)));
        let Some(Trial { assignment, .. }) = self.trial.take_if(|trial| trial.acknowledged && trial.unproved.is_empty()) else { return };
        // One that was not written is fetched again after a restart.
        if let Ok(bytes) = serde_json::to_vec(&assignment) {
            self.flash.replace(self.file.clone(), bytes, 0o600);
        }
        tracing::info!(version = assignment.version, "assignment in force");
        self.good = Some(assignment);
        self.refused = None;
    }

    /// Looks whether a trial has lasted too long.
    pub fn judge(&mut self, now: MonoMs) -> Verdict {
        let Some(trial) = self.trial.take_if(|trial| now >= trial.until) else { return Verdict::Stay };
        let links: Vec<&str> = trial.unproved.iter().map(String::as_str).collect();
        let reason = match (trial.acknowledged, links.is_empty()) {
            (false, _) => "the collector could not be reached with it".to_string(),
            (true, _) => format!("with it nothing came through over {}", links.join(", ")),
        };
        self.refuse(trial.assignment.version, reason);
        Verdict::RollBack(self.good.clone())
    }

    /// Returns the versions in force and on trial, and the one refused, for `status` and the collector.
    pub fn versions(&self) -> (Option<u64>, Option<u64>, Option<&Refused>) {
        let on_trial = self.trial.as_ref().map(|trial| trial.assignment.version);
        (self.good.as_ref().map(|a| a.version), on_trial, self.refused.as_ref())
    }

    /// Says the same in one line of ASCII, for a header: `in=16 hexadecimal digits; trial=..; refused=..; reason=text`. Empty
    /// if there is nothing to say.
    pub fn told(&self) -> String {
        let (good, trial, refused) = self.versions();
        let mut parts = Vec::new();
        parts.extend(good.map(|version| format!("in={version:016x}")));
        parts.extend(trial.map(|version| format!("trial={version:016x}")));
        if let Some(Refused { version, reason }) = refused {
            // A name that is not ASCII loses its letters here and keeps them in the log.
            let ascii: String = reason.chars().map(|c| if matches!(c, ' '..='~') { c } else { '?' }).take(REASON_LETTERS).collect();
            parts.push(format!("refused={version:016x}; reason={ascii}"));
        }
        parts.join("; ")
    }
}

/// Letters of a reason that travel: a sentence, and little on a SIM.
const REASON_LETTERS: usize = 160;

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(version: u64) -> Assignment {
        Assignment { version, yaml: format!("targets: [] # {version}") }
    }

    #[test]
    fn a_trial_becomes_good_with_an_acknowledgement_and_stays_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Assignments::load(dir.path(), Flash::at_once());
        assert!(all.wants(1));
        all.begin(assignment(1), BTreeSet::new(), TRIAL, MonoMs(0));
        assert!(!all.wants(1) && all.wants(2));
        assert_eq!(Assignments::load(dir.path(), Flash::at_once()).good(), None, "a power cut ends a trial");
        all.acknowledged(MonoMs(5), None);
        assert_eq!(Assignments::load(dir.path(), Flash::at_once()).good(), Some(&assignment(1)));
    }

    #[test]
    fn a_trial_without_an_acknowledgement_is_rolled_back_and_not_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Assignments::load(dir.path(), Flash::at_once());
        all.begin(assignment(1), BTreeSet::new(), TRIAL, MonoMs(0));
        all.acknowledged(MonoMs(5), None);
        all.begin(assignment(2), BTreeSet::new(), TRIAL, MonoMs(1_000));
        all.acknowledged(MonoMs(5), None);
        assert_eq!(all.judge(MonoMs(600_000)), Verdict::Stay);
        assert_eq!(all.judge(MonoMs(601_000)), Verdict::RollBack(Some(assignment(1))));
        assert!(!all.wants(2) && all.wants(3) && !all.wants(1));
        assert_eq!(all.judge(MonoMs(9_000_000)), Verdict::Stay);
        assert_eq!((all.versions().0, all.versions().1, all.versions().2.unwrap().version), (Some(1), None, 2));
        assert_eq!(all.told(), "in=0000000000000001; refused=0000000000000002; reason=the collector could not be reached with it");
    }

    /// The fault this keeps out: one link's report confirmed an assignment that had cut off another.
    #[test]
    fn a_link_that_is_silent_since_the_trial_began_rolls_it_back_whatever_another_one_reports() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Assignments::load(dir.path(), Flash::at_once());
        let links = BTreeSet::from(["apn0".to_string(), "gov0".to_string()]);
        all.begin(assignment(1), links.clone(), TRIAL, MonoMs(0));
        all.acknowledged(MonoMs(5), Some("gov0"));
        assert!(all.on_trial());
        assert_eq!(all.judge(MonoMs(600_000)), Verdict::RollBack(None));
        assert_eq!(all.versions().2.unwrap().reason, "with it nothing came through over apn0");
        all.begin(assignment(2), links, TRIAL, MonoMs(700_000));
        all.proved(["apn0"]);
        all.acknowledged(MonoMs(700_100), Some("gov0"));
        assert_eq!((all.versions().0, all.on_trial()), (Some(2), false));
        assert_eq!(all.versions().2, None);
    }
}
