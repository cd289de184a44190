//! The rules of the repository, as tests over `cargo metadata` and the sources.
//!
//! A rule names its exceptions, each with its reason. Where a rule stands in the way of better code, change the
//! rule in the same commit and say why: what is not written here is not a rule.

mod ci;
mod docs;
mod edges;
mod files;
mod manifests;
mod outside;
mod purity;
mod soundness;
mod state;
mod text;
mod tokens;
mod tree;

/// Fails with everything that breaks a rule, not with the first of it.
#[track_caller]
fn holds(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}\n", broken.join("\n  "));
}
