//! Assignments: what the collector wants watched, tried before it is kept.
//!
//! ```text
//! collector --version, yaml--> trial --acknowledged over the new links--> good, on disk
//!                                |
//!                                +--cannot be read, or no acknowledgement in time--> rolled back, and said so
//! ```
//! Only a good assignment is on disk, so a power cut in a trial ends it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rusta_wire::MonoMs;
use serde::{Deserialize, Serialize};

use crate::files;

/// How long a trial waits for an acknowledgement: two backoffs at their longest.
const TRIAL: Duration = Duration::from_secs(600);

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

/// The assignment in force, the one on trial, the one that failed.
#[derive(Debug)]
pub struct Assignments {
    file: PathBuf,
    good: Option<Assignment>,
    trial: Option<(Assignment, MonoMs)>,
    failed: Option<u64>,
}

impl Assignments {
    /// Reads the last good assignment in `dir`; a damaged file counts as none, and the collector sends it again.
    pub fn load(dir: &Path) -> Assignments {
        let file = dir.join("assignment");
        let good = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Assignments { file, good, trial: None, failed: None }
    }

    /// Returns the last good assignment.
    pub fn good(&self) -> Option<&Assignment> {
        self.good.as_ref()
    }

    /// Tells whether a version is worth fetching: neither in force, nor on trial, nor failed before.
    pub fn wants(&self, version: u64) -> bool {
        let on_trial = self.trial.as_ref().map(|(a, _)| a.version);
        let in_force = on_trial.or(self.good.as_ref().map(|a| a.version));
        in_force != Some(version) && self.failed != Some(version)
    }

    /// Begins a trial.
    pub fn begin(&mut self, assignment: Assignment, now: MonoMs) {
        self.trial = Some((assignment, now));
    }

    /// Gives up on a version that cannot even be read.
    pub fn fail(&mut self, version: u64) {
        self.failed = Some(version);
    }

    /// An acknowledgement came over a connection opened at `connected`: what was on trial by then is good. A connection from
    /// before proves nothing about the links of the trial.
    pub fn acknowledged(&mut self, connected: MonoMs) {
        let Some((assignment, _)) = self.trial.take_if(|(_, since)| connected >= *since) else { return };
        let written = serde_json::to_vec(&assignment).map_err(std::io::Error::from).and_then(|b| files::replace(&self.file, &b, 0o600));
        if let Err(error) = written {
            tracing::warn!(%error, "assignment was not written; it is fetched again after a restart");
        }
        tracing::info!(version = assignment.version, "assignment in force");
        self.good = Some(assignment);
        self.failed = None;
    }

    /// Looks whether a trial has lasted too long.
    pub fn judge(&mut self, now: MonoMs) -> Verdict {
        match self.trial.take() {
            Some((assignment, since)) if now.since(since) >= TRIAL => {
                tracing::error!(version = assignment.version, "the collector cannot be reached with the assignment; rolled back");
                self.failed = Some(assignment.version);
                Verdict::RollBack(self.good.clone())
            }
            trial => {
                self.trial = trial;
                Verdict::Stay
            }
        }
    }

    /// Returns the versions in force, on trial and failed, for `status`.
    pub fn versions(&self) -> (Option<u64>, Option<u64>, Option<u64>) {
        (self.good.as_ref().map(|a| a.version), self.trial.as_ref().map(|(a, _)| a.version), self.failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(version: u64) -> Assignment {
        Assignment { version, yaml: format!("targets: [] # {version}") }
    }

    #[test]
    fn a_trial_becomes_good_with_an_acknowledgement_and_stays_over_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Assignments::load(dir.path());
        assert!(all.wants(1));
        all.begin(assignment(1), MonoMs(0));
        assert!(!all.wants(1) && all.wants(2));
        assert_eq!(Assignments::load(dir.path()).good(), None, "a power cut ends a trial");
        all.acknowledged(MonoMs(5));
        assert_eq!(Assignments::load(dir.path()).good(), Some(&assignment(1)));
    }

    #[test]
    fn a_trial_without_an_acknowledgement_is_rolled_back_and_not_tried_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut all = Assignments::load(dir.path());
        all.begin(assignment(1), MonoMs(0));
        all.acknowledged(MonoMs(5));
        all.begin(assignment(2), MonoMs(1_000));
        all.acknowledged(MonoMs(5));
        assert_eq!(all.judge(MonoMs(600_000)), Verdict::Stay);
        assert_eq!(all.judge(MonoMs(601_000)), Verdict::RollBack(Some(assignment(1))));
        assert!(!all.wants(2) && all.wants(3) && !all.wants(1));
        assert_eq!(all.judge(MonoMs(9_000_000)), Verdict::Stay);
        assert_eq!(all.versions(), (Some(1), None, Some(2)));
    }
}
