//! The second factor: codes by time from a telephone (TOTP, RFC 6238: SHA-1, 30 seconds, 6 digits), and recovery codes for
//! the day it is lost.
//!
//! ```text
//! begin -> secret pending, shown once as QR and text -> first right code -> secret in force, ten recovery codes shown once
//! ```
//! A code counts once: its step is kept, and neither it nor an earlier one is taken again. The secret is shown only while it
//! is pending. Recovery codes are 64 random bits each, kept as SHA-256, and used up one by one.
//!
//! Codes are computed from the secret, so it is kept as it is: in the state database, which its owner alone reads (0600 in a
//! folder of 0700, closed at each start). A key beside it would be read by whoever reads it. Backups hold it too: encrypt them.

use std::time::Duration;

use ring::hmac;
use rusqlite::{OptionalExtension, Transaction};
use rusta_wire::UnixMs;

use super::{Means, People, PeopleError, Visitor, audit, secret};
use crate::persian::fold;

/// How long a code is shown (RFC 6238 section 5.2).
const STEP: Duration = Duration::from_secs(30);

/// Steps before and after now that are taken too: clocks of telephones differ by seconds.
const SLACK: i64 = 1;

/// Recovery codes given at once.
const RECOVERY_CODES: usize = 10;

/// Hexadecimal digits of a recovery code.
const RECOVERY_DIGITS: usize = 16;

/// Bytes of a secret: the length of the hash (RFC 4226 section 4).
const SECRET_BYTES: usize = 20;

/// What is shown once while a second factor is set up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrolment {
    /// The secret as people type it: base 32 (RFC 4648) without padding.
    pub secret: String,
}

impl People {
    /// Tells whether somebody has a second factor in force.
    ///
    /// # Errors
    /// A failing database.
    pub fn has_second_factor(&self, name: &str) -> Result<bool, PeopleError> {
        self.store.read(|db| {
            let sql = "SELECT 1 FROM users WHERE name = ?1 AND totp_secret IS NOT NULL";
            Ok(db.prepare_cached(sql)?.exists([name])?)
        })
    }

    /// Draws a secret for somebody's telephone. It is in force only once a code of it was typed.
    ///
    /// # Errors
    /// A failing database.
    pub fn begin_second_factor(&self, name: &str) -> Result<Enrolment, PeopleError> {
        let drawn = secret::unhex(&secret::draw()?).unwrap_or_default();
        let secret = base32(&drawn[..SECRET_BYTES.min(drawn.len())]);
        self.store.write(|db| {
            db.execute("UPDATE users SET totp_pending = ?2 WHERE name = ?1", (name, &secret))?;
            Ok::<_, PeopleError>(())
        })?;
        Ok(Enrolment { secret })
    }

    /// Puts the pending secret in force if the code is its own, and returns the recovery codes; `None` for a wrong code.
    ///
    /// # Errors
    /// A failing database.
    pub fn finish_second_factor(&self, visitor: &Visitor, typed: &str, now: UnixMs) -> Result<Option<Vec<String>>, PeopleError> {
        let (Some(name), Means::Session { .. }) = (&visitor.name, &visitor.means) else { return Ok(None) };
        let codes =
            (0..RECOVERY_CODES).map(|_| Ok(secret::draw()?[..RECOVERY_DIGITS].to_owned())).collect::<Result<Vec<_>, PeopleError>>()?;
        self.store.write(|db| {
            let sql = "SELECT totp_pending FROM users WHERE name = ?1";
            let pending: Option<String> = db.query_row(sql, [name], |row| row.get(0)).optional()?.flatten();
            let Some((pending, step)) = pending.and_then(|pending| step_of(&pending, typed, i64::MIN, now).map(|step| (pending, step)))
            else {
                return Ok(None);
            };
            let sql = "UPDATE users SET totp_secret = ?2, totp_step = ?3, totp_pending = NULL WHERE name = ?1";
            db.execute(sql, (name, pending, step))?;
            db.execute("DELETE FROM recovery_codes WHERE user_name = ?1", [name])?;
            for code in &codes {
                db.execute("INSERT INTO recovery_codes (user_name, hash) VALUES (?1, ?2)", (name, secret::digest(code)))?;
            }
            audit::insert(db, now, &visitor.actor(), "user.second_factor", name, "in force")?;
            Ok(Some(codes))
        })
    }

    /// Takes somebody's second factor off.
    ///
    /// # Errors
    /// An unknown name, a failing database.
    pub fn drop_second_factor(&self, name: &str, actor: &str, now: UnixMs) -> Result<(), PeopleError> {
        self.store.write(|db| {
            let sql = "UPDATE users SET totp_secret = NULL, totp_pending = NULL, totp_step = 0 WHERE name = ?1";
            if db.execute(sql, [name])? == 0 {
                return Err(PeopleError::Refused(format!("there is no user `{name}`")));
            }
            db.execute("DELETE FROM recovery_codes WHERE user_name = ?1", [name])?;
            audit::insert(db, now, actor, "user.second_factor", name, "taken off")
        })
    }
}

/// Tells whether what was typed passes somebody's second factor, and uses it up. Who has none passes.
pub(super) fn passes(db: &Transaction<'_>, name: &str, typed: &str, now: UnixMs) -> Result<bool, PeopleError> {
    let sql = "SELECT totp_secret, totp_step FROM users WHERE name = ?1";
    let found = db.query_row(sql, [name], |row| Ok((row.get::<_, Option<String>>(0)?, row.get::<_, i64>(1)?))).optional()?;
    let Some((Some(secret), last)) = found else { return Ok(true) };
    if let Some(step) = step_of(&secret, typed, last, now) {
        db.execute("UPDATE users SET totp_step = ?2 WHERE name = ?1", (name, step))?;
        return Ok(true);
    }
    let used = db.execute("DELETE FROM recovery_codes WHERE user_name = ?1 AND hash = ?2", (name, secret::digest(&fold(typed))))? > 0;
    if used {
        let left: i64 = db.query_row("SELECT count(*) FROM recovery_codes WHERE user_name = ?1", [name], |row| row.get(0))?;
        audit::insert(db, now, &format!("user:{name}"), "user.recovery_code", name, &format!("{left} left"))?;
    }
    Ok(used)
}

/// Returns the step whose code was typed, if it is near now and after the last one taken.
fn step_of(secret: &str, typed: &str, last: i64, now: UnixMs) -> Option<i64> {
    let (key, typed) = (unbase32(secret)?, fold(typed));
    let current = now.0.div_euclid(i64::try_from(STEP.as_millis()).ok()?);
    (current - SLACK..=current + SLACK).filter(|step| *step > last).find(|step| same(&code(&key, *step), &typed))
}

/// Compares in the same time wherever they differ.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
}

/// Computes the code of a step (RFC 4226 section 5.3).
fn code(key: &[u8], step: i64) -> String {
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key), &step.to_be_bytes());
    let mac = mac.as_ref();
    let at = usize::from(mac[19] & 0x0f);
    let number = u32::from_be_bytes([mac[at] & 0x7f, mac[at + 1], mac[at + 2], mac[at + 3]]);
    format!("{:06}", number % 1_000_000)
}

/// Computes the code a telephone shows at a moment.
#[cfg(test)]
pub(super) fn code_at(secret: &str, now: UnixMs) -> String {
    code(&unbase32(secret).unwrap_or_default(), now.0.div_euclid(30_000))
}

const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| (byte >> (7 - at % 8)) & 1);
    let digits = (bytes.len() * 8).div_ceil(5);
    (0..digits)
        .map(|digit| (0..5).fold(0, |value, at| (value << 1) | bit(digit * 5 + at)))
        .map(|value| char::from(ALPHABET[usize::from(value)]))
        .collect()
}

fn unbase32(text: &str) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; text.len() * 5 / 8];
    for (digit, letter) in text.bytes().enumerate() {
        let value = ALPHABET.iter().position(|known| *known == letter)?;
        for at in 0..5 {
            let bit = digit * 5 + at;
            if let Some(byte) = bytes.get_mut(bit / 8) {
                *byte |= u8::try_from((value >> (4 - at)) & 1).ok()? << (7 - bit % 8);
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_standard() {
        // RFC 6238 appendix B, SHA-1, the last six of eight digits.
        let key = b"12345678901234567890";
        let vectors = [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ];
        for (seconds, expected) in vectors {
            assert_eq!(code(key, seconds / 30), expected);
            let at = UnixMs(seconds * 1_000);
            assert_eq!(step_of(&base32(key), expected, 0, at), Some(seconds / 30));
            assert_eq!(step_of(&base32(key), expected, seconds / 30, at), None, "a code counts once");
            assert_eq!(step_of(&base32(key), expected, 0, at + Duration::from_secs(90)), None, "and not for long");
        }
        // RFC 4648 section 10, without padding.
        for (plain, text) in
            [("", ""), ("f", "MY"), ("fo", "MZXQ"), ("foo", "MZXW6"), ("foob", "MZXW6YQ"), ("fooba", "MZXW6YTB"), ("foobar", "MZXW6YTBOI")]
        {
            assert_eq!(base32(plain.as_bytes()), text);
            assert_eq!(unbase32(text).as_deref(), Some(plain.as_bytes()));
        }
        assert_eq!(unbase32("M1"), None);
    }
}
