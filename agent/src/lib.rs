//! The agent of a village site: probes its links, spools what it saw, reports it.

pub mod packet;
pub mod probe;
pub mod socket;

/// Runs the program from the command line.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
