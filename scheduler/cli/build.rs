//! How the small programs are linked: what they cost is mostly their start.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let target = |what: &str| env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    if target("OS") != "linux" {
        return;
    }
    // At a fixed address nothing has to be relocated, which is most of what the start of a small program costs. It runs
    // as whoever called it and parses what that person wrote; the daemons and `squall` stay position-independent.
    if target("ENV") == "gnu" {
        println!("cargo::rustc-link-arg-bin=squall-commands=-no-pie");
    }
    if target("ENV") == "gnu"
        && let Some(folder) = unwinder_inside()
    {
        for program in ["squall-commands", "squall-shim"] {
            println!("cargo::rustc-link-arg-bin={program}=-L{}", folder.display());
        }
    }
}

/// A folder in which the linker finds, as `libgcc_s`, the compiler's own archive of what panics need, so that no library
/// has to be loaded for it at each start. `None` where the compiler has no such archive, or is not for this target.
fn unwinder_inside() -> Option<PathBuf> {
    if env::var("HOST").ok()? != env::var("TARGET").ok()? {
        return None;
    }
    let said = Command::new("cc").arg("-print-file-name=libgcc_eh.a").output().ok()?;
    let archive = Path::new(std::str::from_utf8(&said.stdout).ok()?.trim()).canonicalize().ok()?;
    let folder = Path::new(&env::var_os("OUT_DIR")?).join("unwinder");
    fs::create_dir_all(&folder).ok()?;
    fs::write(folder.join("libgcc_s.so"), format!("INPUT({})\n", archive.display())).ok()?;
    Some(folder)
}
