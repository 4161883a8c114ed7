//! The collector: keeps what agents saw, computes KPIs, finds causes, wakes people once.

pub mod engine;
pub mod inventory;

/// Runs.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
