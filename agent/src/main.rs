//! The `rusta-agent` program; everything it does is in the library.

fn main() -> std::process::ExitCode {
    rusta_agent::main()
}
