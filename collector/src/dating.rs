//! Time without a clock: learns from contact when each boot of each agent began. Pure.
//!
//! A sample says how long after its boot's start it was observed. What is missing is the start itself, the *offset*:
//! Unix time of the boot's monotonic zero. Every batch may prove it:
//!
//! ```text
//!        persisted clock: not before                    received_at - until: not after
//!                |                                                |
//!  --------------[=============( proof: offset ± error )==========]-------------------> offset
//! ```
//! A boot with a proof is dated, all of it, also what was measured before the contact. One without is unknown between
//! its bounds. A proof outside the bounds is not believed.
//!
//! The boots of one agent follow each other, and one without a proof had no contact of its own: a later boot carried it.
//! So it was over when the boot began that was alive when it was first heard of; and a clock persisted in an earlier boot
//! says that it began after that one's last word.
//!
//! What a batch says is only believed within bounds: nothing was observed longer before its receipt than raw data is kept,
//! nothing later than it by more than the clock's stated error, and no stated error of more than an hour is a statement. What
//! lies outside is unknown, so no day, slot or span that a stranger chose is ever counted through.
//!
//! Whoever learnt the time from the collector says so in the batch itself; such a batch is dated by its own word and by
//! nothing else, so its time does not depend on what arrived before or after it. Other batches are dated by the nearest
//! proof of their boot; the crystal between the two adds to the error.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use rusta_wire::batch::Head;
use rusta_wire::{AgentId, BootId, ClockSource, MonoMs, UnixMs};

use crate::log::BootRange;

/// When samples of a boot were observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dated {
    /// `observed = monotonic + offset`, wrong by at most `error`.
    At {
        /// Unix time of the boot's monotonic zero, in milliseconds.
        offset_ms: i64,
        /// Bound of the offset's error.
        error_ms: u32,
    },
    /// Nobody can say; the samples stay out of the KPIs.
    Unknown {
        /// They are not older than this, as far as anything is known.
        not_before: Option<UnixMs>,
        /// They are not younger than this.
        not_after: UnixMs,
    },
}

impl Dated {
    /// Returns the Unix time of a monotonic time; `None` if nobody can say.
    pub fn observed_at(self, at: MonoMs) -> Option<UnixMs> {
        match self {
            Dated::At { offset_ms, .. } => Some(UnixMs(offset_ms.saturating_add(signed(at)))),
            Dated::Unknown { .. } => None,
        }
    }
}

/// How good a proof is, worst first. A better one replaces the worse ones of its boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grade {
    /// The system clock, which agreed with ours when the batch arrived.
    Agreed = 1,
    /// The request that carried the batch said how long the boot had lasted.
    Live = 2,
    /// The system clock, synchronised by the kernel's word.
    Synchronised = 3,
    /// The agent learnt the time from the collector.
    Collector = 4,
}

/// What one batch or request proves about its boot's offset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// Monotonic time it was made at.
    pub at: MonoMs,
    /// The offset.
    pub offset_ms: i64,
    /// Bound of its error at that time.
    pub error_ms: u32,
}

/// What is known of one boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Whose it is.
    pub agent: AgentId,
    /// Which it is.
    pub boot: BootId,
    /// The site it spoke for when it was heard first.
    pub site_code: Arc<str>,
    /// Start of its first batch.
    pub first: MonoMs,
    /// End of its last batch, as of the last time [`Dating::take_changed`] gave it out, or later by at most an hour.
    pub last: MonoMs,
    /// The offset is not less than this.
    pub least_offset_ms: Option<i64>,
    /// The offset is not more than this, and no batch was received sooner after its end.
    pub most_offset_ms: i64,
    /// When the first of it was received; `None` if that was not kept.
    pub heard_at: Option<UnixMs>,
    /// How good the proofs are.
    pub grade: Option<Grade>,
    /// The best proof of each day of the boot.
    pub proofs: BTreeMap<u64, Proof>,
    /// Whether any batch of it is dated by proofs rather than by its own word.
    pub leans_on_proofs: bool,
}

/// A boot nobody can date.
#[derive(Debug, Clone)]
pub struct UndatedBoot {
    /// Whose it is.
    pub agent: AgentId,
    /// Its offset is not less than this; `None` if nobody can say.
    pub least_offset_ms: Option<i64>,
    /// By when it was over; `None` if no boot is known to have come after it. Then only its arrival bounds it.
    pub over_by: Option<UnixMs>,
    /// Its offset is not more than this, for it had arrived by then.
    pub most_offset_ms: i64,
    /// Where it lies in the log.
    pub range: BootRange,
}

/// Every boot heard of.
#[derive(Debug, Clone, Default)]
pub struct Dating {
    boots: HashMap<(AgentId, BootId), Boot>,
    by_site: HashMap<Arc<str>, Vec<(AgentId, BootId)>>,
    changed: HashSet<(AgentId, BootId)>,
    reach: Reach,
}

/// How long before its receipt something can have been observed, in milliseconds: as long as raw data is kept. What is older
/// has no raw neighbours, so no day of it could be built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach(i64);

impl Reach {
    /// Reaches back as many days as the log keeps.
    pub fn of_days(days: u32) -> Reach {
        Reach(i64::from(days).saturating_mul(signed(MonoMs(STRETCH_MS))))
    }
}

impl Default for Reach {
    /// Reaches back as long as a log keeps by default.
    fn default() -> Self {
        Reach::of_days(crate::config::RETENTION_DAYS)
    }
}

/// What a batch says about time, and when it was received.
#[derive(Debug, Clone, Copy)]
pub struct Contact<'a> {
    /// The batch.
    pub head: &'a Head,
    /// The site its agent spoke for.
    pub site_code: &'a Arc<str>,
    /// When it was received.
    pub received_at: UnixMs,
    /// The offset its request proved; see [`crate::log::Stored::live_offset_ms`].
    pub live_offset_ms: Option<i64>,
}

/// Crystals of cheap routers are off by 50 ppm and more in heat: 100 ppm is 8.6 s a day.
const DRIFT_PPM: u64 = 100;

/// How far ahead of our clock a proof may be: the error of our own.
const OUR_ERROR_MS: i64 = 5_000;

/// A request's head takes at most this long from the agent to us; then the agent gives up.
const WAY_MS: u32 = 30_000;

/// How well an unsynchronised clock must agree with ours, at the moment of receipt, to count as a proof.
const AGREES_MS: i64 = 120_000;

/// A clock that may be wrong by more than this tells nothing: two months of a crystal's drift are nine minutes.
const MOST_ERROR_MS: u32 = 3_600_000;

/// What the nearest proof leaves open beside its error: a clock that merely agreed with ours.
const AHEAD_MS: i64 = AGREES_MS + OUR_ERROR_MS;

/// Newest stretches of a boot whose proofs are kept: what is older than the raw data is dated for nobody.
const PROOFS: usize = 64;

/// One proof is kept for each of these stretches of a boot.
const STRETCH_MS: u64 = 86_400_000;

/// How often a boot that merely goes on is given out to be saved.
const SAVE_MS: u64 = 3_600_000;

impl Dating {
    /// Begins with boots that were saved.
    pub fn load(boots: impl IntoIterator<Item = Boot>) -> Self {
        let mut dating = Dating::default();
        for boot in boots {
            dating.by_site.entry(boot.site_code.clone()).or_default().push((boot.agent, boot.boot));
            dating.boots.insert((boot.agent, boot.boot), boot);
        }
        dating
    }

    /// Sets how far back something can have been observed.
    pub fn reaching(mut self, reach: Reach) -> Self {
        self.reach = reach;
        self
    }

    /// Learns from a batch. `true` if batches of the boot that came before may be dated otherwise from now on.
    pub fn observe(&mut self, contact: &Contact<'_>) -> bool {
        let head = contact.head;
        let key = (head.id.agent, head.id.boot);
        let most = contact.received_at.0.saturating_sub(signed(head.until));
        let boot = self.boots.entry(key).or_insert_with(|| {
            self.by_site.entry(contact.site_code.clone()).or_default().push(key);
            self.changed.insert(key);
            Boot {
                agent: key.0,
                boot: key.1,
                site_code: contact.site_code.clone(),
                first: head.from,
                last: head.until,
                least_offset_ms: None,
                most_offset_ms: most,
                heard_at: Some(contact.received_at),
                grade: None,
                proofs: BTreeMap::new(),
                leans_on_proofs: false,
            }
        });
        let saved = boot.extent();
        boot.first = boot.first.min(head.from);
        boot.last = boot.last.max(head.until);
        boot.most_offset_ms = boot.most_offset_ms.min(most);
        boot.heard_at = boot.heard_at.map(|heard| heard.min(contact.received_at));
        boot.least_offset_ms = boot.least_offset_ms.max(persisted(head));
        let own = own_word(head, contact.received_at).is_some();
        let reach = self.reach;
        let leant_before = boot.leans_on_proofs;
        boot.leans_on_proofs |= !own;
        let credible = proofs(contact).into_iter().filter(|(_, proof)| reach.allows(proof, contact.received_at));
        let learnt = credible.fold(false, |learnt, (grade, proof)| boot.learn(grade, proof) || learnt);
        if learnt || saved != boot.extent() || leant_before != boot.leans_on_proofs {
            self.changed.insert(key);
        }
        learnt && leant_before
    }

    /// Says when the samples of a batch were observed, and within which bounds if nobody can say.
    pub fn date(&self, head: &Head, received_at: UnixMs) -> Dated {
        match (self.offset(head, received_at), self.boots.get(&(head.id.agent, head.id.boot))) {
            (Some((offset_ms, error_ms)), _) => Dated::At { offset_ms, error_ms },
            (None, Some(boot)) => self.bound(boot, head),
            (None, None) => Dated::Unknown { not_before: None, not_after: received_at },
        }
    }

    /// Returns the Unix time of the monotonic zero of a batch's boot and the bound of its error, both in milliseconds; `None` if
    /// nobody can say, or if what is said cannot be.
    pub fn offset(&self, head: &Head, received_at: UnixMs) -> Option<(i64, u32)> {
        let own = own_word(head, received_at).map(|own| (own.offset_ms, own.error_ms));
        let found = own.or_else(|| self.boots.get(&(head.id.agent, head.id.boot))?.offset_between(head.from, head.until));
        found.filter(|(offset_ms, error_ms)| {
            let proof = |at| Proof { at, offset_ms: *offset_ms, error_ms: *error_ms };
            self.reach.allows(&proof(head.from), received_at) && self.reach.allows(&proof(head.until), received_at)
        })
    }

    /// Bounds what nobody can date: by itself, and by the boots of its agent that were dated.
    fn bound(&self, boot: &Boot, head: &Head) -> Dated {
        let of_site = self.by_site.get(&boot.site_code).into_iter().flatten();
        let dated: Vec<(i64, i64, i64)> =
            of_site.filter(|key| key.0 == boot.agent).filter_map(|key| self.boots.get(key)?.bounds()).collect();
        let carrier = dated.iter().filter(|(began, ..)| boot.heard_at.is_some_and(|heard| *began <= heard.0)).max();
        let over = carrier.map(|(_, began_at_most, _)| began_at_most.saturating_sub(signed(boot.last)));
        let most = over.map_or(boot.most_offset_ms, |over| over.min(boot.most_offset_ms));
        let passed = boot.least_offset_ms.map(|least| least.saturating_add(signed(boot.last)));
        let before = dated.iter().filter(|(_, began_at_most, _)| passed.is_some_and(|passed| *began_at_most <= passed));
        let least = boot.least_offset_ms.max(before.map(|(.., ended)| *ended).max());
        Dated::Unknown {
            not_before: least.map(|least| UnixMs(least.saturating_add(signed(head.from)))),
            not_after: UnixMs(most.saturating_add(signed(head.until))),
        }
    }

    /// Forgets every boot of an agent, and returns which they were.
    pub fn forget(&mut self, agent: AgentId) -> Vec<BootId> {
        let mut boots: Vec<BootId> = self.boots.keys().filter(|(of, _)| *of == agent).map(|(_, boot)| *boot).collect();
        boots.sort_unstable();
        self.boots.retain(|(of, _), _| *of != agent);
        self.by_site.values_mut().for_each(|keys| keys.retain(|(of, _)| *of != agent));
        self.changed.retain(|(of, _)| *of != agent);
        boots
    }

    /// Lists the boots of a site's agents that nobody can date and that may lie between two times.
    ///
    /// Their bounds come from what was sent, not from when it came, wherever that is possible: a boot that began with a
    /// clock persisted in an earlier one came before every boot that learnt a later time, or it would have begun with that.
    pub fn undated(&self, site_code: &str, from: UnixMs, until: UnixMs) -> Vec<UndatedBoot> {
        let of_site = || self.by_site.get(site_code).into_iter().flatten().filter_map(|key| self.boots.get(key));
        let undated = of_site().filter(|boot| boot.proofs.is_empty()).map(|boot| {
            let dated = of_site().filter(|other| other.agent == boot.agent && boot.least_offset_ms.is_some()).filter_map(Boot::bounds);
            let later =
                dated.map(|(_, began_at_most, _)| began_at_most).filter(|began| boot.least_offset_ms.is_some_and(|base| *began > base));
            let received_from = boot.heard_at.unwrap_or(UnixMs(boot.most_offset_ms.saturating_add(signed(boot.first))));
            UndatedBoot {
                agent: boot.agent,
                least_offset_ms: boot.least_offset_ms,
                over_by: later.min().map(UnixMs),
                most_offset_ms: boot.most_offset_ms,
                range: BootRange { boot: boot.boot, from: boot.first, until: MonoMs(boot.last.0.saturating_add(SAVE_MS)), received_from },
            }
        });
        let overlaps = |boot: &UndatedBoot| {
            let ended = boot.over_by.map_or(boot.most_offset_ms.saturating_add(signed(boot.range.until)), |over| over.0);
            let began = boot.least_offset_ms.map(|least| least.saturating_add(signed(boot.range.from)));
            ended >= from.0 && began.is_none_or(|began| began < until.0)
        };
        undated.filter(overlaps).collect()
    }

    /// Lists the stretches of boots in which a site's agents can have observed something between two times.
    pub fn ranges(&self, site_code: &str, from: UnixMs, until: UnixMs) -> Vec<BootRange> {
        let boots = self.by_site.get(site_code).into_iter().flatten().filter_map(|key| self.boots.get(key));
        boots.filter_map(|boot| boot.range(from, until)).collect()
    }

    /// Returns what is known of a boot.
    pub fn boot(&self, agent: AgentId, boot: BootId) -> Option<&Boot> {
        self.boots.get(&(agent, boot))
    }

    /// Gives out the boots that changed since the last time, to be saved.
    pub fn take_changed(&mut self) -> Vec<Boot> {
        let mut keys: Vec<_> = self.changed.drain().collect();
        keys.sort_unstable();
        keys.iter().filter_map(|key| self.boots.get(key)).cloned().collect()
    }
}

impl Boot {
    /// Returns the stretch of the boot a monotonic time lies in: the key of [`Boot::proofs`].
    pub fn stretch(at: MonoMs) -> u64 {
        at.0 / STRETCH_MS
    }

    /// What is saved when it changes; the end and the latest beginning only by the hour.
    fn extent(&self) -> (MonoMs, u64, Option<i64>, i64) {
        (self.first, self.last.0 / SAVE_MS, self.least_offset_ms, self.most_offset_ms / signed(MonoMs(SAVE_MS)))
    }

    /// Keeps a proof if it is better than what is known; `true` if it is.
    fn learn(&mut self, grade: Grade, proof: Proof) -> bool {
        if self.grade.is_some_and(|known| known > grade) {
            return false;
        }
        if self.grade != Some(grade) {
            self.grade = Some(grade);
            self.proofs.clear();
        }
        let stretch = Boot::stretch(proof.at);
        let rank = |proof: &Proof| (proof.error_ms, proof.at, proof.offset_ms);
        match self.proofs.get(&stretch) {
            Some(known) if rank(known) <= rank(&proof) => false,
            _ => {
                self.proofs.insert(stretch, proof);
                let oldest = if self.proofs.len() > PROOFS { self.proofs.pop_first() } else { None };
                oldest.is_none_or(|(oldest, _)| oldest != stretch)
            }
        }
    }

    fn offset_between(&self, from: MonoMs, until: MonoMs) -> Option<(i64, u32)> {
        let proof = self.proofs.values().min_by_key(|proof| (distance(proof.at, until), proof.at))?;
        let drift = distance(proof.at, from).max(distance(proof.at, until)).saturating_mul(DRIFT_PPM) / 1_000_000;
        let error = u64::from(proof.error_ms).saturating_add(drift);
        Some((proof.offset_ms, u32::try_from(error).unwrap_or(u32::MAX)))
    }

    /// Says when a dated boot began, at the earliest and at the latest, and until when at least it lasted, in Unix milliseconds.
    fn bounds(&self) -> Option<(i64, i64, i64)> {
        let (zero, error) = self.offset_between(MonoMs(0), MonoMs(0))?;
        let (end, end_error) = self.offset_between(self.last, self.last)?;
        let ended = end.saturating_add(signed(self.last)).saturating_sub(i64::from(end_error));
        Some((zero.saturating_sub(i64::from(error)), zero.saturating_add(i64::from(error)), ended))
    }

    /// Widened by an hour on each side: a saved end may lag, and offsets differ a little between proofs.
    fn range(&self, from: UnixMs, until: UnixMs) -> Option<BootRange> {
        let offset = self.proofs.values().next()?.offset_ms;
        let mono = |at: UnixMs, by: i64| MonoMs(u64::try_from(at.0.saturating_sub(offset).saturating_add(by)).unwrap_or(0));
        let hour = signed(MonoMs(SAVE_MS));
        let first = mono(from, -hour);
        let received_from = UnixMs(self.most_offset_ms.saturating_add(signed(first)).saturating_sub(hour));
        let range = BootRange { boot: self.boot, from: first, until: mono(until, hour), received_from };
        let overlaps = range.from.0 <= self.last.0.saturating_add(SAVE_MS) && self.first < range.until;
        overlaps.then_some(range)
    }
}

impl Reach {
    /// Tells whether something that a proof dates can have been received at a time.
    fn allows(self, proof: &Proof, received_at: UnixMs) -> bool {
        let observed = i128::from(proof.offset_ms) + i128::from(proof.at.0);
        let (received, error) = (i128::from(received_at.0), i128::from(proof.error_ms));
        proof.error_ms <= MOST_ERROR_MS
            && observed >= received - i128::from(self.0) - error
            && observed <= received + error + i128::from(AHEAD_MS)
    }
}

/// What a batch says by itself, if it learnt the time from the collector and that can be true.
fn own_word(head: &Head, received_at: UnixMs) -> Option<Proof> {
    let credible = head.clock.source == ClockSource::Collector && !is_ahead(head, received_at);
    credible.then(|| clock_proof(head))
}

/// Lists what a contact proves.
fn proofs(contact: &Contact<'_>) -> Vec<(Grade, Proof)> {
    let head = contact.head;
    let mut proofs = Vec::new();
    if let Some(offset_ms) = contact.live_offset_ms {
        proofs.push((Grade::Live, Proof { at: head.until, offset_ms, error_ms: WAY_MS }));
    }
    let behind = contact.received_at.0.saturating_sub(head.clock.unix.0);
    match head.clock.source {
        _ if is_ahead(head, contact.received_at) => {}
        ClockSource::Collector => proofs.push((Grade::Collector, clock_proof(head))),
        ClockSource::Synchronised => proofs.push((Grade::Synchronised, clock_proof(head))),
        ClockSource::System if behind <= AGREES_MS => {
            let error_ms = u32::try_from(AGREES_MS).unwrap_or(u32::MAX);
            proofs.push((Grade::Agreed, Proof { error_ms, ..clock_proof(head) }));
        }
        ClockSource::System | ClockSource::Persisted | ClockSource::None | ClockSource::Unknown(_) => {}
    }
    proofs
}

fn clock_proof(head: &Head) -> Proof {
    let offset_ms = head.clock.unix.0.saturating_sub(signed(head.until));
    Proof { at: head.until, offset_ms, error_ms: head.clock.uncertainty_ms }
}

/// A clock ahead of the moment its batch was received is wrong, whatever it says of itself.
fn is_ahead(head: &Head, received_at: UnixMs) -> bool {
    head.clock.unix.0 > received_at.0.saturating_add(i64::from(head.clock.uncertainty_ms)).saturating_add(OUR_ERROR_MS)
}

/// The least offset a persisted clock allows: time only went on since it was written down, nobody knows for how long.
fn persisted(head: &Head) -> Option<i64> {
    (head.clock.source == ClockSource::Persisted).then(|| clock_proof(head).offset_ms)
}

fn distance(a: MonoMs, b: MonoMs) -> u64 {
    a.0.abs_diff(b.0)
}

fn signed(at: MonoMs) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
