//! What one recipient got and waits for: the rate cap, and the summaries that carry what it held back.
//!
//! A cap holds calls back, never resolves nor the first page of an incident. What it holds back is gathered for two minutes and sent as one summary that
//! lists every case once; the last call of the cap is kept for it.

use rusta_wire::UnixMs;
use serde::{Deserialize, Serialize};

use super::case::CaseKey;
use super::message::Message;

/// The time a cap counts over.
const HOUR_MS: i64 = 3_600_000;
/// How long a summary gathers: a storm's incidents are judged within two minutes.
const GATHER_MS: i64 = 120_000;
/// How long resolves of summarised cases gather when some are still open.
const OVER_MS: i64 = 30 * 60_000;

/// What one recipient got and waits for.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Inbox {
    /// When calls went out within the last hour.
    sent: Vec<i64>,
    /// Cases held back by the cap, in the order they came.
    waiting: Vec<CaseKey>,
    waiting_since: Option<i64>,
    /// Summarised cases that are over.
    over: Vec<Message>,
    over_since: Option<i64>,
}

impl Inbox {
    /// Takes one call out of the cap, leaving at least `reserve` of it.
    pub(super) fn take_slot(&mut self, now: UnixMs, cap: usize, reserve: usize) -> bool {
        self.sent.retain(|at| now.0 - at < HOUR_MS);
        let free = self.sent.len() + reserve < cap;
        if free {
            self.sent.push(now.0);
        }
        free
    }

    /// Counts a call that went out whatever the cap said.
    pub(super) fn note_sent(&mut self, now: UnixMs) {
        self.sent.push(now.0);
    }

    /// Holds a case for the next summary.
    pub(super) fn wait(&mut self, key: CaseKey, now: UnixMs) {
        self.waiting_since.get_or_insert(now.0);
        if !self.waiting.contains(&key) {
            self.waiting.push(key);
        }
    }

    pub(super) fn is_waiting(&self, key: &CaseKey) -> bool {
        self.waiting_since.is_some() && self.waiting.contains(key)
    }

    /// Forgets a case that ended before its summary; tells whether it waited for one.
    pub(super) fn drop_waiting(&mut self, key: &CaseKey) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting != key);
        if self.waiting.is_empty() {
            self.waiting_since = None;
        }
        self.waiting.len() < before
    }

    pub(super) fn rename(&mut self, from: &CaseKey, into: &CaseKey) {
        if self.waiting.contains(into) {
            self.drop_waiting(from);
        }
        for key in self.waiting.iter_mut().filter(|key| *key == from) {
            *key = into.clone();
        }
    }

    /// Returns the cases of a summary that is due and has a slot.
    pub(super) fn take_summary(&mut self, now: UnixMs, cap: usize) -> Option<Vec<CaseKey>> {
        let due = self.waiting_since.is_some_and(|since| now.0 - since >= GATHER_MS);
        if !due || !self.take_slot(now, cap, 0) {
            return None;
        }
        self.waiting_since = None;
        Some(std::mem::take(&mut self.waiting))
    }

    /// Notes that a summarised case is over.
    pub(super) fn over(&mut self, message: Message, now: UnixMs) {
        self.over_since.get_or_insert(now.0);
        self.over.push(message);
    }

    /// Returns what is over, once everything is or it has gathered long enough.
    pub(super) fn take_over(&mut self, now: UnixMs, all: bool) -> Option<Vec<Message>> {
        let due = self.over_since.is_some_and(|since| all || now.0 - since >= OVER_MS);
        due.then(|| {
            self.over_since = None;
            std::mem::take(&mut self.over)
        })
    }
}
