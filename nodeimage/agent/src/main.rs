//! The agent's own binary: everything is in the library, which `squall agent` calls as well.

fn main() {
    let arguments = std::env::args_os().skip(1).collect();
    std::process::exit(squalld::program::run(&[], arguments));
}
