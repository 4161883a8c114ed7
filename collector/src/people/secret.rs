//! Random secrets and the digests kept of them.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::PeopleError;

/// Draws 256 random bits and writes them as hexadecimal digits.
pub(super) fn draw() -> Result<String, PeopleError> {
    let mut bytes = [0_u8; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| PeopleError::Refused("the operating system gives no random numbers".to_owned()))?;
    Ok(hex(&bytes))
}

/// Returns what the database keeps of a secret. A secret of 256 random bits needs no slow hash.
pub(super) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
