//! Passwords: argon2id with the parameters OWASP names for interactive logins.

use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::{PeopleError, secret};

/// The hash of a password nobody has; checked for unknown names so that they take as long as known ones.
pub(super) const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm9ib2R5$3v8a1yVnqz0xA2D0Jd6b0WQm1mJm0Jr0o3f1m1mJm0I";

/// Shorter ones are found by guessing within hours of a stolen database.
const SHORTEST: usize = 10;

/// Longer ones only make the server work.
const LONGEST: usize = 256;

/// Hashes a password.
pub(super) fn hash(password: &str) -> Result<String, PeopleError> {
    let length = password.chars().count();
    if !(SHORTEST..=LONGEST).contains(&length) {
        return Err(PeopleError::Refused(format!("a password has {SHORTEST} to {LONGEST} characters; this one has {length}")));
    }
    let random = secret::draw()?;
    let salt = SaltString::encode_b64(&random.as_bytes()[..16]).map_err(|error| PeopleError::Password(error.to_string()))?;
    let hash = hasher()?.hash_password(password.as_bytes(), &salt).map_err(|error| PeopleError::Password(error.to_string()))?;
    Ok(hash.to_string())
}

/// Tells whether a password is the one behind a hash.
pub(super) fn matches(password: &str, hash: &str) -> bool {
    let (Ok(parsed), Ok(hasher)) = (PasswordHash::new(hash), hasher()) else { return false };
    password.len() <= LONGEST * 4 && hasher.verify_password(password.as_bytes(), &parsed).is_ok()
}

/// 19 MiB, two passes, one lane.
fn hasher() -> Result<Argon2<'static>, PeopleError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|error| PeopleError::Password(error.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_matches_only_its_own_hash() {
        let stored = hash("correct horse battery").unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(matches("correct horse battery", &stored));
        assert!(!matches("correct horse batteri", &stored));
        assert!(!matches("anything at all", NOBODY));
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(hash("short").is_err());
    }
}
