//! Reads a site's past from where it is kept.

use crate::persian::Window;
use crate::view::{SiteDetail, SitePast};

use super::state::WebState;

/// Why the past could not be read.
#[derive(Debug, thiserror::Error)]
#[error("site history")]
pub struct ArchiveError;

/// Returns what is known of a site over a window.
///
/// # Errors
/// A failing log or database.
pub fn site_past(_web: &WebState, _site: &SiteDetail, _window: Window) -> Result<SitePast, ArchiveError> {
    Ok(SitePast::default())
}
