//! The journal: frames on disk in numbered segments, written at the head, removed a whole segment at a time.
//!
//! ```text
//! dir/0000000007.journal   frame frame frame
//! dir/0000000008.journal   frame frame                     <- head: appended to until it is full
//! ```
//!
//! Invariants: a frame that was synced survives any power cut; what damage destroys is the frames it touches and nothing
//! else; opening never fails because of what is in a segment. Recovery is one `match` for each stretch of bytes: a frame,
//! or damage up to the next frame whose checksum holds. Damage that reaches the end of the head is a write the power cut
//! in two, and is cut off. The journal knows nothing of what its frames mean.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::frame::{Frame, FrameKind};

/// How a segment's file name ends.
const SUFFIX: &str = ".journal";

/// Largest segment read at recovery; a file beyond it was not written by this program.
const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// Where a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The segment's number.
    pub segment: u32,
    /// The frame's first byte in it.
    pub offset: u32,
    /// The frame's length, header included.
    pub length: u32,
}

/// What opening found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Frames that are whole.
    pub frames: u64,
    /// Bytes that belong to no whole frame.
    pub damaged_bytes: u64,
    /// Segments that could not be read at all.
    pub unreadable: u32,
    /// Batches among the damage: frames that were whole once, not the end of a write that the power cut.
    pub lost: u64,
}

/// What was written and need not be on disk yet, for whoever may wait for the disk.
#[derive(Debug, Default)]
pub struct Unforced {
    segments: Vec<File>,
    /// Set when a segment began: its name must survive a power cut as well as the bytes behind it.
    dir: Option<PathBuf>,
}

impl Unforced {
    /// Returns when it is on disk.
    ///
    /// # Errors
    /// The disk failed; nothing may be taken for written.
    pub fn force(self) -> io::Result<()> {
        self.segments.iter().try_for_each(File::sync_data)?;
        self.dir.map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.dir.is_none()
    }
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    segment_bytes: u64,
    /// Length of each segment, the head included.
    segments: BTreeMap<u32, u64>,
    head: File,
    head_number: u32,
    /// Whether the head has bytes that were not handed out to be forced.
    unforced_head: bool,
    /// What the head was before, likewise.
    unforced: Unforced,
}

impl Journal {
    /// Opens or creates the journal in `dir` and shows every whole frame to `visit`, oldest segment first. A new segment
    /// begins when the head would pass `segment_bytes`.
    ///
    /// # Errors
    /// Only what the directory or a new head refuse; damage inside segments is counted, not an error.
    pub fn open(dir: &Path, segment_bytes: u64, mut visit: impl FnMut(Place, &Frame<'_>)) -> io::Result<(Journal, Recovery)> {
        fs::create_dir_all(dir)?;
        let mut recovery = Recovery::default();
        let mut segments = BTreeMap::new();
        let mut whole_until = 0;
        for number in segment_numbers(dir)? {
            match read_segment(&segment_path(dir, number)) {
                Ok(bytes) => {
                    whole_until = recover(number, &bytes, &mut recovery, &mut visit);
                    segments.insert(number, length_of(&bytes));
                }
                Err(_) => {
                    recovery.unreadable += 1;
                    segments.insert(number, 0);
                    whole_until = 0;
                }
            }
        }
        let last = segments.last_key_value().map(|(number, length)| (*number, *length));
        let (head, head_number) = match last.map(|(number, length)| (number, reopen(dir, number, length, whole_until))) {
            Some((number, Ok(head))) => (head, number),
            // The last segment takes no more writes; leave it as it is and go on behind it.
            Some((number, Err(_))) => (create(dir, number + 1)?, number + 1),
            None => (create(dir, 1)?, 1),
        };
        segments.insert(head_number, head.metadata()?.len());
        let unforced = Unforced { segments: Vec::new(), dir: Some(dir.to_path_buf()) };
        Ok((Journal { dir: dir.to_path_buf(), segment_bytes, segments, head, head_number, unforced_head: true, unforced }, recovery))
    }

    /// Appends frames in one write and returns where each is. Nothing is sure to be on disk before
    /// [`Journal::sync`], or before what [`Journal::take_unforced`] gives is forced.
    ///
    /// # Errors
    /// The write failed; the journal is as it was before.
    pub fn append(&mut self, frames: &[Frame<'_>]) -> io::Result<Vec<Place>> {
        let mut bytes = Vec::with_capacity(frames.iter().map(Frame::encoded_len).sum());
        let mut starts = Vec::with_capacity(frames.len());
        for frame in frames {
            starts.push((bytes.len(), frame.encoded_len()));
            frame.write(&mut bytes);
        }
        if !self.takes(bytes.len()) {
            self.rotate()?;
        }
        let begin = self.head_length();
        if let Err(error) = self.head.seek(SeekFrom::Start(begin)).and_then(|_| self.head.write_all(&bytes)) {
            // Half a frame must not stay in front of the next one. If this fails too, recovery steps over it.
            let _ = self.head.set_len(begin);
            return Err(error);
        }
        self.segments.insert(self.head_number, begin + length_of(&bytes));
        self.unforced_head = true;
        let place = |(start, length): (usize, usize)| Place {
            segment: self.head_number,
            offset: to_u32(begin).saturating_add(to_u32(length_of_n(start))),
            length: to_u32(length_of_n(length)),
        };
        Ok(starts.into_iter().map(place).collect())
    }

    /// Forces everything appended to disk. Returns whether there was anything to force.
    ///
    /// # Errors
    /// The disk failed; nothing may be taken for written.
    pub fn sync(&mut self) -> io::Result<bool> {
        let Some(unforced) = self.take_unforced()? else { return Ok(false) };
        unforced.force().inspect_err(|_| self.unforced_head = true)?;
        Ok(true)
    }

    /// Hands out everything appended since the last time, to be forced elsewhere; `None` when there is nothing.
    ///
    /// # Errors
    /// The system grants no second handle of the head.
    pub fn take_unforced(&mut self) -> io::Result<Option<Unforced>> {
        if self.unforced_head {
            self.unforced.segments.push(self.head.try_clone()?);
            self.unforced_head = false;
        }
        let unforced = std::mem::take(&mut self.unforced);
        Ok((!unforced.is_empty()).then_some(unforced))
    }

    /// Reads the bytes of one frame.
    ///
    /// # Errors
    /// `InvalidData` if they are not the frame that was written.
    pub fn read(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut file = File::open(segment_path(&self.dir, place.segment))?;
        file.seek(SeekFrom::Start(u64::from(place.offset)))?;
        let mut bytes = vec![0; usize::try_from(place.length).unwrap_or(0)];
        file.read_exact(&mut bytes)?;
        match Frame::read(&bytes) {
            Ok((_, length)) if length == bytes.len() => Ok(bytes),
            Ok(_) => Err(io::Error::new(io::ErrorKind::InvalidData, "another frame is there")),
            Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
        }
    }

    /// Begins a new segment, so that the present head can be removed.
    ///
    /// # Errors
    /// A new one cannot be created.
    pub fn rotate(&mut self) -> io::Result<()> {
        let head = create(&self.dir, self.head_number + 1)?;
        let before = std::mem::replace(&mut self.head, head);
        if std::mem::replace(&mut self.unforced_head, false) {
            self.unforced.segments.push(before);
        }
        self.unforced.dir = Some(self.dir.clone());
        self.head_number += 1;
        self.segments.insert(self.head_number, 0);
        Ok(())
    }

    /// Takes a segment other than the head out of the journal and returns the file that is left to be removed. `None` for
    /// the head and for a segment that is not there.
    pub fn take_out(&mut self, segment: u32) -> Option<PathBuf> {
        let is_there = segment != self.head_number && self.segments.remove(&segment).is_some();
        is_there.then(|| segment_path(&self.dir, segment))
    }

    /// Lists the segments before the head, oldest first.
    pub fn full_segments(&self) -> Vec<u32> {
        self.segments.keys().copied().filter(|number| *number != self.head_number).collect()
    }

    /// Returns the bytes on disk.
    pub fn bytes(&self) -> u64 {
        self.segments.values().sum()
    }

    /// Returns the head's number.
    pub fn head(&self) -> u32 {
        self.head_number
    }

    /// Returns the oldest segment, unless that is the head.
    pub fn oldest(&self) -> Option<u32> {
        self.segments.keys().next().copied().filter(|number| *number != self.head_number)
    }

    /// Tells whether so many more bytes go into the head; into an empty one go any.
    pub fn takes(&self, bytes: usize) -> bool {
        self.head_length() == 0 || self.head_length() + length_of_n(bytes) <= self.segment_bytes
    }

    /// Returns the bytes in the head.
    pub fn head_length(&self) -> u64 {
        self.segments.get(&self.head_number).copied().unwrap_or(0)
    }
}

/// Shows every whole frame of a segment and returns where the last one ends.
fn recover(segment: u32, bytes: &[u8], recovery: &mut Recovery, visit: &mut impl FnMut(Place, &Frame<'_>)) -> u64 {
    let (mut at, mut whole_until) = (0, 0);
    while at < bytes.len() {
        match Frame::read(&bytes[at..]) {
            Ok((frame, length)) => {
                visit(Place { segment, offset: to_u32(length_of_n(at)), length: to_u32(length_of_n(length)) }, &frame);
                recovery.frames += 1;
                at += length;
                whole_until = length_of_n(at);
            }
            Err(_) => {
                let next = (at + 1..bytes.len()).find(|next| Frame::read(&bytes[*next..]).is_ok()).unwrap_or(bytes.len());
                recovery.damaged_bytes += length_of_n(next - at);
                recovery.lost += batches_in(&bytes[at..next]);
                at = next;
            }
        }
    }
    whole_until
}

/// Counts the batches that damage cost. Bytes that stop inside their frame, or that were never written, are the end of a
/// write that the power cut: nobody was told that they were on disk.
fn batches_in(damaged: &[u8]) -> u64 {
    let starts = (0..damaged.len()).filter(|at| damaged[*at..].starts_with(b"RU"));
    let kinds = starts.map(|at| Frame::kind_of_damaged(&damaged[at..]));
    let (mut batches, mut others) = (0, 0);
    for kind in kinds.flatten() {
        if kind == FrameKind::Batch { batches += 1 } else { others += 1 }
    }
    let is_cut = Frame::is_cut(damaged) || damaged.iter().all(|byte| *byte == 0);
    if batches + others == 0 && !is_cut { 1 } else { batches }
}

fn segment_numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        numbers.extend(name.to_str().and_then(|name| name.strip_suffix(SUFFIX)).and_then(|number| number.parse::<u32>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn segment_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}{SUFFIX}"))
}

fn read_segment(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(SEGMENT_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn reopen(dir: &Path, number: u32, length: u64, whole_until: u64) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(segment_path(dir, number))?;
    if whole_until < length {
        file.set_len(whole_until)?;
    }
    Ok(file)
}

fn create(dir: &Path, number: u32) -> io::Result<File> {
    // What an attempt on a full disk left behind is empty, and belongs to nobody.
    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(segment_path(dir, number))
}

fn length_of(bytes: &[u8]) -> u64 {
    length_of_n(bytes.len())
}

fn length_of_n(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

fn to_u32(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(n: u8) -> Frame<'static> {
        Frame::new(FrameKind::Batch, vec![n; 10 + usize::from(n)]).unwrap()
    }

    fn open(dir: &Path) -> (Journal, Recovery, Vec<(Place, u8)>) {
        let mut found = Vec::new();
        let (journal, recovery) = Journal::open(dir, 256, |place, frame| found.push((place, frame.payload[0]))).unwrap();
        (journal, recovery, found)
    }

    fn written(dir: &Path, count: u8) -> Vec<Place> {
        let (mut journal, _, _) = open(dir);
        let places = (0..count).map(|n| journal.append(&[frame(n)]).unwrap()[0]).collect();
        journal.sync().unwrap();
        places
    }

    fn numbers(found: &[(Place, u8)]) -> Vec<u8> {
        found.iter().map(|(_, n)| *n).collect()
    }

    #[test]
    fn frames_come_back_in_order_and_by_place() {
        let dir = tempfile::tempdir().unwrap();
        let places = written(dir.path(), 20);
        let (journal, recovery, found) = open(dir.path());
        assert_eq!(recovery, Recovery { frames: 20, ..Recovery::default() });
        assert_eq!(numbers(&found), (0..20).collect::<Vec<_>>());
        assert!(journal.full_segments().len() > 1);
        for (n, place) in (0u8..).zip(places) {
            assert_eq!(journal.read(place).unwrap(), frame(n).to_bytes());
        }
    }

    #[test]
    fn a_cut_at_every_byte_costs_only_the_frame_it_cuts() {
        let whole = tempfile::tempdir().unwrap();
        written(whole.path(), 5);
        let head = segment_path(whole.path(), 1);
        let bytes = fs::read(&head).unwrap();
        assert!(!segment_path(whole.path(), 2).exists());
        for cut in 0..=bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            fs::write(segment_path(dir.path(), 1), &bytes[..cut]).unwrap();
            let (mut journal, _, found) = open(dir.path());
            let whole_frames = Frame::read_all(&bytes[..cut]).filter(Result::is_ok).count();
            assert_eq!(numbers(&found), (0u8..).take(whole_frames).collect::<Vec<_>>(), "cut at {cut}");
            journal.append(&[frame(77)]).unwrap();
            let (_, recovery, found) = open(dir.path());
            assert_eq!((recovery.damaged_bytes, found.last().unwrap().1), (0, 77), "after a cut at {cut}");
            assert_eq!(found.len(), whole_frames + 1);
        }
    }

    #[test]
    fn every_flipped_byte_costs_only_its_own_frame() {
        let whole = tempfile::tempdir().unwrap();
        let places = written(whole.path(), 5);
        let bytes = fs::read(segment_path(whole.path(), 1)).unwrap();
        for at in 0..bytes.len() {
            let dir = tempfile::tempdir().unwrap();
            let mut damaged = bytes.clone();
            damaged[at] ^= 0xff;
            fs::write(segment_path(dir.path(), 1), &damaged).unwrap();
            let (mut journal, recovery, found) = open(dir.path());
            let hit = places.iter().position(|p| (p.offset..p.offset + p.length).contains(&(at as u32))).unwrap();
            let expect: Vec<u8> = (0..5).filter(|n| usize::from(*n) != hit).collect();
            assert_eq!(numbers(&found), expect, "byte {at} flipped");
            assert!(recovery.damaged_bytes > 0);
            assert!(journal.read(places[hit]).is_err());
            journal.append(&[frame(77)]).unwrap();
            assert_eq!(open(dir.path()).2.len(), 5, "after byte {at} flipped");
        }
    }

    #[test]
    fn segments_go_whole_and_the_head_stays() {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 20);
        let (mut journal, _, _) = open(dir.path());
        let before = journal.bytes();
        let first = journal.full_segments()[0];
        fs::remove_file(journal.take_out(first).unwrap()).unwrap();
        assert_eq!((journal.take_out(first), journal.take_out(journal.head_number)), (None, None));
        assert!(journal.bytes() < before && journal.head_length() > 0);
        assert!(open(dir.path()).2.len() < 20);
    }

    #[test]
    fn what_is_handed_out_to_be_forced_reaches_back_over_new_segments() {
        let dir = tempfile::tempdir().unwrap();
        let (mut journal, _, _) = open(dir.path());
        journal.sync().unwrap();
        assert!(journal.take_unforced().unwrap().is_none());
        for n in 0..20 {
            journal.append(&[frame(n)]).unwrap();
        }
        let unforced = journal.take_unforced().unwrap().unwrap();
        assert_eq!(unforced.segments.len(), journal.segments.len(), "a segment that was left is forgotten");
        assert!(unforced.dir.is_some());
        unforced.force().unwrap();
        assert!(!journal.sync().unwrap());
    }

    #[test]
    fn foreign_files_and_empty_segments_are_stepped_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("note.txt"), "x").unwrap();
        fs::write(segment_path(dir.path(), 3), []).unwrap();
        fs::create_dir(segment_path(dir.path(), 2)).unwrap();
        let (mut journal, recovery, found) = open(dir.path());
        assert_eq!((recovery.unreadable, found.len()), (1, 0));
        assert_eq!(journal.append(&[frame(1)]).unwrap()[0].segment, 3);
    }
}
