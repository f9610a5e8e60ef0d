//! The command line: reads arguments, runs one command, ends with its exit code.

mod cli;

use std::process::ExitCode;

/// An act is some hundred small allocations on whichever thread runs it, and many are freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
