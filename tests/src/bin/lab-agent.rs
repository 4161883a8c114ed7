//! The same program as `rusta-agent`, declared here so that a test gets its path from Cargo.

fn main() -> std::process::ExitCode {
    rusta_agent::main()
}
