//! The same program as `rusta-collector`, declared here so that a test gets its path from Cargo.

fn main() -> std::process::ExitCode {
    rusta_collector::main()
}
