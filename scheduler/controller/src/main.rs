//! The controller's own binary: everything is in the library, which `squall ctld` calls as well.

fn main() -> std::process::ExitCode {
    squallctld::main_with_args(std::env::args_os().skip(1))
}
