//! `squall-sim`: plays seeds and says what went wrong.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    squall_sim::cli::main(&arguments)
}
