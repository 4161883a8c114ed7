//! A case: everything people are told about one cause.

use std::collections::{BTreeMap, BTreeSet};

use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::message::{Marks, Message};
use crate::rules::{Severity, Subject};

/// What a case is about: an incident, or one alert that is no incident's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum CaseKey {
    /// An incident, whatever rules speak of it.
    Incident(u64),
    /// One rule about one subject.
    Alert(String, Subject),
}

impl CaseKey {
    /// Returns the code of the site it is about, if it is about one.
    pub fn site(&self) -> Option<&str> {
        match self {
            CaseKey::Incident(_) => None,
            CaseKey::Alert(_, subject) => subject.site(),
        }
    }
}

impl std::fmt::Display for CaseKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            CaseKey::Incident(id) => write!(f, "incident/{id}"),
            CaseKey::Alert(rule, subject) => write!(f, "alert/{rule}/{subject}"),
        }
    }
}

/// How somebody was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// When.
    pub at: i64,
    /// With which severity.
    pub severity: Severity,
    /// By which name of the root it was told first.
    #[serde(default)]
    pub root: String,
    /// With which marks it was told at this severity first.
    #[serde(default)]
    pub marks: Marks,
    /// In a summary together with others, rather than in a call of its own.
    pub in_summary: bool,
}

/// Everything people are told about one cause, from its first alert to the last resolve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// What it is about.
    pub key: CaseKey,
    /// The most any of its rules asked for.
    pub severity: Severity,
    /// The route of the rule that asked for it.
    pub route: String,
    /// The rules that speak of it now.
    pub rules: BTreeSet<String>,
    /// When it opened, or last became more severe: escalation counts from here.
    pub opened_at: i64,
    /// The next escalation step.
    pub step: usize,
    /// By recipient.
    pub told: BTreeMap<String, Told>,
    /// When its last rule was satisfied again; it lives on until everybody told knows.
    pub closed_at: Option<i64>,
    /// What flap protection recognises it by when it comes back under another number.
    pub cause: String,
    /// What people read.
    pub message: Message,
    /// The last decision of each stage, so that a standing one is recorded once.
    pub last: BTreeMap<String, String>,
}

impl Case {
    /// Notes that somebody is told now.
    pub(super) fn tell(&mut self, recipient: &str, now: UnixMs, in_summary: bool) {
        let before = self.told.get(recipient);
        let root = before.map_or_else(|| self.message.root.0.clone(), |told| told.root.clone());
        let marks =
            before.filter(|told| told.severity == self.severity).map_or_else(|| self.message.marks.clone(), |told| told.marks.clone());
        // Who was called by name hears of the end by name.
        let in_summary = in_summary && before.is_none_or(|told| told.in_summary);
        self.told.insert(recipient.to_owned(), Told { at: now.0, severity: self.severity, root, marks, in_summary });
    }

    pub(super) fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    pub(super) fn opened_at(&self) -> UnixMs {
        UnixMs(self.opened_at)
    }
}
