//! NTP client packets (RFC 5905), with nothing in them about the client (RFC 8915 section 5.7's advice on plain NTP).
//!
//! The transmit timestamp we send is a random number, not our clock: the server returns it, which proves that the answer
//! is to this query, and tells nobody what time we think it is.

use super::{Malformed, reader::Reader};

/// Bytes of a packet without extensions.
pub const BYTES: usize = 48;

/// Seconds from 1900, where NTP starts, to 1970.
const EPOCH_S: i64 = 2_208_988_800;

/// What a server answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The server says that its own clock is not synchronised.
    pub is_unsynchronised: bool,
    /// Distance from a reference clock; 0 is a message to go away ("kiss of death").
    pub stratum: u8,
    /// When the query reached the server, in microseconds since 1970.
    pub received_us: i64,
    /// When the answer left it.
    pub sent_us: i64,
}

/// Writes a query that carries `nonce`.
pub fn query(nonce: u64) -> [u8; BYTES] {
    let mut packet = [0; BYTES];
    // Version 4, mode 3: client.
    packet[0] = 0x23;
    packet[40..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

/// Reads the answer to the query with `nonce`; `Ok(None)` is somebody else's.
///
/// # Errors
/// An answer that is cut, or not a server's.
pub fn answer(packet: &[u8], nonce: u64) -> Result<Option<Answer>, Malformed> {
    let mut reader = Reader::new(packet);
    let (head, stratum) = (reader.u8()?, reader.u8()?);
    reader.seek(24)?;
    let (origin, received, sent) = (reader.u64()?, reader.u64()?, reader.u64()?);
    if origin != nonce {
        return Ok(None);
    }
    const SERVER: u8 = 4;
    if head & 7 != SERVER {
        return Err(Malformed);
    }
    Ok(Some(Answer { is_unsynchronised: head >> 6 == 3, stratum, received_us: unix_us(received), sent_us: unix_us(sent) }))
}

/// Turns an NTP timestamp into Unix time. The 32 bits of seconds wrap in 2036; what lies before 1968 is of the next era.
fn unix_us(timestamp: u64) -> i64 {
    let seconds = (timestamp >> 32) as i64;
    let era_s = if seconds < 1 << 31 { 1 << 32 } else { 0 };
    let fraction_us = ((timestamp & 0xffff_ffff) * 1_000_000) >> 32;
    (seconds + era_s - EPOCH_S) * 1_000_000 + fraction_us as i64
}

/// Derives the server's clock minus ours (RFC 5905 section 8): both ways are taken as equally long.
pub fn offset_us(answer: &Answer, sent_us: i64, received_us: i64) -> i64 {
    ((answer.received_us - sent_us) + (answer.sent_us - received_us)) / 2
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(nonce: u64) -> [u8; BYTES] {
        let mut packet = query(0);
        packet[0] = 0x24;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&nonce.to_be_bytes());
        // 2026-11-21 12:00:00.5 UTC.
        packet[32..40].copy_from_slice(&(((1_795_262_400_u64 + EPOCH_S as u64) << 32) | 0x8000_0000).to_be_bytes());
        packet[40..48].copy_from_slice(&(((1_795_262_401_u64 + EPOCH_S as u64) << 32) | 0x4000_0000).to_be_bytes());
        packet
    }

    #[test]
    fn times_and_offset_are_those_of_the_standard() {
        let read = answer(&answered(7), 7).unwrap().unwrap();
        assert_eq!((read.stratum, read.is_unsynchronised), (2, false));
        assert_eq!((read.received_us, read.sent_us), (1_795_262_400_500_000, 1_795_262_401_250_000));
        assert_eq!(offset_us(&read, 1_795_262_399_000_000, 1_795_262_400_750_000), 1_000_000);
    }

    #[test]
    fn the_next_era_is_after_2036() {
        assert_eq!(unix_us(0), ((1_i64 << 32) - EPOCH_S) * 1_000_000);
        assert!(unix_us(0x8000_0000_0000_0000) < unix_us(0));
    }

    #[test]
    fn other_answers_and_broken_ones() {
        assert_eq!(answer(&answered(7), 8), Ok(None));
        assert_eq!(answer(&answered(7)[..47], 7), Err(Malformed));
        let mut client = answered(7);
        client[0] = 0x23;
        assert_eq!(answer(&client, 7), Err(Malformed));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let nonce = bytes.get(24..32).and_then(|b| b.try_into().ok()).map_or(0, u64::from_be_bytes);
            if let Ok(Some(read)) = answer(&bytes, nonce) {
                let _ = offset_us(&read, 0, i64::MAX / 4);
            }
        }
    }
}
