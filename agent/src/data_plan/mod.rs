//! The SIM is metered: what a link's plan has left, and what the agent may still do.
//!
//! ```text
//! interface counters --> used ---+                     stage 0 everything
//! probes and reports --> own  ---+--> stage, allows    stage 1 no throughput tests
//! calendar           --> cycle --+                     stage 2 rounds four times rarer, reports twice
//!                                                      stage 3 nearest anchors only, reports five times rarer
//!                                                      stage 4 heartbeat: one report an hour
//! ```
//!
//! The interface's counter is only ever compared with an earlier reading of the same life of the same interface: a first
//! reading says nothing about the cycle. A cycle is believed from a clock that is synchronised or that the collector told; what
//! a merely synchronised clock ended is given back when the collector says otherwise.
//!
//! Invariant: `own` never passes the agent's share and the agent never pushes `used` past the plan, under any sequence of
//! power cuts: own bytes are written to disk as a reservation before they are spent, so a cut can only count too much.

mod book;

use std::collections::BTreeMap;
use std::time::Duration;

use rusta_wire::{BootId, Clock, ClockSource, MonoMs};
use serde::{Deserialize, Serialize};

pub use book::{Book, write_copy};

use crate::calendar;
use crate::config::{Plan, Told};

/// What part of the share is written to disk ahead of being spent: a month's share is a thousand small writes, and a power cut
/// costs half of that on the average.
const RESERVE_PART: u64 = 1_000;

/// A reservation is at least a few rounds and at most what a busy plan spends in an hour.
const RESERVE: std::ops::RangeInclusive<u64> = 8 * 1024..=64 * 1024;

/// What of the agent's share only a heartbeat may spend: an hourly report over a month, reconnects included.
const HEARTBEAT_SHARE_PCT: u64 = 10;

/// What may be asked of the collector while nobody knows whether the cycle is over: three times a day for a month, within a
/// twentieth of the share. Without it a router that forgets the time with each power cut would never hear of the next cycle.
const ASKS_MOST: u64 = 93;

/// What an ask may cost: a connection and a small report.
const ASK_BYTES: u64 = 8_000;

/// An ask is a connection, a report and its answer; within this they are one.
const ASK_TAKES: Duration = Duration::from_secs(120);

/// Between two asks of one boot.
const ASK_AGAIN: Duration = Duration::from_secs(8 * 3_600);

/// What a reconnect and a report may cost on the IP layer.
pub const REPORT_COST: u64 = 6_000;

/// What the agent wants to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spending {
    /// A throughput test.
    Throughput,
    /// A round of any other probe; the flag is whether its target is the link's nearest anchor.
    Round {
        /// The nearest anchor is probed longest.
        nearest: bool,
    },
    /// A report of fresh data, or backlog.
    Report,
    /// The hourly sign of life of stage 4.
    Heartbeat,
}

/// The use of one link's plan in its present cycle.
#[derive(Debug, Clone)]
pub struct DataPlan {
    plan: Plan,
    kept: Kept,
    boot: BootId,
    /// Own bytes spent; at most `kept.own_reserved`.
    own: u64,
    /// Where in the cycle we are, from 0 to 1; 0 while no clock is known, which is the careful guess.
    progress: f64,
    /// Whether the clock was trusted when last looked at.
    is_dated: bool,
    now: MonoMs,
    /// When the time was asked for in this boot.
    asked_at: Option<MonoMs>,
    unsaved: bool,
    /// What rounds that are under way may move.
    pending: u64,
    /// Whether the last reservation did not get to disk: then nothing keeps the account over a power cut.
    is_unkept: bool,
}

/// A reading of an interface's counter of bytes both ways.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The counter.
    pub bytes: u64,
    /// The kernel's number of the interface: one that went and came back has another.
    pub index: u32,
}

/// What survives a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// First local day of the cycle; 0 before a clock was trusted.
    cycle: i64,
    /// Bytes the interface moved in the cycle.
    used: u64,
    /// Own bytes, rounded up to what was reserved.
    own_reserved: u64,
    /// The interface's counter when last read, in which boot, and of which life of the interface; 0: of none.
    counter: u64,
    boot: u64,
    index: u32,
    /// How often the time was asked for in the cycle although the plan allowed no report.
    asked: u64,
    /// The operator's word that was taken over last.
    told: Option<Told>,
    /// The cycle before, until the collector confirms this one.
    before: Option<Before>,
    /// The SIM whose account this is ([`crate::sim::Card`]); 0: nobody has seen it.
    card: u32,
    /// How often another SIM was found for the link.
    swaps: u64,
}

/// Most accounts of SIMs that are not in the modem, of each link. Past it the one of the oldest cycle goes.
const PARKED_MOST: usize = 8;

impl Kept {
    /// Returns the SIM, if one was seen, and how often another one was found.
    pub fn sim(&self) -> (Option<u32>, u64) {
        ((self.card != 0).then_some(self.card), self.swaps)
    }

    /// Returns the account to go on with when `card` is in the modem of `link`: the first card ever seen takes over the account of
    /// the link; of another one the account is taken out of the `book`, and the present one is put there.
    #[must_use]
    pub fn with_card(self, card: u32, link: &str, book: &mut BTreeMap<String, Kept>) -> Kept {
        if self.card == 0 || self.card == card {
            return Kept { card, ..self };
        }
        let name = |card: u32| format!("{link}#{card:06x}");
        book.insert(name(self.card), self);
        let of_link = |book: &BTreeMap<String, Kept>| {
            let parked = book.iter().filter(|(known, _)| known.strip_prefix(link).is_some_and(|rest| rest.starts_with('#')));
            parked.map(|(known, kept)| (kept.cycle, known.clone())).collect::<Vec<_>>()
        };
        // An operator's word that was taken over was about the card before.
        let kept = book.remove(&name(card)).unwrap_or(Kept { told: self.told, ..Kept::default() });
        let mut parked = of_link(book);
        parked.sort();
        for (_, old) in parked.iter().rev().skip(PARKED_MOST) {
            book.remove(old);
        }
        // What the interface moved until now was the other card's.
        Kept { card, swaps: self.swaps + 1, counter: self.counter, boot: self.boot, index: self.index, ..kept }
    }
}

/// A cycle that a synchronised clock says is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Before {
    cycle: i64,
    used: u64,
    own: u64,
}

/// A plan's use, for `status` and the agent's samples.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Use {
    /// Bytes everybody used in this cycle.
    pub used_bytes: u64,
    /// Of those, the agent's own.
    pub own_bytes: u64,
    /// The plan.
    pub limit_bytes: u64,
    /// The agent's share.
    pub own_limit_bytes: u64,
    /// The degradation, 0 to 4.
    pub stage: u8,
    /// What everybody will have used at the end of the cycle at this rate; `None` while the cycle is too young to tell.
    pub forecast_bytes: Option<u64>,
}

impl DataPlan {
    /// Begins with what was kept from before.
    pub fn start(plan: Plan, kept: Kept, boot: BootId) -> DataPlan {
        let own = kept.own_reserved;
        DataPlan {
            plan,
            kept,
            boot,
            own,
            progress: 0.0,
            is_dated: false,
            now: MonoMs(0),
            asked_at: None,
            unsaved: false,
            pending: 0,
            is_unkept: false,
        }
    }

    /// Notes that a round has begun that may move so many bytes.
    pub fn begun(&mut self, bytes: u64) {
        self.pending = self.pending.saturating_add(bytes);
    }

    /// Notes that such a round has ended; what it moved is [`DataPlan::spent`].
    pub fn ended(&mut self, bytes: u64) {
        self.pending = self.pending.saturating_sub(bytes);
    }

    /// Says whether what was reserved is on disk.
    pub fn kept_on_disk(&mut self, is_kept: bool) {
        // A write that failed is tried again with the next look.
        self.is_unkept = !is_kept;
        self.unsaved |= !is_kept;
    }

    /// Looks at the time. A trusted clock begins a new cycle at zero; any other only says how far the known cycle has got.
    pub fn advance(&mut self, clock: &Clock, now: MonoMs) {
        (self.now, self.is_dated) = (now, clock.source >= ClockSource::Synchronised);
        let day = calendar::local_day(clock.unix);
        let start = self.start_of(day);
        if self.is_dated && start != self.kept.cycle {
            self.enter(start, clock.source == ClockSource::Collector);
        }
        if start != self.kept.cycle || clock.source < ClockSource::System {
            return;
        }
        if clock.source == ClockSource::Collector && self.kept.before.take().is_some() {
            self.unsaved = true;
        }
        let end = calendar::end_of(day, self.plan.cycle_day, self.plan.calendar);
        self.progress = (day - start) as f64 / (end - start).max(1) as f64;
        if let Some(told) = self.plan.told.filter(|told| self.is_dated && (start..end).contains(&told.day) && self.kept.told != Some(*told))
        {
            (self.kept.used, self.kept.told, self.unsaved) = (told.bytes, Some(told), true);
        }
    }

    fn start_of(&self, day: i64) -> i64 {
        calendar::start_of(day, self.plan.cycle_day, self.plan.calendar)
    }

    fn enter(&mut self, start: i64, is_confirmed: bool) {
        let Kept { cycle, used, before, .. } = self.kept;
        if start > cycle {
            // Use from before any clock was trusted belongs to this cycle, and so does that of a cycle which began on another
            // day of the month: the plan was told anew, not used up and renewed.
            if cycle != 0 && self.start_of(cycle) == cycle {
                let ended = Before { cycle, used, own: self.own };
                (self.own, self.kept.used, self.kept.own_reserved, self.kept.asked) = (0, 0, 0, 0);
                self.kept.before = (!is_confirmed).then(|| before.filter(|before| before.cycle < cycle).unwrap_or(ended));
            }
        } else if is_confirmed {
            // What was used meanwhile was used all the same.
            if let Some(before) = before.filter(|before| before.cycle == start) {
                self.kept.used = used.saturating_add(before.used);
                self.own = self.own.saturating_add(before.own);
                self.reserve(0);
            }
            self.kept.before = None;
        } else {
            return;
        }
        (self.kept.cycle, self.unsaved) = (start, true);
    }

    /// Takes in a reading of the interface. Only what it moved since a reading of the same life is known to be of this cycle.
    pub fn counted(&mut self, Reading { bytes, index }: Reading) {
        let same_life = self.kept.boot == self.boot.0 && self.kept.index == index && bytes >= self.kept.counter;
        let moved = if same_life { bytes - self.kept.counter } else { 0 };
        self.kept.used = self.kept.used.saturating_add(moved);
        (self.kept.counter, self.kept.boot, self.kept.index) = (bytes, self.boot.0, index);
    }

    /// Counts own bytes that were moved.
    pub fn spent(&mut self, bytes: u64) {
        self.own = self.own.saturating_add(bytes);
        self.reserve(0);
    }

    /// Tells whether something of at most `bytes` may be done, and reserves them.
    pub fn allows(&mut self, spending: Spending, bytes: u64) -> bool {
        let share = match spending {
            Spending::Heartbeat => self.plan.own_bytes - self.ask_reserve(),
            _ => self.reports_share(),
        };
        let stage_allows = match spending {
            Spending::Throughput => self.stage() < 1,
            Spending::Round { nearest } => self.stage() < 3 || nearest && self.stage() < 4,
            Spending::Report => self.stage() < 4,
            Spending::Heartbeat => true,
        };
        let moving = self.pending.saturating_add(bytes);
        let fits = self.own.saturating_add(moving) <= share && self.kept.used.max(self.own).saturating_add(moving) <= self.plan.bytes;
        // Without an account that outlives a power cut, each start would spend the whole share anew.
        let is_kept = !self.is_unkept || spending == Spending::Heartbeat;
        let allowed = is_kept && stage_allows && fits || spending == Spending::Heartbeat && self.may_ask(bytes);
        if allowed {
            self.reserve(bytes);
        }
        allowed
    }

    fn reports_share(&self) -> u64 {
        self.plan.own_bytes / 100 * (100 - HEARTBEAT_SHARE_PCT)
    }

    fn ask_reserve(&self) -> u64 {
        (ASKS_MOST * ASK_BYTES).min(self.plan.own_bytes / 20)
    }

    /// Tells whether a report may go although the plan seems spent: nobody knows whether its cycle is over, and the answer tells.
    fn may_ask(&mut self, bytes: u64) -> bool {
        if self.is_dated || bytes > ASK_BYTES {
            return false;
        }
        let since = self.asked_at.map(|at| self.now.since(at));
        if since.is_some_and(|since| since < ASK_TAKES) {
            return true;
        }
        let may = since.is_none_or(|since| since >= ASK_AGAIN) && self.kept.asked < (self.ask_reserve() / ASK_BYTES).max(1);
        if may {
            self.kept.asked += 1;
            (self.asked_at, self.unsaved) = (Some(self.now), true);
        }
        may
    }

    fn reserve(&mut self, bytes: u64) {
        let wanted = self.own.saturating_add(self.pending).saturating_add(bytes);
        if wanted > self.kept.own_reserved {
            let ahead = (self.plan.own_bytes / RESERVE_PART).clamp(*RESERVE.start(), *RESERVE.end());
            self.kept.own_reserved = (wanted + ahead).min(self.plan.own_bytes).max(wanted);
            self.unsaved = true;
        }
    }

    /// Returns the degradation, 0 to 4, as published with `plan_stage`.
    pub fn stage(&self) -> u8 {
        let used = ratio(self.kept.used, self.plan.bytes);
        let own = ratio(self.own, self.plan.own_bytes);
        // A tenth of the share may be spent ahead of time: enrolment, a first table, a bad day.
        let on_time = own / (0.1 + 0.9 * self.progress);
        let by_total = [0.80, 0.90, 0.95, 0.98].iter().filter(|limit| used >= **limit).count();
        let by_pace = [0.95, 1.00, 1.20].iter().filter(|limit| on_time >= **limit).count();
        // A report that does not fit any more must not be waited for: the heartbeat has its own part of the share.
        let by_end = if self.own.saturating_add(REPORT_COST) > self.reports_share() { 4 } else { 0 };
        u8::try_from(by_total.max(by_pace).max(by_end)).unwrap_or(4)
    }

    /// Returns how many times rarer rounds are.
    pub fn round_factor(&self) -> u32 {
        [1, 1, 4, 8, 60][usize::from(self.stage())]
    }

    /// Returns how many times rarer reports are.
    pub fn report_factor(&self) -> u32 {
        [1, 1, 2, 5, 60][usize::from(self.stage())]
    }

    /// Returns the use.
    pub fn usage(&self) -> Use {
        let forecast = (self.progress > 0.05).then(|| (self.kept.used as f64 / self.progress) as u64);
        Use {
            used_bytes: self.kept.used.max(self.own),
            own_bytes: self.own,
            limit_bytes: self.plan.bytes,
            own_limit_bytes: self.plan.own_bytes,
            stage: self.stage(),
            forecast_bytes: forecast,
        }
    }

    /// Goes on with another account of the same plan.
    pub fn change(&mut self, kept: Kept, clock: &Clock) {
        let now = self.now;
        *self = DataPlan { now, unsaved: true, ..DataPlan::start(self.plan, kept, self.boot) };
        self.advance(clock, now);
    }

    /// Takes what must be on disk before more is spent, if anything changed.
    pub fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }

    /// Returns what survives a power cut.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// Returns what survives an orderly stop: no more than was really spent, or is about to be.
    pub fn kept_at_rest(&self) -> Kept {
        Kept { own_reserved: self.own.saturating_add(self.pending), ..self.kept }
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Reads an interface; `None` while it is not there.
pub fn read(interface: &str) -> Option<Reading> {
    let number = |name: &str| {
        let text = std::fs::read_to_string(format!("/sys/class/net/{interface}/{name}")).ok()?;
        text.trim().parse::<u64>().ok()
    };
    let bytes = number("statistics/rx_bytes")?.saturating_add(number("statistics/tx_bytes")?);
    Some(Reading { bytes, index: u32::try_from(number("ifindex")?).ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Calendar;
    use rusta_wire::UnixMs;

    const START: UnixMs = UnixMs(1_795_000_000_000);

    fn plan(bytes: u64, own_bytes: u64) -> Plan {
        Plan { bytes, own_bytes, cycle_day: 1, calendar: Calendar::Jalali, told: None }
    }

    fn clock(source: ClockSource, unix: UnixMs) -> Clock {
        Clock { unix, source, uncertainty_ms: 0 }
    }

    fn told(unix: UnixMs) -> Clock {
        clock(ClockSource::Collector, unix)
    }

    fn days(days: u64) -> Duration {
        Duration::from_secs(days * 86_400)
    }

    fn reading(bytes: u64) -> Reading {
        Reading { bytes, index: 7 }
    }

    fn fresh(bytes: u64, own_bytes: u64) -> DataPlan {
        DataPlan::start(plan(bytes, own_bytes), Kept::default(), BootId(1))
    }

    #[test]
    fn every_sim_has_an_account_of_its_own_and_finds_it_again() {
        let mut book = BTreeMap::new();
        let mut plan = fresh(1_000_000, 1_000_000);
        plan.advance(&told(START), MonoMs(0));
        plan.counted(reading(100));
        plan.counted(reading(70_100));
        let mut put_in = |plan: &mut DataPlan, card: u32| plan.change(plan.kept_at_rest().with_card(card, "apn0", &mut book), &told(START));
        put_in(&mut plan, 0xa);
        assert_eq!((plan.usage().used_bytes, plan.kept().sim()), (70_000, (Some(0xa), 0)), "the first card takes over what was counted");
        put_in(&mut plan, 0xb);
        assert_eq!((plan.usage().used_bytes, plan.kept().sim()), (0, (Some(0xb), 1)));
        plan.counted(reading(170_100));
        plan.spent(500);
        put_in(&mut plan, 0xa);
        assert_eq!(plan.usage().used_bytes, 70_000, "what the other one moved is not its own");
        plan.counted(reading(171_100));
        assert_eq!((plan.usage().used_bytes, plan.usage().own_bytes), (71_000, 0));
        put_in(&mut plan, 0xb);
        assert_eq!((plan.usage().used_bytes, plan.usage().own_bytes, plan.kept().sim()), (100_000, 500, (Some(0xb), 3)));
        (0x100..0x200).for_each(|card| put_in(&mut plan, card));
        assert_eq!(book.len(), PARKED_MOST, "no pile of cards fills the flash");
        // What a file of this version says, earlier versions read, and the other way round.
        assert_eq!(serde_json::from_str::<Kept>(r#"{"cycle":20534,"used":5}"#).unwrap().sim(), (None, 0));
    }

    #[test]
    fn rounds_under_way_are_counted_and_a_cut_costs_little() {
        let mut plan = fresh(60_000_000, 3_000_000);
        plan.advance(&told(START), MonoMs(0));
        let mut under_way = 0;
        while plan.allows(Spending::Report, 1_000_000) {
            plan.begun(1_000_000);
            under_way += 1;
        }
        assert_eq!(under_way, 2, "all of them fit into the share together");
        for _ in 0..under_way {
            plan.ended(1_000_000);
            plan.spent(1_000_000);
        }
        assert!(plan.usage().own_bytes <= 2_000_000 && plan.kept().own_reserved >= 2_000_000);

        let mut spent = 0;
        let mut kept = Kept::default();
        for boot in 1..=100 {
            let mut plan = DataPlan::start(self::plan(60_000_000, 3_000_000), kept, BootId(boot));
            assert!(plan.allows(Spending::Report, 500), "silent after {boot} cuts");
            plan.spent(500);
            spent += 500;
            kept = plan.kept();
        }
        assert!(kept.own_reserved <= spent + 100 * RESERVE.start(), "{} of {spent}", kept.own_reserved);
    }

    #[test]
    fn without_a_disk_that_keeps_the_account_only_signs_of_life_go() {
        let mut plan = fresh(60_000_000, 3_000_000);
        plan.advance(&told(START), MonoMs(0));
        assert!(plan.allows(Spending::Report, 500));
        plan.kept_on_disk(false);
        assert!(!plan.allows(Spending::Report, 500) && !plan.allows(Spending::Round { nearest: true }, 100));
        assert!(plan.allows(Spending::Heartbeat, 500) && plan.take_unsaved(), "and it is tried again");
        plan.kept_on_disk(true);
        assert!(plan.allows(Spending::Report, 500));
    }

    #[test]
    fn the_first_reading_of_each_life_counts_nothing() {
        let mut plan = fresh(1_000_000, 100_000);
        plan.counted(reading(5_000_000));
        assert_eq!(plan.kept().used, 0, "all that was moved since the router's boot");
        plan.counted(reading(5_000_700));
        plan.counted(reading(100));
        assert_eq!(plan.kept().used, 700, "a counter that was reset or wrapped");
        plan.counted(reading(150));
        plan.counted(Reading { bytes: 9_000, index: 8 });
        plan.counted(Reading { bytes: 9_020, index: 8 });
        assert_eq!(plan.kept().used, 770, "an interface that went and came back");
        let again = |boot| DataPlan::start(self::plan(1_000_000, 100_000), plan.kept(), BootId(boot));
        let mut restarted = again(1);
        restarted.counted(Reading { bytes: 9_120, index: 8 });
        assert_eq!(restarted.kept().used, 870, "the same boot: what was moved while the agent was away");
        let mut rebooted = again(2);
        rebooted.counted(Reading { bytes: 50_000, index: 8 });
        rebooted.counted(Reading { bytes: 50_030, index: 8 });
        assert_eq!(rebooted.kept().used, 800);
    }

    #[test]
    fn what_an_earlier_program_kept_is_read_and_its_counter_is_no_baseline() {
        let old = r#"{"cycle":20780,"used":500,"own_reserved":300,"counter":4000,"boot":1}"#;
        let mut data = DataPlan::start(plan(1_000_000, 100_000), serde_json::from_str(old).unwrap(), BootId(1));
        data.counted(reading(9_000));
        assert_eq!((data.kept().used, data.own), (500, 300));
    }

    #[test]
    fn the_operators_word_is_taken_once_in_its_own_cycle() {
        let today = calendar::local_day(START);
        let word = |day, bytes| Plan { told: Some(Told { day, bytes }), ..plan(1_000_000, 100_000) };
        let mut data = DataPlan::start(word(today, 600_000), Kept::default(), BootId(1));
        data.counted(reading(1));
        data.counted(reading(101));
        data.advance(&clock(ClockSource::System, START), MonoMs(0));
        assert_eq!(data.kept().used, 100, "nobody knows yet which cycle this is");
        data.advance(&told(START), MonoMs(0));
        data.counted(reading(201));
        assert!(data.take_unsaved());
        data.advance(&told(START), MonoMs(0));
        assert_eq!(data.kept().used, 600_100);
        let mut restarted = DataPlan::start(word(today, 600_000), data.kept(), BootId(2));
        restarted.advance(&told(START), MonoMs(0));
        assert_eq!(restarted.kept().used, 600_100, "not again after a restart");
        let mut corrected = DataPlan::start(word(today, 200_000), data.kept(), BootId(2));
        corrected.advance(&told(START), MonoMs(0));
        assert_eq!(corrected.kept().used, 200_000, "a changed word is another word");
        corrected.advance(&told(START + days(40)), MonoMs(0));
        assert_eq!(corrected.kept().used, 0, "and it is not of the next cycle");
        let mut late = DataPlan::start(word(today - 62, 600_000), Kept::default(), BootId(1));
        late.advance(&told(START), MonoMs(0));
        assert_eq!(late.kept().used, 0);
    }

    #[test]
    fn a_wrong_clock_persists_no_cycle_and_the_collector_has_the_last_word() {
        let in_2036 = UnixMs(2_100_000_000_000);
        let mut data = fresh(1 << 30, 1_000_000);
        data.advance(&told(START), MonoMs(0));
        data.counted(reading(0));
        data.counted(reading(5_000));
        data.spent(4_000);
        let (before, own) = (data.kept(), data.own);
        for source in [ClockSource::None, ClockSource::Persisted, ClockSource::System] {
            for wrong in [in_2036, UnixMs(12_000), UnixMs(i64::MAX), UnixMs(i64::MIN)] {
                data.advance(&clock(source, wrong), MonoMs(0));
                assert_eq!((data.kept(), data.own), (before, own), "{source} {wrong}");
            }
        }
        // A clock that is synchronised, but with somebody who is wrong himself.
        data.advance(&clock(ClockSource::Synchronised, in_2036), MonoMs(0));
        assert_eq!((data.own, data.kept().used), (0, 0));
        data.spent(70);
        data.counted(reading(5_100));
        let mut data = DataPlan::start(plan(1 << 30, 1_000_000), data.kept_at_rest(), BootId(1));
        data.advance(&clock(ClockSource::Synchronised, START), MonoMs(0));
        assert_eq!(
            data.kept().cycle,
            calendar::start_of(calendar::local_day(in_2036), 1, Calendar::Jalali),
            "only the collector takes a cycle back"
        );
        data.advance(&told(START), MonoMs(0));
        assert_eq!((data.kept().cycle, data.own, data.kept().used), (before.cycle, own + 70, 5_100));
        data.advance(&told(START + days(40)), MonoMs(0));
        assert_eq!((data.own, data.kept().used), (0, 0), "the plan resets again");
    }

    #[test]
    fn a_future_cycle_that_an_earlier_program_kept_is_left_when_the_collector_tells_the_time() {
        let old = r#"{"cycle":24200,"used":500,"own_reserved":300,"counter":4000,"boot":1}"#;
        let mut data = DataPlan::start(plan(1_000_000, 100_000), serde_json::from_str(old).unwrap(), BootId(1));
        data.advance(&told(START), MonoMs(0));
        data.advance(&told(START + days(40)), MonoMs(0));
        assert_eq!((data.own, data.kept().used), (0, 0));
    }

    #[test]
    fn a_plan_told_with_another_day_is_not_renewed_by_that() {
        let mut data = fresh(1 << 30, 1_000_000);
        data.advance(&told(START), MonoMs(0));
        data.spent(5_000);
        let day = u8::try_from(calendar::local_day(START) - data.kept().cycle).unwrap().max(2);
        let moved = Plan { cycle_day: day, ..plan(1 << 30, 1_000_000) };
        let mut data = DataPlan::start(moved, data.kept_at_rest(), BootId(1));
        data.advance(&told(START), MonoMs(0));
        assert_eq!(data.own, 5_000);
    }

    /// The router forgets the time with each power cut, and the plan was spent when it last knew it.
    #[test]
    fn a_spent_plan_without_a_date_asks_the_collector_a_bounded_number_of_times() {
        let mut data = fresh(1 << 30, 30_000_000);
        data.advance(&told(START), MonoMs(0));
        data.spent(30_000_000);
        assert!(!data.allows(Spending::Heartbeat, 3_000), "the date is known: the plan is spent");
        let (mut asked, mut kept) = (0, data.kept());
        for boot in 2..300 {
            let mut data = DataPlan::start(plan(1 << 30, 30_000_000), kept, BootId(boot));
            data.advance(&clock(ClockSource::System, UnixMs(1_000)), MonoMs(0));
            assert!(!data.allows(Spending::Heartbeat, ASK_BYTES + 1) && !data.allows(Spending::Report, 1));
            if data.allows(Spending::Heartbeat, 3_000) {
                asked += 1;
                assert!(data.take_unsaved(), "an ask that is forgotten is no bound");
            }
            let spent = data.kept().asked;
            assert_eq!(data.allows(Spending::Heartbeat, 3_000), spent > kept.asked, "its answer belongs to it");
            data.advance(&clock(ClockSource::System, UnixMs(1_000)), MonoMs(3_600_000));
            assert!(!data.allows(Spending::Heartbeat, 3_000) && data.kept().asked == spent, "once a boot");
            kept = data.kept();
        }
        assert_eq!(asked, ASKS_MOST);
        let mut data = DataPlan::start(plan(1 << 30, 30_000_000), kept, BootId(300));
        data.advance(&told(START + days(40)), MonoMs(0));
        assert!(data.allows(Spending::Report, 3_000), "the answer was that the next cycle has begun");
    }

    #[test]
    fn degradation_follows_the_published_order() {
        let mut data = fresh(1_000, 1_000_000);
        let mut stages = Vec::new();
        for used in [0, 790, 800, 900, 950, 980] {
            data.counted(reading(used));
            stages.push(data.stage());
        }
        assert_eq!(stages, [0, 0, 1, 2, 3, 4]);
        assert!(!data.allows(Spending::Report, 1));
        let mut data = fresh(1_000_000_000, 1_000_000);
        data.advance(&told(START), MonoMs(0));
        assert!(data.allows(Spending::Throughput, 10));
        data.spent(900_000);
        assert_eq!(data.stage(), 4);
        assert!(data.allows(Spending::Heartbeat, 6_000) && !data.allows(Spending::Round { nearest: true }, 84));
    }

    #[test]
    fn a_share_that_has_no_room_for_a_report_is_at_its_heartbeat() {
        let mut data = fresh(1_000_000_000, 1_000_000);
        data.advance(&told(START), MonoMs(0));
        data.spent(899_990);
        assert!(!data.allows(Spending::Report, REPORT_COST) && data.allows(Spending::Heartbeat, REPORT_COST));
        assert_eq!(data.stage(), 4, "nobody asks for the heartbeat before");
    }

    #[test]
    fn a_power_cut_counts_too_much_rather_than_too_little() {
        let mut data = fresh(1 << 30, 30_000_000);
        assert!(data.allows(Spending::Report, 6_000));
        data.spent(6_000);
        assert!(data.take_unsaved());
        let after = DataPlan::start(plan(1 << 30, 30_000_000), data.kept(), BootId(2));
        assert!(after.own >= data.own);
        let after = DataPlan::start(plan(1 << 30, 30_000_000), data.kept_at_rest(), BootId(2));
        assert_eq!(after.own, data.own);
    }

    #[test]
    fn a_cycle_ends_and_the_next_begins_at_zero() {
        let mut data = fresh(1 << 30, 1_000_000);
        data.spent(400_000);
        data.advance(&told(START), MonoMs(0));
        assert_eq!(data.own, 400_000, "use from before the clock belongs to the first cycle");
        data.advance(&told(START + days(40)), MonoMs(0));
        assert_eq!((data.own, data.kept().used), (0, 0));
    }

    /// One simulated month a seed: probes, reports, reconnect storms, other users, power cuts, lost clocks.
    #[test]
    fn a_month_never_passes_its_cap_under_any_seed() {
        for seed in 1..=24u64 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut random = move |below: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state % below
            };
            let limits = plan(100_000_000 + random(3_000_000_000), 5_000_000 + random(30_000_000));
            let mut saved = Kept::default();
            let mut data = DataPlan::start(limits, saved, BootId(0));
            let (mut truly_own, mut counter, mut boot, mut cycle) = (0u64, 0u64, 0u64, None);
            let stormy = random(4) == 0;
            for minute in 0..(35 * 1440u64) {
                let now = START + Duration::from_secs(minute * 60);
                let clock_known = !(boot % 3 == 2 && minute % 1440 < 300);
                if clock_known {
                    data.advance(&told(now), MonoMs(minute * 60_000));
                    if cycle != Some(data.kept.cycle) && cycle.is_some() {
                        (truly_own, counter) = (0, counter);
                    }
                    cycle = Some(data.kept.cycle);
                }
                counter += random(limits.bytes / 40_000);
                data.counted(reading(counter));
                let mut spend = |data: &mut DataPlan, spending, bytes: u64, actual: u64, counter: &mut u64| {
                    let before = data.kept.used;
                    if data.allows(spending, bytes) {
                        assert!(before + bytes <= limits.bytes, "seed {seed}: pushed past the plan");
                        if data.take_unsaved() {
                            saved = data.kept();
                        }
                        truly_own += actual;
                        *counter += actual;
                        data.spent(actual);
                    }
                };
                let rounds = if stormy { 30 } else { 4 };
                for round in 0..rounds {
                    let actual = 56 + random(28);
                    spend(&mut data, Spending::Round { nearest: round == 0 }, 84, actual, &mut counter);
                }
                let reconnects = if stormy { random(4) } else { u64::from(random(200) == 0) };
                for _ in 0..=reconnects {
                    let actual = 300 + random(REPORT_COST - 300);
                    spend(&mut data, Spending::Report, REPORT_COST, actual, &mut counter);
                }
                if minute % 60 == 0 {
                    spend(&mut data, Spending::Heartbeat, REPORT_COST, 400, &mut counter);
                }
                assert!(truly_own <= limits.own_bytes, "seed {seed}: {truly_own} of {} at minute {minute}", limits.own_bytes);
                if random(3_000) == 0 {
                    boot += 1;
                    counter = 0;
                    data = DataPlan::start(limits, saved, BootId(boot));
                }
            }
        }
    }
}
