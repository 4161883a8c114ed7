//! One file per page.

pub mod agents;
pub mod errors;
pub mod export;
pub mod login;
pub mod map;
pub mod overview;
pub mod site;
pub mod sites;
