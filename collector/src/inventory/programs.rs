//! Probes that run programs or read files on routers: whoever can write a profile could run anything on every one of them. So
//! two people decide: one brings it in, another one agrees; until then nobody is assigned it.
//!
//! ```text
//! import --asks--> programs (digest of probe and settings) --confirm, somebody else--> in the versions in force
//! ```

use std::collections::{BTreeMap, HashSet};

use rusqlite::{OptionalExtension, Transaction, params};
use rusta_wire::UnixMs;
use serde_yaml::Value;
use sha2::{Digest, Sha256};

use super::model::Inventory;
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

/// One such probe, as written in a profile or a service's check.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Program {
    /// SHA-256 of probe and settings: what is confirmed is this and nothing else.
    pub digest: String,
    /// The probe's word.
    pub probe: String,
    /// Its settings, as YAML.
    pub settings: String,
    /// Profiles and services that use it.
    pub used_by: Vec<String>,
}

/// One that waits or is confirmed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Asked {
    /// What it is called by.
    pub digest: String,
    /// The probe's word.
    pub probe: String,
    /// Its settings, as YAML.
    pub settings: String,
    /// Who brought it in.
    pub asked_by: String,
    /// Who agreed; `None` while it waits.
    pub confirmed_by: Option<String>,
}

/// Tells whether a probe runs a program or names a file on the router.
pub fn is_program(probe: &str, settings: &Value) -> bool {
    matches!(probe, "exec" | "ussd") || names_file(settings)
}

fn names_file(settings: &Value) -> bool {
    match settings {
        Value::String(text) => text.starts_with('/') || text.starts_with("file:") || text.contains(".."),
        Value::Sequence(items) => items.iter().any(names_file),
        Value::Mapping(entries) => entries.values().any(names_file),
        Value::Tagged(tagged) => names_file(&tagged.value),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Lists those of a version, each once.
pub fn of(inventory: &Inventory) -> Vec<Program> {
    let mut found: BTreeMap<String, Program> = BTreeMap::new();
    let targets = inventory.profiles.iter().flat_map(|profile| {
        profile.targets.iter().map(move |target| (format!("{}/{}", profile.name, target.name), &target.probe, &target.settings))
    });
    let checks = inventory.services.iter().filter_map(|service| {
        let check = service.check.as_ref()?;
        Some((format!("service {}", service.id), &check.probe, &check.settings))
    });
    for (name, probe, settings) in targets.chain(checks).filter(|(_, probe, settings)| is_program(probe, settings)) {
        let digest = digest(probe, settings);
        let program = found.entry(digest.clone()).or_insert_with(|| Program {
            digest,
            probe: probe.clone(),
            settings: written(settings),
            used_by: Vec::new(),
        });
        program.used_by.push(name);
    }
    found.into_values().collect()
}

/// Returns a version as agents are assigned it: without what nobody else has confirmed.
pub fn without_unconfirmed(inventory: &Inventory, confirmed: &HashSet<String>) -> Inventory {
    let mut inventory = inventory.clone();
    let allowed = |probe: &str, settings: &Value| !is_program(probe, settings) || confirmed.contains(&digest(probe, settings));
    for profile in &mut inventory.profiles {
        profile.targets.retain(|target| allowed(&target.probe, &target.settings));
    }
    for service in &mut inventory.services {
        service.check = service.check.take().filter(|check| allowed(&check.probe, &check.settings));
    }
    inventory
}

/// Reads which are confirmed.
///
/// # Errors
/// What the database says.
pub fn confirmed(tx: &Transaction<'_>) -> Result<HashSet<String>, StoreError> {
    let mut statement = tx.prepare_cached("SELECT digest FROM programs WHERE confirmed_by IS NOT NULL")?;
    let rows = statement.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes who brought in what; what is known already keeps who brought it first.
///
/// # Errors
/// What the database says.
pub(super) fn ask(tx: &Transaction<'_>, programs: &[Program], by: &str, at: UnixMs) -> Result<(), StoreError> {
    for program in programs {
        let sql = "INSERT OR IGNORE INTO programs (digest, probe, settings, asked_by, asked_at) VALUES (?1, ?2, ?3, ?4, ?5)";
        let added = tx.execute(sql, params![program.digest, program.probe, program.settings, by, at.0])?;
        if added > 0 {
            let detail = format!("{}: {}", program.probe, program.settings.trim());
            audit::record(tx, &Deed { at, actor: by, action: "inventory.program.ask", subject: &program.digest, detail: &detail })?;
        }
    }
    Ok(())
}

/// Lists all that were ever brought in, those that wait first.
///
/// # Errors
/// What the database says.
pub fn list(store: &Store) -> Result<Vec<Asked>, StoreError> {
    store.read(|tx| {
        let sql =
            "SELECT digest, probe, settings, asked_by, confirmed_by FROM programs ORDER BY confirmed_by IS NOT NULL, asked_at, digest";
        let mut statement = tx.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let (digest, probe, settings) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(Asked { digest, probe, settings, asked_by: row.get(3)?, confirmed_by: row.get(4)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    })
}

/// Confirms one, by its digest or the beginning of it, and returns it. Nobody confirms what he brought in himself.
///
/// # Errors
/// [`StoreError::Refused`] for one there is not, that is confirmed already, or that `by` brought in.
pub fn confirm(store: &Store, digest: &str, by: &str, at: UnixMs) -> Result<Asked, StoreError> {
    let waiting = |one: &Asked| digest.len() >= 8 && one.digest.starts_with(digest);
    let found = list(store)?.into_iter().find(waiting);
    let found = found.ok_or_else(|| StoreError::Refused(format!("no probe {digest} waits; `inventory programs` lists those that do")))?;
    if found.asked_by == by {
        return Err(StoreError::Refused(format!("{by} brought it in; another administrator has to confirm it")));
    }
    store.write(|tx| {
        let sql = "UPDATE programs SET confirmed_by = ?2, confirmed_at = ?3 WHERE digest = ?1 AND confirmed_by IS NULL RETURNING probe";
        let done: Option<String> = tx.query_row(sql, params![found.digest, by, at.0], |row| row.get(0)).optional()?;
        done.ok_or_else(|| StoreError::Refused("it is confirmed already".to_owned()))?;
        let detail = format!("{}: {}", found.probe, found.settings.trim());
        audit::record(tx, &Deed { at, actor: by, action: "inventory.program.confirm", subject: &found.digest, detail: &detail })?;
        Ok(Asked { confirmed_by: Some(by.to_owned()), ..found })
    })
}

fn digest(probe: &str, settings: &Value) -> String {
    let mut hash = Sha256::new();
    hash.update(probe.as_bytes());
    hash.update([0]);
    hash.update(written(settings).as_bytes());
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A tree of text, numbers and lists always serialises.
fn written(settings: &Value) -> String {
    serde_yaml::to_string(settings).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Value {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn what_runs_or_reads_on_a_router_is_known_by_probe_and_path() {
        for (probe, settings) in [("exec", "{ command: [id] }"), ("ussd", "{ code: '*1#' }"), ("modem", "{ device: /dev/ttyUSB2 }")] {
            assert!(is_program(probe, &yaml(settings)), "{probe}");
        }
        assert!(is_program("host", &yaml("{ sensors: [{ file: ../../etc/shadow }] }")));
        for (probe, settings) in [("icmp", "{ address: 10.0.0.1 }"), ("http", "{ url: 'https://example/a/b' }"), ("modem", "{}")] {
            assert!(!is_program(probe, &yaml(settings)), "{probe}");
        }
    }

    #[test]
    fn nobody_confirms_what_he_brought_in_and_another_setting_is_another_program() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let (probe, settings) = ("exec", yaml("{ command: [/bin/true] }"));
        let one = Program { digest: digest(probe, &settings), probe: probe.into(), settings: written(&settings), used_by: vec![] };
        store.write(|tx| ask(tx, std::slice::from_ref(&one), "user:a", UnixMs(1))).unwrap();
        assert!(confirm(&store, &one.digest, "user:a", UnixMs(2)).is_err());
        assert!(confirm(&store, "", "user:b", UnixMs(2)).is_err());
        assert!(store.read(confirmed).unwrap().is_empty());
        confirm(&store, &one.digest[..12], "user:b", UnixMs(2)).unwrap();
        assert!(store.read(confirmed).unwrap().contains(&one.digest));
        assert!(confirm(&store, &one.digest, "user:c", UnixMs(3)).is_err(), "once is enough");
        assert_ne!(digest("exec", &yaml("{ command: [/bin/false] }")), one.digest);
    }
}
