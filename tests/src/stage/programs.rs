//! Where the programs are: those that were built with this test, else built now.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A folder with programs to be tested instead, such as those of a release.
const VARIABLE: &str = "SQUALL_TEST_PROGRAMS";
/// Each program with the folders that it is made of.
const PROGRAMS: [(&str, &[&str]); 3] = [
    ("squall", &["scheduler", "provisioners", "nodeimage"]),
    ("squallctld", &["scheduler/controller", CORE, ENGINE, JOURNAL, PROTO, TYPES, "provisioners"]),
    ("squalld", &["nodeimage", PROTO, TYPES]),
];
const CORE: &str = "scheduler/core";
const ENGINE: &str = "scheduler/engine";
const JOURNAL: &str = "scheduler/journal";
const PROTO: &str = "scheduler/proto";
const TYPES: &str = "scheduler/types";
/// Folders and files that are in none of them.
const IN_NO_PROGRAM: [&str; 4] = ["tests", "tests.rs", "benches", "sim"];

/// The file of a program.
pub fn program(name: &str) -> PathBuf {
    let path = folder().join(name);
    assert!(path.is_file(), "{} is not there", path.display());
    path
}

fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        if let Some(given) = std::env::var_os(VARIABLE) {
            return std::path::absolute(given).expect("a path");
        }
        // This test is `deps/all-HASH` of the folder in which programs are.
        let own = std::env::current_exe().expect("this test has a file");
        let folder = own.ancestors().nth(2).expect("cargo puts tests two folders deep").to_owned();
        // `cargo test --workspace` has built them already, with the features of the whole workspace. Only where that
        // was not so, because this crate is tested alone, another build is worth its time.
        if !PROGRAMS.iter().all(|(name, sources)| is_current(&folder.join(name), sources)) {
            build(&folder);
        }
        folder
    })
}

/// No source is newer than the program. Cargo's own list of what it was made of is there only where programs were what
/// it was asked for.
fn is_current(program: &Path, folders: &[&str]) -> bool {
    let changed = |path: &Path| path.metadata().and_then(|file| file.modified()).ok();
    changed(program).is_some_and(|built| {
        let mut sources = Vec::new();
        for folder in folders {
            list(&Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder), &mut sources);
        }
        sources.iter().all(|source| changed(source).is_some_and(|at| at <= built))
    })
}

fn list(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the repository can be listed").flatten() {
        let path = entry.path();
        let left_out = IN_NO_PROGRAM.iter().any(|name| entry.file_name() == *name);
        // There are two of that name; this one is a provisioner of the controller's.
        if left_out && !path.ends_with("provisioners/sim") {
            continue;
        }
        if path.is_dir() {
            list(&path, into);
        } else if path.extension().is_some_and(|kind| kind == "rs" || kind == "proto") {
            into.push(path);
        }
    }
}

fn build(folder: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg("build").current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (name, _) in PROGRAMS {
        cargo.args(["-p", name]);
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // `target/debug`, or `target/TRIPLE/debug`.
    cargo.arg("--target-dir").arg(folder.parent().expect("a folder in the target folder"));
    assert!(cargo.status().expect("cargo is here").success(), "the programs cannot be built");
}
