//! How `squall-commands` is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // At a fixed address nothing has to be relocated, which is most of what the start of a small program costs. It runs
    // as whoever called it and parses what that person wrote; the daemons and `squall` stay position-independent.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo::rustc-link-arg-bin=squall-commands=-no-pie");
    }
}
