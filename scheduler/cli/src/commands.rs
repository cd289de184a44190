//! Slurm's commands and nothing else: a small program starts sooner, and what scripts do most is start commands.

use std::process::ExitCode;

/// A command lives for a millisecond and keeps nearly all that it allocates. musl's allocator is made for other programs:
/// it asks the system for single pages and gives them back, a hundred times in an `sbatch`.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    squall::start::slurm_commands(std::env::args_os().collect())
}
