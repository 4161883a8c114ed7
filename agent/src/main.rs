//! The `rusta-agent` program; everything it does is in the library.

/// Keeps what a round has freed for the next one.
#[cfg(target_env = "musl")]
#[global_allocator]
static MEMORY: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> std::process::ExitCode {
    rusta_agent::main()
}
