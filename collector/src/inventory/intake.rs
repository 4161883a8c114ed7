//! What an import becomes and what it takes away, before anything holds: the command line and the page go through here.

use rusta_wire::UnixMs;

use super::difference::{Difference, ListChange};
use super::draft::Draft;
use super::versions::{self, VersionError, Versions};
use super::{Built, merge};
use crate::store::Store;

/// An import against the version in force on its first day.
#[derive(Debug)]
pub struct Intake {
    /// What would be stored: the import, or with a merge the version in force with the import laid over it.
    pub draft: Draft,
    /// Built, and what is suspicious in it.
    pub built: Built,
    /// How it differs from the version in force.
    pub difference: Difference,
}

/// A list of which more would be gone than an import may drop unasked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Dropped {
    /// `regions`, `sites` or `links`.
    pub list: &'static str,
    /// How many would be gone.
    pub gone: usize,
    /// Of how many.
    pub of: usize,
}

impl Intake {
    /// Compares a draft with what holds on `from`; `merged` lays it over that first.
    ///
    /// # Errors
    /// [`VersionError::Faults`] with everything that is wrong with what would be stored.
    pub fn of(store: &Store, draft: Draft, merged: bool, from: UnixMs) -> Result<Intake, VersionError> {
        let current = Versions::load(store)?.at(from);
        let draft = if merged { merge::over(versions::draft(store, current.version)?, draft) } else { draft };
        let built = draft.build(0, from).map_err(VersionError::Faults)?;
        let difference = Difference::between(&current, &built.inventory);
        Ok(Intake { draft, built, difference })
    }

    /// Lists what would lose more than `limit` of its entries, a ratio.
    pub fn dropped(&self, limit: f64) -> Vec<Dropped> {
        let lists = [("regions", &self.difference.regions), ("sites", &self.difference.sites), ("links", &self.difference.links)];
        let dropped = |(list, change): (&'static str, &ListChange)| {
            let (gone, of) = (change.removed.len(), change.before);
            (gone as f64 > limit * of as f64).then_some(Dropped { list, gone, of })
        };
        lists.into_iter().filter_map(dropped).collect()
    }
}
