//! One file per page.

pub mod admin;
pub mod agents;
pub mod errors;
pub mod export;
pub mod incidents;
pub mod kpis;
pub mod login;
pub mod map;
pub mod overview;
pub mod services;
pub mod site;
pub mod sites;
pub mod status;
