//! The collector: keeps what agents saw, computes KPIs, finds causes, wakes people once.
//!
//! ```text
//! ingest -> log (durable, exactly once) -> advance(engine) -> events, snapshot -> view | kpi | notify | sink
//! ```
//! [`app`] tells that story in order. The arrows never turn back.

pub mod advance;
pub mod api;
pub mod app;
pub mod backup;
mod cells;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dating;
pub mod day;
pub mod engine;
mod errors;
pub mod files;
pub mod follow;
pub mod grafana;
pub mod history;
pub mod identity;
pub mod ingest;
pub mod inventory;
pub mod journal;
pub mod kpi;
pub mod log;
mod names;
pub mod notify;
pub mod people;
pub mod persian;
pub mod port;
pub mod process;
pub mod report;
pub mod rules;
pub mod shell;
pub mod sink;
pub mod sqlite;
mod stall;
pub mod store;
pub mod telemetry;
mod terminal;
pub mod view;
pub mod web;

/// What programs made of this library allocate with.
pub use mimalloc::MiMalloc as Allocator;

/// Runs the command the process was started with.
pub fn main() -> std::process::ExitCode {
    cli::main()
}
