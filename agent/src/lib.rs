//! The agent of a village site: probes its links, spools what it saw, reports it. The story is in [`app`].

pub mod app;
pub mod assignment;
pub mod cli;
pub mod clock;
pub mod config;
pub mod core;
pub mod crypto;
pub mod data_plan;
pub mod diagnostics;
pub mod enroll;
pub mod files;
pub mod grant;
pub mod health;
pub mod identity;
pub mod interfaces;
pub mod key;
pub mod ladder;
pub mod modem;
pub mod packet;
pub mod privilege;
pub mod probe;
pub mod probe_once;
pub mod sample;
pub mod schedule;
pub mod shared;
pub mod signals;
pub mod socket;
pub mod spool;
pub mod status;
pub mod terminal;
pub mod tls;
pub mod uplink;
pub mod usage;
pub mod verify;

pub use cli::main;
