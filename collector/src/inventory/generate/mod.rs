//! Synthetic provinces for demonstration, tests and load: the sums of `inventory.md` exactly, the same bytes for the
//! same seed.

mod dice;
pub mod later;
mod names;
mod province;
mod sums;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::documents::FILES;
use super::draft::Draft;
use super::export::{self, ExportError};
use super::fault::Fault;
use super::model::{SiteKind, word_enum};

word_enum! {
    /// What to generate.
    Size {
        /// One county, a dozen villages.
        Demo = "demo",
        /// Three counties, a hundred villages.
        Small = "small",
        /// A province of the size of Khorasan Razavi.
        Kr = "kr",
        /// A province of the size of Lorestan.
        Lorestan = "lorestan",
        /// The whole country.
        National = "national",
    }
}

/// Site kinds that count as government buildings.
pub const GOV_KINDS: &[SiteKind] = &[
    SiteKind::Headquarters,
    SiteKind::Farmandari,
    SiteKind::Bakhshdari,
    SiteKind::CountyOffice,
    SiteKind::ProvincialOffice,
    SiteKind::Municipality,
    SiteKind::PublicBody,
    SiteKind::Dehyari,
];

/// The documents every generated inventory begins with; they are the shipped examples.
const DOCUMENTS: [&str; 5] = [
    include_str!("../../../../configs/inventory/services.yaml"),
    include_str!("../../../../configs/inventory/profiles.yaml"),
    include_str!("../../../../configs/inventory/calendars.yaml"),
    include_str!("../../../../configs/inventory/events.yaml"),
    include_str!("../../../../configs/inventory/maintenance.yaml"),
];

/// Generates a registry.
///
/// # Errors
/// Faults in the shipped documents; a test keeps them out.
pub fn draft(size: Size, seed: u64) -> Result<Draft, Vec<Fault>> {
    let (mut draft, mut faults) = (Draft::default(), Vec::new());
    for (file, text) in FILES.into_iter().zip(DOCUMENTS) {
        draft.documents.read(file, text, &mut faults);
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let provinces = match size {
        Size::Demo => vec![sums::demo()],
        Size::Small => vec![sums::small()],
        Size::Kr => vec![sums::kr()],
        Size::Lorestan => vec![sums::lorestan()],
        Size::National => [sums::kr(), sums::lorestan()].into_iter().chain(sums::others(&mut dice::Dice::new(seed, "provinces"))).collect(),
    };
    provinces.iter().for_each(|sums| province::add(&mut draft, sums, seed));
    Ok(draft)
}

/// Writes a registry into a folder, and what happens to it over the year into `later/DATE-WHAT` below it.
pub fn write(draft: &Draft, folder: &Path) -> Result<Vec<String>, ExportError> {
    export::to_folder(&export::files(draft)?, folder)?;
    let mut written = Vec::new();
    for later in later::versions(draft) {
        let name = format!("{}-{}", later.effective_from, later.what);
        export::to_folder(&export::files(&later.draft)?, &folder.join("later").join(&name))?;
        written.push(name);
    }
    Ok(written)
}
