//! The `rusta-collector` program; everything it does is in the library.

#[global_allocator]
static MEMORY: rusta_collector::Allocator = rusta_collector::Allocator;

fn main() -> std::process::ExitCode {
    rusta_collector::main()
}
