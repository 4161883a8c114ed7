//! Starts and stops in the audit log, and what changed in the configuration between them.

use rusqlite::OptionalExtension;
use rusta_wire::UnixMs;
use sha2::{Digest, Sha256};

use super::{Deed, record};
use crate::store::{Store, StoreError};

/// Who starts and stops.
const COLLECTOR: &str = "collector";

/// Tells that the collector starts, with which configuration, and what of it is different from the last start.
/// `effective` is the whole configuration, a setting a line.
///
/// # Errors
/// What SQLite says.
pub fn started(store: &Store, version: &str, effective: &str, now: UnixMs) -> Result<(), StoreError> {
    let digest: String = Sha256::digest(effective.as_bytes()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let text: String = effective.lines().map(without_secrets).collect::<Vec<_>>().join("\n");
    store.write(|tx| {
        let last: Option<(String, String)> =
            tx.query_row("SELECT digest, text FROM last_configuration", [], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        let detail = format!("configuration {digest}");
        record(tx, &Deed { at: now, actor: COLLECTOR, action: "start", subject: version, detail: &detail })?;
        if let Some((before, before_text)) = last.filter(|(before, _)| *before != digest) {
            let subject = format!("{digest} after {before}");
            let detail = differences(&before_text, &text);
            record(tx, &Deed { at: now, actor: COLLECTOR, action: "configuration", subject: &subject, detail: &detail })?;
        }
        tx.execute("INSERT OR REPLACE INTO last_configuration (one, digest, text) VALUES (1, ?1, ?2)", (&digest, &text))?;
        Ok(())
    })
}

/// Tells that the collector ends as it was told to.
///
/// # Errors
/// What SQLite says.
pub fn stopped(store: &Store, now: UnixMs) -> Result<(), StoreError> {
    store.write(|tx| record(tx, &Deed { at: now, actor: COLLECTOR, action: "stop", subject: "", detail: "" }))
}

/// Lists the lines only one of two texts has.
fn differences(before: &str, after: &str) -> String {
    let only = |these: &str, those: &str, sign: char| {
        let gone = these.lines().filter(|line| !those.lines().any(|other| other == *line));
        gone.map(|line| format!("{sign}{}", line.trim())).collect::<Vec<_>>()
    };
    [only(before, after, '-'), only(after, before, '+')].concat().join(" ")
}

/// Takes out of a line what an address may carry: a name and password before the host, and the query.
fn without_secrets(line: &str) -> String {
    let Some((scheme, rest)) = line.split_once("://") else { return line.to_owned() };
    let address = rest.split(['?', '"']).next().unwrap_or_default();
    let host = address.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_tells_what_changed_in_the_configuration_and_no_secret() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let first = "listen: 127.0.0.1:8080\nurl: \"http://u:hush@db/write?p=hush\"";
        started(&store, "1.0", first, UnixMs(1)).unwrap();
        started(&store, "1.0", first, UnixMs(2)).unwrap();
        started(&store, "1.1", &first.replace("8080", "8090"), UnixMs(3)).unwrap();
        stopped(&store, UnixMs(4)).unwrap();
        let rows: Vec<(String, String)> = store
            .read(|tx| {
                let mut query = tx.prepare("SELECT action, detail FROM audit ORDER BY id")?;
                let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
                Ok::<_, StoreError>(rows)
            })
            .unwrap();
        let actions: Vec<_> = rows.iter().map(|(action, _)| action.as_str()).collect();
        assert_eq!(actions, ["start", "start", "start", "configuration", "stop"]);
        assert_eq!(rows[3].1, "-listen: 127.0.0.1:8080 +listen: 127.0.0.1:8090");
        assert!(!std::fs::read(store.path()).unwrap().windows(4).any(|four| four == b"hush"), "a secret is in the database");
    }
}
