//! What the uplink does about an answer: frees, sends tables, waits, lets a batch go, lays one aside, leaves the way.

use std::time::Duration;

use rusta_wire::{Answer, BatchFault, MonoMs};

use super::connection::LinkError;
use super::verdict::{self, Verdict};
use super::{Event, MOST_BATCHES, Uplink};
use crate::crypto::random_u64;
use crate::packet::http2::Response;
use crate::spool::Ticket;

/// Wait after the collector refused our identity: only a person can mend that.
const UNWELCOME: Duration = Duration::from_secs(300);

impl Uplink {
    /// Acts on an answer; tells whether everything was stored.
    pub(super) fn take_answer(&mut self, tickets: &[Ticket], response: &Response, mark: u32, sent: MonoMs) -> Result<bool, LinkError> {
        let now = self.shared.clock.now();
        let verdict = verdict::judge(mark, response);
        if let Some(answer) = verdict.answer() {
            self.shared.clock.learn(answer.server_time, sent, now);
            // The way is proven: a collector is at its end.
            self.chooser.answered();
            if !matches!(verdict, Verdict::Doubted(_)) {
                self.backoff.succeeded();
            }
        }
        let reason = |answer: &Answer| if answer.reason.is_empty() { response.status.to_string() } else { answer.reason.clone() };
        match verdict {
            Verdict::Stored(answer) => {
                self.pace.answered(&answer, now);
                self.dense |= answer.reads_dense;
                self.stored(tickets, now);
                return Ok(true);
            }
            Verdict::Tables(answer) => {
                if !self.owe_tables(&answer) {
                    // It has them and says it has not: some batch is in the way, or the collector is.
                    self.doubted(tickets, reason(&answer));
                }
            }
            Verdict::Faults(answer) => self.take_faults(tickets, &answer, reason(&answer)),
            Verdict::Doubted(answer) => self.doubted(tickets, reason(&answer)),
            Verdict::Later(answer, time) => {
                self.note(Some(reason(&answer)));
                self.pace.wait(now, time);
            }
            Verdict::Unwelcome(answer) => {
                let reason = reason(&answer);
                tracing::error!(reason, "the collector does not take this agent; samples wait in the spool");
                self.note(Some(reason));
                self.pace.wait(now, UNWELCOME);
            }
            Verdict::TooLarge if tickets.len() > 1 => self.most = tickets.len() / 2,
            Verdict::TooLarge => {
                self.aside.lay(tickets[0], now);
                return Err(LinkError::NoCollector("the smallest request is too large".into()));
            }
            Verdict::NoAnswer(what) => {
                self.halve(tickets, now);
                return Err(LinkError::NoCollector(what));
            }
        }
        Ok(false)
    }

    fn stored(&mut self, tickets: &[Ticket], now: MonoMs) {
        self.shared.spool.borrow_mut().acknowledge(tickets);
        self.tables_owed.clear();
        self.aside.stored(tickets, now);
        (self.most, self.introduced) = ((self.most * 2).min(MOST_BATCHES), true);
        {
            let mut contact = self.shared.contact.borrow_mut();
            contact.acknowledged_at = Some(now);
            contact.acknowledged += u64::try_from(tickets.len()).unwrap_or(0);
        }
        self.note(None);
        self.tell(Event::Acknowledged { connected: self.connected });
        self.shared.acknowledged.notify_waiters();
    }

    /// Notes the tables the collector misses. `false` if it says so again after they were sent.
    fn owe_tables(&mut self, answer: &Answer) -> bool {
        let news = answer.missing_tables.iter().any(|table| !self.tables_owed.contains(table));
        answer.missing_tables.iter().for_each(|table| self.shared.spool.borrow_mut().give_up_table(*table));
        self.tables_owed.extend(&answer.missing_tables);
        news
    }

    /// Lets go of the batches the collector will never take, and lays aside those it cannot take yet. The others go at once.
    fn take_faults(&mut self, tickets: &[Ticket], answer: &Answer, reason: String) {
        let now = self.shared.clock.now();
        let named = |fault: &&BatchFault| tickets.contains(&Ticket { boot: fault.boot, sequence: fault.sequence });
        let faults: Vec<_> = answer.faults.iter().filter(named).collect();
        if faults.is_empty() {
            return self.doubted(tickets, reason);
        }
        self.note(Some(reason));
        for fault in faults {
            let ticket = Ticket { boot: fault.boot, sequence: fault.sequence };
            let (code, why) = (fault.reason.code(), fault.reason.as_str());
            if fault.reason.is_permanent() {
                tracing::error!(sequence = %ticket.sequence, code, why, "the collector refused a batch for good; it is lost");
                self.shared.spool.borrow_mut().refuse(&[ticket]);
                self.aside.forget(&[ticket]);
            } else {
                tracing::warn!(sequence = %ticket.sequence, code, why, "the collector cannot take a batch yet; it waits aside");
                self.aside.lay(ticket, now);
            }
        }
    }

    /// A request was turned away and nobody says for which batch: fewer at once, and who is alone waits aside.
    fn doubted(&mut self, tickets: &[Ticket], reason: String) {
        let now = self.shared.clock.now();
        self.note(Some(reason));
        self.halve(tickets, now);
        if tickets.len() == 1 {
            let wait = self.backoff.failed(random_u64());
            self.pace.wait(now, wait.max(Duration::from_millis(500)));
        }
    }

    fn halve(&mut self, tickets: &[Ticket], now: MonoMs) {
        self.most = (tickets.len() / 2).max(1);
        if let [ticket] = tickets {
            self.aside.lay(*ticket, now);
        }
    }
}
