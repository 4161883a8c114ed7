//! One file per page.

pub mod account;
pub mod admin;
pub mod agents;
pub mod audit;
mod charts;
pub mod dictionary;
pub mod errors;
pub mod export;
pub mod identities;
pub mod import;
pub mod incidents;
pub mod kpi;
pub mod kpis;
pub mod link;
pub mod login;
pub mod maintenance;
pub mod map;
pub mod openid;
pub mod overview;
mod past;
pub mod programs;
mod refusals;
pub mod report;
pub mod services;
pub mod site;
pub mod sites;
pub mod status;

pub(super) use past::Past;
