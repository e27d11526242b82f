//! The binary `humbaba`.

use std::{env, process::ExitCode, time::Instant};

/// Decisions are many small allocations on several threads, at which the system's allocator is slow.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let started = Instant::now();
    humbaba::cli::run(env::args_os(), started)
}
