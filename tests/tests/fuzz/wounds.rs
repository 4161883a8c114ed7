//! Random wounds.

use rusta_tests::random::Random;

/// Bytes at which parsers turn.
const TELLING: [u8; 16] = [0, 1, 0x7f, 0x80, 0xff, 0xfe, b'\n', b'"', b':', b'{', b'[', b',', b'-', b'0', b'&', b'*'];

/// Returns one of the seeds with one to eight wounds.
pub fn wounded(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(8) {
        wound(random, &mut bytes, seeds);
    }
    bytes
}

fn wound(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(bytes.len() + 1);
    let length = random.below(16).min(bytes.len() - at);
    match random.below(7) {
        0 => bytes.truncate(at),
        1 => drop(bytes.drain(at..at + length)),
        2 => {
            let piece = bytes[at..at + length].to_vec();
            bytes.splice(at..at, piece);
        }
        3 => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
        4 => bytes.insert(at, TELLING[random.below(TELLING.len())]),
        5 if at < bytes.len() => bytes[at] = TELLING[random.below(TELLING.len())],
        _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
        _ => {}
    }
}
