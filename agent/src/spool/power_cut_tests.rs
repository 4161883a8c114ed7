//! A power cut at every byte of a spool's life: batches put in, offered, acknowledged, thinned, segments begun and removed.
//!
//! What is promised, with every write forced (`spool.sync: batch`), wherever the power goes:
//!
//! 1. Every batch that was put in before the write under way, and is not done, waits: as itself or within one summary.
//! 2. Nothing waits twice, and what was acknowledged, or counted as dropped, before the write under way does not wait again.
//! 3. What was offered is never merged, and the next number is above every number that was used.
//!
//! The bounded form lives 120 steps and is cut at every byte it writes; `RUSTA_LONG=1` lives 600.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::tests::{BOOT, append, open_small, table};
use super::*;

type Files = BTreeMap<String, Vec<u8>>;

fn files(dir: &Path) -> Files {
    let journals = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let named = journals.map(|entry| (entry.file_name().into_string().unwrap(), entry.path()));
    named.filter(|(name, _)| name.ends_with(".journal")).map(|(name, path)| (name, std::fs::read(path).unwrap())).collect()
}

fn lay(dir: &Path, files: &Files) {
    for entry in std::fs::read_dir(dir).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    files.iter().for_each(|(name, bytes)| std::fs::write(dir.join(name), bytes).unwrap());
}

fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// The sequence numbers that wait; each once, or it panics.
fn covered(spool: &Spool, what: &str) -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    for (ticket, covers, _) in spool.waiting() {
        for n in ticket.sequence.0..ticket.sequence.0 + u64::from(covers) {
            assert!(all.insert(n), "{what}: {n} waits twice");
        }
    }
    all
}

/// What should hold whatever was written, and what may.
struct Truth {
    waits: BTreeSet<u64>,
    may_wait: BTreeSet<u64>,
    offered: BTreeSet<u64>,
    used: u64,
}

impl Truth {
    fn check(&self, dir: &Path, what: &str) {
        // A batch a millisecond: as fast as numbers may go.
        let mut spool = open_small(dir, MonoMs(self.used));
        let found = covered(&spool, what);
        assert!(found.is_superset(&self.waits), "{what}: lost {:?}", self.waits.difference(&found));
        assert!(found.is_subset(&self.may_wait), "{what}: waits again {:?}", found.difference(&self.may_wait));
        let merged = spool.waiting().into_iter().filter(|(_, covers, _)| *covers > 1);
        for (ticket, covers, _) in merged {
            let within = ticket.sequence.0..ticket.sequence.0 + u64::from(covers);
            assert!(self.offered.range(within).next().is_none(), "{what}: offered and merged: {ticket:?}");
        }
        assert!(spool.next_sequence().0 >= self.used, "{what}: {} again", spool.next_sequence());
        let ticket = append(&mut spool, BOOT, false);
        assert!(spool.read(ticket).is_some(), "{what}: it takes nothing more");
    }
}

#[test]
fn a_power_cut_at_every_byte_of_a_life_loses_nothing_that_was_synced() {
    let steps = if std::env::var_os("RUSTA_LONG").is_some() { 600 } else { 120 };
    let (dir, copy) = (scratch(), scratch());
    let mut spool = open_small(dir.path(), MonoMs(0));
    let (mut appended, mut acknowledged, mut offered) = (0u64, BTreeSet::new(), BTreeSet::new());
    let (mut cuts, mut removed, mut counted, mut random) = (0u64, 0, 0, 0x5eed_u64);
    for step in 0..steps {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (before, waited) = (files(dir.path()), covered(&spool, "before"));
        let (used, done_before) = (appended, acknowledged.clone());
        match random >> 60 {
            0 | 1 => {
                let fresh = spool.freshest(MonoMs(u64::MAX), u64::MAX, 2);
                spool.offer(&fresh, MonoMs(0));
                offered.extend(fresh.iter().map(|ticket| ticket.sequence.0));
            }
            2 => {
                let gone = if random & 1 << 40 == 0 { spool.oldest(600, 4) } else { spool.freshest(MonoMs(u64::MAX), u64::MAX, 2) };
                let covers =
                    |ticket: &Ticket| spool.waiting().into_iter().find(|(one, ..)| one == ticket).map_or(0, |(_, covers, _)| covers);
                let numbers = |ticket: &Ticket| ticket.sequence.0..ticket.sequence.0 + u64::from(covers(ticket));
                acknowledged.extend(gone.iter().flat_map(numbers).collect::<Vec<_>>());
                spool.acknowledge(&gone);
                spool.sync(MonoMs(0), true);
            }
            rest => {
                let is_offered = rest % 3 == 0;
                let ticket = append(&mut spool, BOOT, is_offered);
                offered.extend(is_offered.then_some(ticket.sequence.0));
                appended += 1;
            }
        }
        let expected: BTreeSet<u64> = (0..appended).filter(|n| !acknowledged.contains(n)).collect();
        let waits = covered(&spool, "after");
        // What was dropped for want of room was counted, and is done.
        let dropped: Vec<u64> = expected.difference(&waits).copied().collect();
        assert!(
            waits.is_subset(&expected) && dropped.is_empty() == (spool.depth().dropped == counted),
            "step {step}: {dropped:?} are gone"
        );
        counted = spool.depth().dropped;
        acknowledged.extend(dropped);
        let truth = Truth {
            waits: waited.intersection(&waits).copied().collect(),
            may_wait: (0..appended).filter(|n| !done_before.contains(n)).collect(),
            offered: offered.clone(),
            used,
        };
        let after = files(dir.path());
        removed += before.keys().filter(|name| !after.contains_key(*name)).count();
        // What was removed went last: until then it lies beside what was written.
        let mut disk = before.clone();
        for (name, bytes) in &after {
            let old = before.get(name).map_or(0, Vec::len);
            assert!(bytes[..old] == *before.get(name).map_or(&[][..], Vec::as_slice), "a byte on disk was changed");
            for cut in old..=bytes.len() {
                disk.insert(name.clone(), bytes[..cut].to_vec());
                lay(copy.path(), &disk);
                truth.check(copy.path(), &format!("step {step}, {name} cut at {cut}"));
                cuts += 1;
            }
        }
        lay(copy.path(), &after);
        truth.check(copy.path(), &format!("step {step}, written"));
    }
    println!("{cuts} cuts, {removed} segments removed, {} samples thinned, {counted} dropped", spool.depth().thinned);
    assert!(removed > 0 && spool.depth().thinned > 0, "the life was too quiet");
    let whole = files(dir.path());
    let truth = Truth { waits: BTreeSet::new(), may_wait: (0..appended).collect(), offered: BTreeSet::new(), used: appended };
    for name in whole.keys() {
        for place in 0..whole[name].len() {
            let mut disk = whole.clone();
            disk.entry(name.clone()).and_modify(|bytes| bytes[place] ^= 1 << (place % 8));
            lay(copy.path(), &disk);
            truth.check(copy.path(), &format!("{name} flipped at {place}"));
        }
    }
    assert!(spool.read_table(table().id()).is_some());
}
