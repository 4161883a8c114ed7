//! A disk that is full now and then, kills, and flipped bits, in any order: nothing owed is lost but what is counted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use proptest::prelude::*;

use super::tests::{BOOT, batch, settings, table};
use super::*;

/// A disk of its own, so small that it is full at once.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` without the privilege to mount one.
    fn new() -> Option<Disk> {
        let dir = tempfile::tempdir().unwrap();
        let said = mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=512k"));
        if said.is_err() {
            eprintln!("left out: mounting a disk needs root");
        }
        said.is_ok().then_some(Disk(dir))
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// Leaves `pages` of 4 KiB.
    fn fill(&self, pages: usize) {
        self.relieve();
        let _full = std::fs::write(self.ballast(), vec![1; 1 << 20]);
        let file = File::options().write(true).open(self.ballast()).unwrap();
        let length = file.metadata().unwrap().len();
        file.set_len(length.saturating_sub(pages as u64 * 4096)).unwrap();
    }

    fn relieve(&self) {
        let _none = std::fs::remove_file(self.ballast());
    }

    fn journals(&self) -> Vec<PathBuf> {
        let spool = self.0.path().join("spool");
        let files = std::fs::read_dir(spool).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "journal")).collect();
        files.sort();
        files
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Append { count: u8, offered: bool },
    Acknowledge { oldest: bool, count: u8 },
    Full { pages: u8 },
    Room,
    Kill { new_boot: bool },
    Flip { file: u8, place: u32, bit: u8 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u8..40, any::<bool>()).prop_map(|(count, offered)| Step::Append { count, offered }),
        2 => (any::<bool>(), 1u8..20).prop_map(|(oldest, count)| Step::Acknowledge { oldest, count }),
        2 => (0u8..4).prop_map(|pages| Step::Full { pages }),
        2 => Just(Step::Room),
        2 => any::<bool>().prop_map(|new_boot| Step::Kill { new_boot }),
        1 => (any::<u8>(), any::<u32>(), 0u8..8).prop_map(|(file, place, bit)| Step::Flip { file, place, bit }),
    ]
}

/// The spool and what it owes: by boot and number, the rounds of each batch.
struct World {
    disk: Disk,
    boot: BootId,
    spool: Spool,
    owed: BTreeMap<(BootId, u64), u64>,
    clock: u64,
    /// Dropped rounds and lost batches of earlier boots.
    counted: (u64, u64),
}

fn open(dir: &Path, boot: BootId, clock: u64) -> Spool {
    let quick = config::Spool { sync: Sync::Never, ..settings(&dir.join("spool"), 128 << 10) };
    Spool::open(quick, boot, MonoMs(clock)).unwrap()
}

impl World {
    fn new() -> Option<World> {
        let disk = Disk::new()?;
        let spool = open(disk.0.path(), BOOT, 0);
        Some(World { spool, disk, boot: BOOT, owed: BTreeMap::new(), clock: 0, counted: (0, 0) })
    }

    fn waiting(&mut self) -> BTreeMap<(BootId, u64), u64> {
        let mut all = BTreeMap::new();
        for (ticket, covers, _) in self.spool.waiting() {
            for n in ticket.sequence.0..ticket.sequence.0 + u64::from(covers) {
                assert!(all.insert((ticket.boot, n), 8).is_none(), "{ticket:?} waits twice");
            }
        }
        all
    }

    fn losses(&self) -> (u64, u64) {
        let depth = self.spool.depth();
        (self.counted.0 + depth.dropped, self.counted.1 + depth.lost)
    }

    /// Everything owed waits, or is counted; nothing else waits but what was acknowledged while the disk took no mark.
    fn check(&mut self, losses_before: (u64, u64), what: &str) {
        let waiting = self.waiting();
        let gone = self.owed.keys().filter(|key| !waiting.contains_key(*key)).count() as u64;
        let (dropped, lost) = (self.losses().0 - losses_before.0, self.losses().1 - losses_before.1);
        assert!(gone * 8 <= dropped + lost * 8, "{what}: {gone} batches are gone, {dropped} rounds dropped and {lost} batches lost");
        self.owed.retain(|key, _| waiting.contains_key(key));
    }

    fn take(&mut self, step: &Step) {
        let before = self.losses();
        match *step {
            Step::Append { count, offered } => {
                for _ in 0..count {
                    self.clock += 1;
                    let number = self.spool.next_sequence().0;
                    self.spool.append(batch(self.boot, number), &table(), offered).unwrap();
                    self.owed.insert((self.boot, number), 8);
                }
                assert!(self.spool.depth().disk_bytes <= 128 << 10);
                for ticket in self.spool.oldest(u64::MAX, usize::MAX) {
                    let Some((_, id)) = self.spool.read(ticket) else { continue };
                    assert!(self.spool.read_table(id).is_some(), "{ticket:?} has no names");
                }
            }
            Step::Acknowledge { oldest, count } => {
                let count = usize::from(count);
                let tickets = if oldest { self.spool.oldest(u64::MAX, count) } else { self.spool.freshest(MonoMs(0), u64::MAX, count) };
                self.spool.offer(&tickets, MonoMs(self.clock));
                for (ticket, covers, _) in self.spool.waiting().into_iter().filter(|(t, ..)| tickets.contains(t)) {
                    let end = ticket.sequence.0 + u64::from(covers);
                    self.owed.retain(|(boot, n), _| *boot != ticket.boot || !(ticket.sequence.0..end).contains(n));
                }
                self.spool.acknowledge(&tickets);
            }
            Step::Full { pages } => self.disk.fill(usize::from(pages)),
            Step::Room => self.disk.relieve(),
            Step::Kill { new_boot } => self.kill(new_boot, None),
            Step::Flip { file, place, bit } => self.kill(false, Some((file, place, bit))),
        }
        self.check(before, &format!("{step:?}"));
    }

    /// The program is killed; what waited in memory only is gone with it.
    fn kill(&mut self, new_boot: bool, flip: Option<(u8, u32, u8)>) {
        let in_memory = self.spool.entries.iter().filter(|e| e.place.segment == IN_MEMORY);
        for number in in_memory.flat_map(|e| e.sequence..e.end()).collect::<Vec<_>>() {
            self.owed.remove(&(self.boot, number));
        }
        let depth = self.spool.depth();
        if let Some((file, place, bit)) = flip {
            let journals = self.disk.journals();
            let path = &journals[usize::from(file) % journals.len()];
            let mut bytes = std::fs::read(path).unwrap();
            if let Some(at) = (place as usize).checked_rem(bytes.len()) {
                bytes[at] ^= 1 << bit;
                let file = File::options().write(true).open(path).unwrap();
                std::os::unix::fs::FileExt::write_all_at(&file, &bytes[at..=at], at as u64).unwrap();
            }
        }
        if new_boot {
            self.counted = (self.counted.0 + depth.dropped, self.counted.1 + depth.lost);
            (self.boot, self.clock) = (BootId(self.boot.0 + 1), 0);
        }
        self.clock = self.clock.max(self.spool.next_sequence().0);
        // The lock goes with the program.
        let other = tempfile::tempdir().unwrap();
        self.spool = open(other.path(), BOOT, 0);
        let clock = if new_boot { 0 } else { self.clock };
        self.spool = open(self.disk.0.path(), self.boot, clock);
        if !new_boot {
            // What could not be noted on the full disk before the kill is told by nobody.
            let after = self.spool.depth();
            self.counted.0 += depth.dropped.saturating_sub(after.dropped);
            self.counted.1 += depth.lost.saturating_sub(after.lost);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("RUSTA_LONG").is_some() { 2_000 } else { 60 }))]
    #[test]
    fn whatever_the_disk_does_what_is_owed_waits_or_is_counted(steps in proptest::collection::vec(step(), 1..40)) {
        let Some(mut world) = World::new() else { return Ok(()) };
        steps.iter().for_each(|step| world.take(step));
    }
}

/// The fault this keeps out: a table that went to memory while the disk was full stayed there for good, and 113 batches on
/// disk had no names after the next kill.
#[test]
fn what_a_full_disk_refused_goes_to_disk_as_soon_as_there_is_room() {
    let Some(mut world) = World::new() else { return };
    world.disk.fill(0);
    world.take(&Step::Append { count: 30, offered: false });
    assert!(world.spool.entries.iter().all(|e| e.place.segment == IN_MEMORY));
    world.disk.relieve();
    world.take(&Step::Append { count: 1, offered: false });
    assert!(world.spool.entries.iter().all(|e| e.place.segment != IN_MEMORY));
    world.take(&Step::Kill { new_boot: true });
    assert_eq!(world.waiting().len(), 31);
    let tickets = world.spool.oldest(u64::MAX, 99);
    assert!(tickets.iter().all(|ticket| world.spool.read(*ticket).is_some()));
    assert!(world.spool.read_table(table().id()).is_some(), "the names survived the kill");
}

/// The fault this keeps out: a directory that could not be used at the start was never tried again.
#[test]
fn a_directory_that_appears_later_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("later");
    std::fs::write(&place, "in the way").unwrap();
    let quick = settings(&place.join("spool"), 512 << 10);
    let mut spool = Spool::open(quick.clone(), BOOT, MonoMs(0)).unwrap();
    for n in 0..5 {
        spool.append(batch(BOOT, n), &table(), false).unwrap();
    }
    std::fs::remove_file(&place).unwrap();
    spool.append(batch(BOOT, 5), &table(), false).unwrap();
    assert_eq!(spool.depth().frames, 6);
    drop(spool);
    assert_eq!(Spool::open(quick, BootId(9), MonoMs(0)).unwrap().depth().frames, 6);
}
