//! A frame: the same bytes in the spool, on the wire and in the collector's log.
//!
//! ```text
//!  0        2         3      4            8            12
//! +--------+---------+------+------------+------------+-----------------+
//! | "RU"   | version | kind | length LE  | CRC-32 LE  | payload         |
//! +--------+---------+------+------------+------------+-----------------+
//!                                         over bytes 2..8 and the payload
//! ```
//! The CRC (IEEE) covers version, kind and length too, so a flipped bit anywhere but in the magic is seen by it, and one
//! in the magic by the magic.

use std::borrow::Cow;

use crate::crc::crc32;
use crate::limits::FRAME_PAYLOAD_BYTES;

/// Length of the frame header in bytes.
pub const HEADER_BYTES: usize = 12;

const MAGIC: [u8; 2] = *b"RU";
const VERSION: u8 = 1;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameKind {
    /// An encoded [`crate::SeriesTable`].
    Table,
    /// An encoded [`crate::Batch`].
    Batch,
    /// A note of the spool to itself: which batches were acknowledged. It is never sent.
    Mark,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            FrameKind::Table => 1,
            FrameKind::Batch => 2,
            FrameKind::Mark => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(FrameKind::Table),
            2 => Some(FrameKind::Batch),
            3 => Some(FrameKind::Mark),
            _ => None,
        }
    }
}

/// A payload with its kind, borrowed from the bytes it was read from or owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What the payload is.
    pub kind: FrameKind,
    /// The payload, at most [`FRAME_PAYLOAD_BYTES`].
    pub payload: Cow<'a, [u8]>,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
pub enum FrameError {
    /// The bytes end inside the frame; what is there could still become one.
    #[error("frame cut after {have} of {need} bytes")]
    Cut {
        /// Bytes present.
        have: usize,
        /// Bytes needed, as far as is known.
        need: usize,
    },
    /// The first two bytes are not the magic.
    #[error("no frame starts here")]
    Magic,
    /// A version or kind this program does not know.
    #[error("frame version {version} kind {kind} is unknown")]
    Unknown {
        /// The version byte.
        version: u8,
        /// The kind byte.
        kind: u8,
    },
    /// The length is over the limit.
    #[error("frame of {length} bytes is over the limit of {FRAME_PAYLOAD_BYTES}")]
    TooLong {
        /// The payload length.
        length: usize,
    },
    /// The checksum does not match.
    #[error("frame checksum does not match")]
    Checksum,
}

impl<'a> Frame<'a> {
    /// Wraps a payload.
    ///
    /// # Errors
    /// [`FrameError::TooLong`] for one over [`FRAME_PAYLOAD_BYTES`].
    pub fn new(kind: FrameKind, payload: impl Into<Cow<'a, [u8]>>) -> Result<Self, FrameError> {
        let payload = payload.into();
        if payload.len() > FRAME_PAYLOAD_BYTES {
            return Err(FrameError::TooLong { length: payload.len() });
        }
        Ok(Frame { kind, payload })
    }

    /// Returns the frame's length in bytes, header included.
    pub fn encoded_len(&self) -> usize {
        HEADER_BYTES + self.payload.len()
    }

    /// Appends the frame's bytes to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        // `new` and `read` both bound the payload, so the length fits.
        let length = u32::try_from(self.payload.len()).unwrap_or(u32::MAX).to_le_bytes();
        let head = [VERSION, self.kind.code(), length[0], length[1], length[2], length[3]];
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&head);
        out.extend_from_slice(&checksum(&head, &self.payload).to_le_bytes());
        out.extend_from_slice(&self.payload);
    }

    /// Returns the frame's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        self.write(&mut out);
        out
    }

    /// Reads the frame at the start of `bytes`, and says how many bytes it took.
    ///
    /// # Errors
    /// See [`FrameError`]; only [`FrameError::Cut`] can be mended by more bytes.
    pub fn read(bytes: &'a [u8]) -> Result<(Frame<'a>, usize), FrameError> {
        let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
            let magic_so_far = &MAGIC[..bytes.len().min(MAGIC.len())];
            if !bytes.starts_with(magic_so_far) {
                return Err(FrameError::Magic);
            }
            return Err(FrameError::Cut { have: bytes.len(), need: HEADER_BYTES });
        };
        let [m0, m1, version, kind, l0, l1, l2, l3, c0, c1, c2, c3] = *header;
        if [m0, m1] != MAGIC {
            return Err(FrameError::Magic);
        }
        let length = usize::try_from(u32::from_le_bytes([l0, l1, l2, l3])).unwrap_or(usize::MAX);
        if length > FRAME_PAYLOAD_BYTES {
            return Err(FrameError::TooLong { length });
        }
        let Some(payload) = rest.get(..length) else {
            return Err(FrameError::Cut { have: bytes.len(), need: HEADER_BYTES + length });
        };
        if checksum(&[version, kind, l0, l1, l2, l3], payload) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(FrameError::Checksum);
        }
        match FrameKind::from_code(kind) {
            Some(kind) if version == VERSION => Ok((Frame { kind, payload: Cow::Borrowed(payload) }, HEADER_BYTES + length)),
            _ => Err(FrameError::Unknown { version, kind }),
        }
    }

    /// Tells whether bytes are the whole beginning of a frame that stops too early, as a write does that the power cut.
    pub fn is_cut(bytes: &[u8]) -> bool {
        // A damaged length looks like one that is not reached: the checksum knows the length that was written.
        matches!(Frame::read(bytes), Err(FrameError::Cut { .. }))
            && kind_with_length(bytes, bytes.len().saturating_sub(HEADER_BYTES)).is_none()
    }

    /// Says what a frame that cannot be read was: by its checksum, else by what its header says. `None` for bytes that are no
    /// header, or that stop too early.
    pub fn kind_of_damaged(bytes: &[u8]) -> Option<FrameKind> {
        let header = bytes.first_chunk::<HEADER_BYTES>()?;
        let length = usize::try_from(u32::from_le_bytes([header[4], header[5], header[6], header[7]])).ok()?;
        let by_checksum = kind_with_length(bytes, length).or_else(|| kind_with_length(bytes, bytes.len() - HEADER_BYTES));
        let is_whole = length <= FRAME_PAYLOAD_BYTES && bytes.len() >= HEADER_BYTES + length;
        by_checksum.or_else(|| FrameKind::from_code(header[3]).filter(|_| is_whole && header[2] == VERSION))
    }

    /// Reads frames one after another until the bytes end; the first fault ends the iteration as its last item.
    pub fn read_all(bytes: &'a [u8]) -> impl Iterator<Item = Result<Frame<'a>, FrameError>> {
        let mut rest = bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            match Frame::read(rest) {
                Ok((frame, length)) => {
                    rest = &rest[length..];
                    Some(Ok(frame))
                }
                Err(error) => {
                    rest = &[];
                    Some(Err(error))
                }
            }
        })
    }
}

/// Finds the kind with which the checksum of a payload of this length holds.
fn kind_with_length(bytes: &[u8], length: usize) -> Option<FrameKind> {
    let (header, rest) = bytes.split_first_chunk::<HEADER_BYTES>()?;
    let payload = rest.get(..length)?;
    let told = u32::from_le_bytes([header[8], header[9], header[10], header[11]]);
    let [l0, l1, l2, l3] = u32::try_from(length).ok()?.to_le_bytes();
    let kinds = [FrameKind::Table, FrameKind::Batch, FrameKind::Mark];
    kinds.into_iter().find(|kind| checksum(&[VERSION, kind.code(), l0, l1, l2, l3], payload) == told)
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    crc32(&[head, payload])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_cut_is_seen_as_a_cut_and_every_flip_as_damage() {
        let bytes = Frame::new(FrameKind::Batch, &b"payload"[..]).unwrap().to_bytes();
        for length in 0..bytes.len() {
            assert!(matches!(Frame::read(&bytes[..length]), Err(FrameError::Cut { .. })), "cut at {length}");
        }
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Frame::read(&damaged).is_err(), "bit {bit} flipped unseen");
        }
    }

    #[test]
    fn too_long_is_refused_both_ways() {
        assert!(Frame::new(FrameKind::Table, vec![0; FRAME_PAYLOAD_BYTES + 1]).is_err());
        let mut bytes = Frame::new(FrameKind::Table, vec![0; 4]).unwrap().to_bytes();
        bytes[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(matches!(Frame::read(&bytes), Err(FrameError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_give_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            for item in Frame::read_all(&bytes) { let _ = item; }
        }

        #[test]
        fn frames_come_back(payloads in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..6)) {
            let mut bytes = Vec::new();
            for payload in &payloads { Frame::new(FrameKind::Batch, payload).unwrap().write(&mut bytes); }
            let back: Vec<_> = Frame::read_all(&bytes).map(|f| f.unwrap().payload.into_owned()).collect();
            prop_assert_eq!(back, payloads);
        }
    }
}
