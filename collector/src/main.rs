//! The `rusta-collector` program; everything it does is in the library.

fn main() -> std::process::ExitCode {
    rusta_collector::main()
}
