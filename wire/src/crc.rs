//! CRC-32 (IEEE 802.3), as frames and answers carry it.
//!
//! Two ways to the same sum: a collector reads gigabytes of frames and takes `crc32fast`, an agent a few hundred bytes a minute, and a
//! router's flash has no 20 KB for that.

/// Sums parts as if they stood behind each other.
#[cfg(feature = "fast-crc")]
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// Sums parts as if they stood behind each other.
#[cfg(not(feature = "fast-crc"))]
pub(crate) fn crc32(parts: &[&[u8]]) -> u32 {
    bytewise(parts)
}

/// The sum of every byte, by the reflected polynomial.
#[cfg(any(test, not(feature = "fast-crc")))]
const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut sum, mut bit) = (byte as u32, 0);
        while bit < 8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
            bit += 1;
        }
        table[byte] = sum;
        byte += 1;
    }
    table
};

#[cfg(any(test, not(feature = "fast-crc")))]
fn bytewise(parts: &[&[u8]]) -> u32 {
    let step = |sum: u32, byte: &u8| TABLE[usize::from(sum as u8 ^ byte)] ^ (sum >> 8);
    !parts.iter().copied().flatten().fold(!0, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_give_the_sum_the_catalogues_of_crcs_tell() {
        for parts in [&[&b"123456789"[..]][..], &[b"1234", b"", b"56789"]] {
            assert_eq!((crc32(parts), bytewise(parts)), (0xcbf4_3926, 0xcbf4_3926));
        }
        let long: Vec<u8> = (0..10_000u32).map(|n| ((n * n) >> 3) as u8).collect();
        assert_eq!(crc32(&[&long]), bytewise(&[&long[..5_000], &long[5_000..]]));
        assert_eq!(crc32(&[]), 0);
    }
}
