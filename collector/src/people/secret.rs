//! Random secrets and the digests kept of them.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::PeopleError;

/// Draws 256 random bits and writes them as 64 hexadecimal digits.
///
/// # Errors
/// The operating system gives no random numbers.
pub fn draw() -> Result<String, PeopleError> {
    let mut bytes = [0_u8; 32];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| PeopleError::Refused("the operating system gives no random numbers".to_owned()))?;
    Ok(hex(&bytes))
}

/// Returns what the database keeps of a secret. A secret of 256 random bits needs no slow hash.
pub(super) fn digest(secret: &str) -> String {
    hex(&Sha256::digest(secret.as_bytes()))
}

/// Writes bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads hexadecimal digits; `None` for anything else.
pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::try_from((char::from(pair[0]).to_digit(16)? << 4) | char::from(*pair.get(1)?).to_digit(16)?).ok();
    digits.chunks(2).map(pair).collect()
}
