//! The simulated cloud as a program that a controller starts.

use std::process::ExitCode;

fn main() -> ExitCode {
    squall_provisioner_sim::program::main()
}
