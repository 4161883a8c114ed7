//! The collector: keeps what agents saw, computes KPIs, finds causes, wakes people once.

pub mod day;
pub mod engine;
pub mod inventory;
pub mod persian;

/// Runs.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
