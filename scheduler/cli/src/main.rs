use std::process::ExitCode;

fn main() -> ExitCode {
    squall::start::main(std::env::args_os().collect())
}
