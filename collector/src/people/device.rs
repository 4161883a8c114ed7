//! Devices an account was signed in from: a signed cookie, so that strangers who guess at the account never keep its owner
//! out. It opens nothing by itself; whoever holds it still needs the password, and has a count of attempts of their own.
//!
//! ```text
//! ID "." ISSUED "." hex(HMAC-SHA256(key, "device" 0 NAME 0 ID 0 ISSUED))      ISSUED in Unix milliseconds
//! ```

use std::time::Duration;

use ring::hmac;
use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;

use super::{PeopleError, secret};
use crate::store::Store;

/// How long a device is remembered after it was last signed in from.
pub const REMEMBERED: Duration = Duration::from_secs(365 * 86_400);

/// Signs a device for an account.
pub(super) fn issue(store: &Store, name: &str, now: UnixMs) -> Result<String, PeopleError> {
    let id = secret::draw()?;
    let mac = hmac::sign(&key(store)?, &signed(name, &id, now));
    Ok(format!("{id}.{}.{}", now.0, secret::hex(mac.as_ref())))
}

/// Returns the number of a device if it was signed for that account.
pub(super) fn known(store: &Store, cookie: &str, name: &str, now: UnixMs) -> Result<Option<String>, PeopleError> {
    let mut parts = cookie.split('.');
    let (Some(id), Some(issued), Some(mac), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return Ok(None) };
    let (Ok(issued), Some(mac)) = (issued.parse().map(UnixMs), secret::unhex(mac)) else { return Ok(None) };
    let right = hmac::verify(&key(store)?, &signed(name, id, issued), &mac).is_ok();
    Ok((right && issued <= now && now.since(issued) < REMEMBERED).then(|| id.to_owned()))
}

fn signed(name: &str, id: &str, issued: UnixMs) -> Vec<u8> {
    ["device", name, id, &issued.0.to_string()].join("\0").into_bytes()
}

/// Reads the key that signs, drawing it the first time.
fn key(store: &Store) -> Result<hmac::Key, PeopleError> {
    const FIND: &str = "SELECT key FROM signing_keys WHERE purpose = 'device'";
    let kept = store.read(|db| Ok::<_, PeopleError>(db.query_row(FIND, [], |row| row.get::<_, String>(0)).optional()?))?;
    let key = match kept {
        Some(key) => key,
        None => {
            let drawn = secret::draw()?;
            store.write(|db| {
                db.execute("INSERT OR IGNORE INTO signing_keys (purpose, key) VALUES ('device', ?1)", [&drawn])?;
                Ok::<_, PeopleError>(db.query_row(FIND, [], |row| row.get(0))?)
            })?
        }
    };
    Ok(hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_known_for_the_account_it_was_signed_for_and_for_a_year() {
        let dir = tempfile::tempdir().unwrap();
        let (store, now) = (Store::open(dir.path()).unwrap(), UnixMs(1_795_206_600_000));
        let cookie = issue(&store, "zahra", now).unwrap();
        assert!(known(&store, &cookie, "zahra", now).unwrap().is_some());
        assert_eq!(known(&store, &cookie, "reza", now).unwrap(), None);
        assert_eq!(known(&store, &cookie, "zahra", now + REMEMBERED).unwrap(), None);
        let (id, rest) = cookie.split_once('.').unwrap();
        for forged in ["", ".", "a.b.c", "..", &format!("{id}0.{rest}"), &cookie[..cookie.len() - 2], &format!("{cookie}.x")] {
            assert_eq!(known(&store, forged, "zahra", now).unwrap(), None, "{forged}");
        }
    }
}
