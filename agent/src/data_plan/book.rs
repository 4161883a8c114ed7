//! The account book on flash: two copies, written in turn, each with its number and a checksum.
//!
//! ```text
//! plans    {"#":{"cycle":8,"used":CHECKSUM},"apn0":{...}}     read: the sound copy with the higher number
//! plans.2  {"#":{"cycle":7,"used":CHECKSUM},"apn0":{...}}     write: the other one
//! ```
//! A flipped bit or a write that a power cut tore costs one reservation, never the account. On a full flash, where no new file
//! can be made, the older copy is written over in its place. To a program that knows one copy only, `#` is a link nobody has.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusta_wire::TableId;

use super::Kept;
use crate::files;

/// How a copy begins.
const HEAD: &str = "{\"#\":{\"cycle\":";

/// The use of every link's plan, as it is kept.
#[derive(Debug, Clone, Default)]
pub struct Book {
    /// By name of the link.
    pub links: BTreeMap<String, Kept>,
    /// How often it was written.
    written: u64,
}

impl Book {
    /// Reads the book; the other copy stands in for a damaged one, which is told.
    pub fn load(path: &Path) -> Book {
        let [first, second] = [path.to_owned(), other(path)].map(|path| std::fs::read(path).unwrap_or_default());
        if let Some(book) = Book::read_unsealed(&first) {
            return book;
        }
        let sound = [&first, &second].into_iter().filter_map(|copy| Book::read(copy)).max_by_key(|book| book.written);
        let damaged = [&first, &second].into_iter().any(|copy| copy.starts_with(HEAD.as_bytes()) && Book::read(copy).is_none());
        if damaged || (sound.is_none() && !first.is_empty()) {
            let found = if sound.is_some() { "the other copy of it is sound" } else { "the plans begin anew" };
            tracing::error!(file = %path.display(), "the account of the data plans is damaged; {found}");
        }
        sound.unwrap_or_default()
    }

    /// Returns the next copy to write: its file and what stands in it.
    pub fn next_copy(&mut self, path: &Path) -> serde_json::Result<(PathBuf, Vec<u8>)> {
        self.written += 1;
        let links = serde_json::to_string(&self.links)?;
        let rest = if self.links.is_empty() { "}".to_owned() } else { format!(",{}", &links[1..]) };
        let sealed = format!("{HEAD}{},\"used\":{}}}{rest}", self.written, seal(self.written, rest.as_bytes()));
        Ok((if self.written.is_multiple_of(2) { other(path) } else { path.to_owned() }, sealed.into_bytes()))
    }

    /// Reads a copy; `None` for one that is damaged, or of a program that sealed nothing.
    fn read(copy: &[u8]) -> Option<Book> {
        let text = std::str::from_utf8(copy).ok()?.trim_end();
        let (number, rest) = text.strip_prefix(HEAD)?.split_once(",\"used\":")?;
        let (sum, rest) = rest.split_once('}')?;
        let written: u64 = number.parse().ok()?;
        let is_sound = sum.parse() == Ok(seal(written, rest.as_bytes()));
        let links = rest.strip_prefix(',').map_or_else(|| rest.to_owned(), |links| format!("{{{links}"));
        let links = if links == "}" { BTreeMap::new() } else { serde_json::from_str(&links).ok()? };
        is_sound.then_some(Book { links, written })
    }

    /// Reads what a program wrote that knew one copy only, which is then the newest: to it the seal was a link with all that a
    /// link has.
    fn read_unsealed(copy: &[u8]) -> Option<Book> {
        let text = std::str::from_utf8(copy).ok()?;
        let is_sealed =
            text.strip_prefix(HEAD).is_some_and(|rest| !rest.split('}').next().is_some_and(|seal| seal.contains("own_reserved")));
        let mut links: BTreeMap<String, Kept> = serde_json::from_str(text).ok().filter(|_| !is_sealed)?;
        let written = links.remove("#").map_or(0, |seal| seal.cycle.unsigned_abs());
        Some(Book { links, written })
    }
}

/// Replaces a copy in one step, or, on a full disk, writes over it: the other copy is sound meanwhile.
///
/// # Errors
/// What the system says.
pub fn write_copy(path: &Path, copy: &[u8]) -> io::Result<()> {
    match files::replace(path, copy, 0o600) {
        Err(error) if error.kind() == io::ErrorKind::StorageFull => {
            let room = std::fs::metadata(path)?.len();
            let mut file = OpenOptions::new().write(true).open(path)?;
            let padding = usize::try_from(room).unwrap_or(0).saturating_sub(copy.len());
            file.write_all(&[copy, &vec![b' '; padding]].concat())?;
            file.sync_all()
        }
        done => done,
    }
}

fn other(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".2");
    name.into()
}

/// Fits into the 53 bits that every reader of JSON keeps.
fn seal(written: u64, rest: &[u8]) -> u64 {
    TableId::of(&[&written.to_le_bytes(), rest].concat()).0 >> 11
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(used: u64) -> Kept {
        Kept { used, own_reserved: used / 2, cycle: 20_000, ..Kept::default() }
    }

    fn write(book: &mut Book, path: &Path) {
        let (copy, content) = book.next_copy(path).unwrap();
        write_copy(&copy, &content).unwrap();
    }

    #[test]
    fn any_damage_to_one_copy_costs_one_write() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plans");
        let mut book = Book::load(&path);
        assert!(book.links.is_empty());
        write(&mut book, &path);
        assert!(Book::load(&path).links.is_empty(), "an empty book");
        for used in [100, 200] {
            book.links.insert("apn0".into(), kept(used));
            write(&mut book, &path);
        }
        assert_eq!(Book::load(&path).links["apn0"], kept(200));
        let newest = if book.written.is_multiple_of(2) { other(&path) } else { path.clone() };
        let sound = std::fs::read(&newest).unwrap();
        for (at, bit) in (0..sound.len()).flat_map(|at| (0..8).map(move |bit| (at, bit))) {
            let mut flipped = sound.clone();
            flipped[at] ^= 1 << bit;
            std::fs::write(&newest, flipped).unwrap();
            let found = Book::load(&path).links["apn0"];
            // Damage to the seal's own name leaves a copy without one, of which nothing else is wrong.
            assert!(found == kept(100) || at < HEAD.len() && found == kept(200), "byte {at} bit {bit}: {found:?}");
        }
        for torn in 0..sound.len() {
            std::fs::write(&newest, &sound[..torn]).unwrap();
            assert_eq!(Book::load(&path).links["apn0"], kept(100), "torn at {torn}");
        }
        let mut going_on = Book::load(&path);
        going_on.links.insert("apn0".into(), kept(300));
        write(&mut going_on, &path);
        assert_eq!(Book::load(&path).links["apn0"], kept(300));
    }

    #[test]
    fn programs_before_and_after_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("plans");
        std::fs::write(&path, r#"{"apn0":{"cycle":24198,"used":1000,"own_reserved":1000,"counter":0,"boot":0}}"#).unwrap();
        let mut book = Book::load(&path);
        assert_eq!(book.links["apn0"].used, 1_000);
        write(&mut book, &path);
        let as_before: BTreeMap<String, Kept> = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(as_before["apn0"].used, 1_000);
        write(&mut book, &path);
        let spent_before =
            as_before.into_iter().map(|(name, kept)| (name, Kept { own_reserved: 7_000, ..kept })).collect::<BTreeMap<_, _>>();
        std::fs::write(&path, serde_json::to_vec(&spent_before).unwrap()).unwrap();
        let mut back = Book::load(&path);
        assert_eq!((back.links.len(), back.links["apn0"].own_reserved), (1, 7_000), "what the earlier program spent counts");
        back.links.insert("apn0".into(), kept(9_000));
        write(&mut back, &path);
        write(&mut back, &path);
        assert_eq!(Book::load(&path).links["apn0"], kept(9_000));
    }
}
