//! Versions of definitions: a decree changes a term from a day on; earlier versions stay computable beside it.
//!
//! Version 1 is the catalogue's first text. Where the catalogue has a second one, that is the version after the last that a
//! decree made of the first: version 2 where there was no decree. It holds for every figure that is computed, whatever its
//! window, and each decree of before has a second text of its own.
//!
//! ```text
//! first text:   1 --decree--> 2 --decree--> 3          as they were numbered when the second text came
//! second text:  4             5             6          from the same days on, and then: --decree--> 7
//! ```
//!
//! Decrees are rows of the state database that are never changed or removed, so a figure with its version can be computed
//! again at any time, over any window. Seconds come from history, which is built by the rules of the second text: of a
//! version 1 that differs in them only, the figures are those of the reports that were published with it.

use rusqlite::{Connection, Transaction, params};
use rusta_wire::UnixMs;

use super::terms::{Rules, Term, Terms};
use super::{CATALOGUE, Kpi, by_id};
use crate::store::audit::{self, Deed};
use crate::store::{Store, StoreError};

/// A version of a definition.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The KPI.
    pub kpi: &'static Kpi,
    /// Counts up from 1.
    pub version: u32,
    /// From when on it is the definition; `None` for the first, which always was.
    pub effective_from: Option<UnixMs>,
    /// What ordered it.
    pub decree: String,
    /// What it stands on.
    pub terms: Terms,
}

impl Definition {
    /// Returns the KPI as this version defines it, with its own text.
    pub fn text(&self) -> Kpi {
        self.kpi.under(self.version, self.terms)
    }
}

/// Every version there is.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// What decrees changed, by KPI and version.
    later: Vec<Definition>,
}

/// Why a version could not be added.
#[derive(Debug, thiserror::Error)]
pub enum DefineError {
    /// The request is wrong; the text tells how to mend it.
    #[error("{0}")]
    Wrong(String),
    /// The state database refused.
    #[error("state")]
    Store(#[from] StoreError),
}

/// What a decree orders.
#[derive(Debug, Clone)]
pub struct Decree<'a> {
    /// The KPI.
    pub kpi: &'static Kpi,
    /// Terms that change, as typed.
    pub set: &'a [(Term, String)],
    /// From when on it holds.
    pub effective_from: UnixMs,
    /// Its number or title.
    pub decree: &'a str,
    /// Who enters it, and when.
    pub by: (&'a str, UnixMs),
}

/// A decree's title is a line on a page.
const MOST_DECREE: usize = 200;

impl Definitions {
    /// Reads every version from the state database; one of a KPI or term this program does not know is left out.
    ///
    /// # Errors
    /// What the database says.
    pub fn load(db: &Connection) -> Result<Self, StoreError> {
        let sql = "SELECT kpi, version, effective_from, decree, terms FROM kpi_definitions ORDER BY kpi, version";
        let mut statement = db.prepare_cached(sql)?;
        let rows = statement.query_map([], |row| {
            let (kpi, version, from): (String, u32, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((kpi, version, UnixMs(from), row.get::<_, String>(3)?, row.get::<_, String>(4)?))
        })?;
        let mut later = Vec::new();
        for row in rows {
            let (id, version, from, decree, terms) = row?;
            let known = by_id(&id).and_then(|kpi| Some((kpi, read_terms(&terms)?)));
            match known {
                Some((kpi, terms)) => later.push(Definition { kpi, version, effective_from: Some(from), decree, terms }),
                None => tracing::warn!(kpi = id, version, terms, "a definition of the state database is not known here"),
            }
        }
        Ok(Definitions { later })
    }

    /// Makes versions for a test or a question; they must be of one catalogue.
    pub fn new(later: Vec<Definition>) -> Self {
        Definitions { later }
    }

    /// Counts the decrees.
    pub fn count(&self) -> usize {
        self.later.len()
    }

    /// Lists every version of a KPI, the first one first.
    pub fn of(&self, kpi: &'static Kpi) -> Vec<Definition> {
        let first = Definition { kpi, version: kpi.version, effective_from: None, decree: String::new(), terms: kpi.terms };
        let (old, new): (Vec<Definition>, Vec<Definition>) =
            self.later.iter().filter(|later| later.kpi.id == kpi.id).cloned().partition(|later| later.terms.rules == Rules::First);
        let mut all: Vec<Definition> = std::iter::once(first).chain(old).collect();
        if kpi.second.is_some() {
            let number = (all.iter().map(|one| one.version).max().unwrap_or(0) + 1)..;
            let second = |(one, version): (&Definition, u32)| Definition {
                version,
                terms: Terms { rules: Rules::Second, ..one.terms },
                ..one.clone()
            };
            let second: Vec<Definition> = all.iter().zip(number).map(second).collect();
            all.extend(second);
        }
        all.extend(new);
        all
    }

    /// Checks that a version exists.
    ///
    /// # Errors
    /// The versions there are.
    pub fn check(&self, kpi: &'static Kpi, version: u32) -> Result<(), String> {
        let known: Vec<String> = self.of(kpi).iter().map(|one| one.version.to_string()).collect();
        if known.contains(&version.to_string()) {
            return Ok(());
        }
        Err(format!("{} has no version {version}; it has {}", kpi.id, known.join(", ")))
    }

    /// Lists every version of every KPI.
    pub fn all(&self) -> Vec<Definition> {
        CATALOGUE.iter().flat_map(|kpi| self.of(kpi)).collect()
    }

    /// Returns a KPI as one version defines it: the one that is wanted, else the one in force at a time. Of two that began
    /// at one time the later holds; a version that does not exist gives `None`.
    pub fn version(&self, kpi: &Kpi, at: UnixMs, wanted: Option<u32>) -> Option<Kpi> {
        let Some(known) = by_id(kpi.id) else { return Some(*kpi) };
        let all = self.of(known).into_iter();
        let found = match wanted {
            Some(version) => all.into_iter().find(|one| one.version == version),
            None => all.filter(|one| one.effective_from.is_none_or(|from| from <= at)).max_by_key(|one| (one.effective_from, one.version)),
        };
        found.map(|one| one.text())
    }
}

/// Adds a version.
///
/// # Errors
/// A KPI that does not stand on a term, a value out of range, or nothing changed.
pub fn define(store: &Store, decree: &Decree<'_>) -> Result<u32, DefineError> {
    let (kpi, wrong) = (decree.kpi, DefineError::Wrong);
    if decree.decree.is_empty() || decree.decree.len() > MOST_DECREE {
        return Err(wrong(format!("name the decree, in at most {MOST_DECREE} bytes")));
    }
    store.write(|tx| {
        let before = Definitions::load(tx)?.of(kpi);
        let newest = before.last().map_or((kpi.version, kpi.terms), |last| (last.version, last.terms));
        let mut terms = newest.1;
        for (term, text) in decree.set {
            if !kpi.stands_on.contains(term) {
                let known: Vec<&str> = kpi.stands_on.iter().map(|term| term.as_str()).collect();
                let on = if known.is_empty() { "no term a decree can change".to_owned() } else { known.join(", ") };
                return Err(wrong(format!("{} does not stand on {term}; it stands on {on}", kpi.id)));
            }
            terms.set(*term, text).map_err(wrong)?;
        }
        if terms == newest.1 {
            return Err(wrong(format!("nothing differs from version {} of {}", newest.0, kpi.id)));
        }
        let version = newest.0 + 1;
        insert(tx, decree, version, &terms)?;
        Ok(version)
    })
}

fn insert(tx: &Transaction<'_>, decree: &Decree<'_>, version: u32, terms: &Terms) -> Result<(), StoreError> {
    let terms_of = decree.kpi.stands_on.iter().map(|term| format!("{term}={}", terms.get(*term)));
    let rules = (terms.rules != Rules::First).then(|| format!("{RULES}={}", terms.rules));
    let written: Vec<String> = terms_of.chain(rules).collect();
    let (written, (by, at)) = (written.join(" "), decree.by);
    tx.execute(
        "INSERT INTO kpi_definitions (kpi, version, effective_from, decree, terms, entered_at, entered_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![decree.kpi.id, version, decree.effective_from.0, decree.decree, written, at.0, by],
    )?;
    let subject = format!("{}@{version}", decree.kpi.id);
    audit::record(tx, &Deed { at, actor: by, action: "kpi.define", subject: &subject, detail: &written })
}

/// The word a row names the catalogue's text by; without it, it is the first.
const RULES: &str = "rules";

fn read_terms(text: &str) -> Option<Terms> {
    let mut terms = Terms::FIRST;
    for pair in text.split_whitespace() {
        let (term, value) = pair.split_once('=')?;
        if term == RULES {
            terms.rules = value.parse().ok()?;
            continue;
        }
        terms.set(term.parse().ok()?, value).ok()?;
    }
    Some(terms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_add_up_and_are_never_changed() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let kpi = by_id("villages_connected_month").unwrap();
        let add = |set: &[(Term, String)], from: i64| {
            define(&store, &Decree { kpi, set, effective_from: UnixMs(from), decree: "1404/17", by: ("cli", UnixMs(9)) })
        };
        assert_eq!(add(&[(Term::Connected, "0.95".into())], 1_000).unwrap(), 3, "the catalogue has two texts");
        assert_eq!(add(&[(Term::Policy, "dehyari_uplink".into())], 2_000).unwrap(), 4);
        let said = |set: &[(Term, String)]| add(set, 3_000).unwrap_err().to_string();
        assert!(said(&[(Term::SlaA, "0.9".into())]).contains("stands on policy, connected, measured"));
        assert!(said(&[(Term::Connected, "2".into())]).contains("0 to 1"));
        assert!(said(&[(Term::Connected, "0.95".into())]).contains("nothing differs from version 4"));
        let definitions = store.read(|db| Definitions::load(db)).unwrap();
        let in_force = |at, wanted| {
            let of = definitions.version(kpi, UnixMs(at), wanted);
            of.map(|kpi| (kpi.version, kpi.terms.rules.as_str(), kpi.terms.connected, kpi.terms.policy.as_str()))
        };
        assert_eq!(in_force(999, None), Some((2, "2", 0.90, "either")));
        assert_eq!(in_force(1_000, None), Some((3, "2", 0.95, "either")));
        assert_eq!(in_force(2_000, None), Some((4, "2", 0.95, "dehyari_uplink")), "a version keeps what it does not change");
        assert_eq!(in_force(2_000, Some(1)), Some((1, "1", 0.90, "either")));
        assert_eq!(in_force(0, Some(4)), Some((4, "2", 0.95, "dehyari_uplink")));
        assert_eq!(in_force(0, Some(5)), None);
        for sql in ["UPDATE kpi_definitions SET terms = ''", "DELETE FROM kpi_definitions"] {
            assert!(store.write(|tx| Ok::<_, StoreError>(tx.execute(sql, [])?)).is_err(), "{sql}");
        }
    }

    /// A figure printed with version 2 before the catalogue had a second text keeps its number and its terms.
    #[test]
    fn a_decree_of_the_first_text_keeps_its_number_and_gets_a_second_text_beside_it() {
        let kpi = by_id("villages_connected_month").unwrap();
        let decree = Definition {
            kpi,
            version: 2,
            effective_from: Some(UnixMs(1_000)),
            decree: "1404/17".to_owned(),
            terms: read_terms("policy=either connected=0.95 measured=0.5").unwrap(),
        };
        let definitions = Definitions::new(vec![decree]);
        let all: Vec<_> = definitions.of(kpi).iter().map(|one| (one.version, one.terms.rules.as_str(), one.terms.connected)).collect();
        assert_eq!(all, [(1, "1", 0.90), (2, "1", 0.95), (3, "2", 0.90), (4, "2", 0.95)]);
        let in_force = |at| definitions.version(kpi, UnixMs(at), None).map(|kpi| kpi.version);
        assert_eq!([in_force(999), in_force(1_000)], [Some(3), Some(4)]);
    }
}
