//! The collector: keeps what agents saw, computes KPIs, finds causes, wakes people once.
//!
//! ```text
//! ingest -> log (durable, exactly once) -> advance(engine) -> events, snapshot -> view | kpi | notify | sink
//! ```
//! The arrows never turn back.

pub mod cli;
pub mod clock;
pub mod config;
pub mod dating;
pub mod day;
pub mod engine;
pub mod grafana;
pub mod inventory;
pub mod kpi;
pub mod log;
mod names;
pub mod people;
pub mod persian;
pub mod rules;
pub mod sink;
pub mod store;
pub mod view;

/// Runs the command the process was started with.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
