//! Slurm's commands and nothing else: a small program starts sooner, and what scripts do most is start commands.

use std::process::ExitCode;

fn main() -> ExitCode {
    squall::start::slurm_commands(std::env::args_os().collect())
}
