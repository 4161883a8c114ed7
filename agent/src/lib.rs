//! The agent of a village site: probes its links, spools what it saw, reports it.

/// Runs the program from the command line.
pub fn main() -> std::process::ExitCode {
    std::process::ExitCode::SUCCESS
}
