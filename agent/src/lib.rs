//! The agent of a village site: probes its links, spools what it saw, reports it.

pub mod cli;
pub mod config;
pub mod packet;
pub mod probe;
pub mod socket;

pub use cli::main;
