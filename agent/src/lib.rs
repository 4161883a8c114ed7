//! The agent of a village site: probes its links, spools what it saw, reports it.

pub mod cli;
pub mod clock;
pub mod config;
pub mod files;
pub mod packet;
pub mod probe;
pub mod sample;
pub mod schedule;
pub mod socket;

pub use cli::main;
