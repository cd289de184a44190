//! What CI runs can be run.

use super::tree;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

#[test]
fn the_ci_script_is_executable_and_readable_by_bash() {
    let path = tree::root().join(".ci/run");
    let mode = std::fs::metadata(&path).expect("CI has a script").permissions().mode();
    assert_eq!(mode & 0o111, 0o111, ".ci/run is not executable");
    let checked = Command::new("bash").arg("-n").arg(&path).output().expect("bash is here");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[test]
fn ci_denies_warnings_and_unformatted_code() {
    let ci = tree::text(".ci/run");
    for needed in
        ["cargo fmt --all --check", "cargo clippy --workspace --all-targets", "-D warnings", "cargo test --workspace"]
    {
        assert!(ci.contains(needed), ".ci/run does not run `{needed}`");
    }
}
