//! Joins the outages of a village whose code changed while it was cut off: one interruption of the same households.
//!
//! History keeps what happened to a code. Where a version gives a village another one, an outage under the old code has no
//! end, and one under the new code begins with the version's first day; neither is what its households lived through.

use std::collections::HashMap;

use rusqlite::Connection;
use rusta_wire::UnixMs;

use crate::history::{Object, ObjectKind, Outage, tables};
use crate::inventory::Versions;
use crate::store::StoreError;

/// Changes of code, by the code on the other side of each, with the start of the first day of the new code.
#[derive(Debug, Default)]
pub struct Renamed {
    before: HashMap<String, (UnixMs, String)>,
    after: HashMap<String, (UnixMs, String)>,
}

impl Renamed {
    /// Reads the changes of all versions.
    pub fn of(versions: &Versions) -> Renamed {
        let mut renamed = Renamed::default();
        for (day, old, new) in versions.renamed() {
            renamed.before.insert(new.to_owned(), (day.start(), old.to_owned()));
            renamed.after.insert(old.to_owned(), (day.start(), new.to_owned()));
        }
        renamed
    }

    /// Gives an outage of a village the start it had under an earlier code and the end it has under a later one.
    ///
    /// # Errors
    /// What the database says.
    pub fn join(&self, outage: &mut Outage, db: &Connection) -> Result<(), StoreError> {
        let mut code = &outage.object.code;
        while let Some((at, old)) = self.before.get(code).filter(|(at, _)| *at == outage.started_at) {
            let Some(begun) = around(db, old, *at)?.find(|before| before.started_at < *at) else { break };
            (outage.started_at, code) = (begun.started_at, old);
        }
        let (mut code, mut since) = (&outage.object.code, outage.started_at);
        while let Some((at, new)) = self.after.get(code).filter(|(at, _)| since < *at && outage.ended_at.is_none_or(|end| end >= *at)) {
            let Some(goes_on) = around(db, new, *at)?.find(|after| after.started_at == *at) else { break };
            (outage.ended_at, outage.ended, outage.seen_until) = (goes_on.ended_at, goes_on.ended, goes_on.seen_until);
            (code, since) = (new, *at);
        }
        Ok(())
    }
}

/// Reads the outages of a village that touch a moment.
fn around(db: &Connection, village: &str, at: UnixMs) -> Result<impl Iterator<Item = Outage> + use<>, StoreError> {
    let village = Object::whole(ObjectKind::Village, village);
    Ok(tables::outages_of(db, &village, UnixMs(at.0 - 1), UnixMs(at.0 + 1))?.into_iter())
}
