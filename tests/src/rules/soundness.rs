//! What the compiler and clippy are told, and where they are told otherwise.

use super::{holds, tokens, tree};
use proc_macro2::TokenStream;

/// The only files that may have `unsafe`, each with its reason.
const UNSAFE: [(&str, &str); 3] = [
    ("nodeimage/agent/src/sys.rs", "system calls without a safe wrapper: close_range, pidfds, waitid, pre_exec"),
    ("nodeimage/nvml/src/lib.rs", "the test NVML library: functions that are called as C"),
    ("provisioners/local/src/sys.rs", "a child is prepared between fork and exec; a lock is inherited by number"),
];

/// Lints that only these files switch off in product code.
const GRAVE: [(&str, &[&str]); 5] = [
    ("unsafe_code", &["nodeimage/agent/src/sys.rs", "nodeimage/nvml/src/lib.rs", "provisioners/local/src/sys.rs"]),
    ("clippy::unwrap_used", &[]),
    ("unused_must_use", &[]),
    ("warnings", &[]),
    ("clippy::all", &["scheduler/proto/src/lib.rs"]),
];

#[test]
fn unsafe_stands_only_in_the_places_that_are_named() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_rust()) {
        let named = UNSAFE.iter().any(|(path, _)| file.path == *path);
        for found in tokens::paths(tokens::whole(file)) {
            if found.path == "unsafe" && !named {
                broken.push(format!("{}:{}: unsafe", file.path, found.line));
            }
        }
    }
    holds("code is safe, but for a few small places with a reason each:", &broken);
}

#[test]
fn a_crate_without_a_named_place_forbids_unsafe_code() {
    let mut broken = Vec::new();
    for package in tree::packages() {
        let folder = tree::folder(package);
        let has_place = UNSAFE.iter().any(|(path, _)| path.starts_with(&format!("{folder}/")));
        for target in package.targets.iter().filter(|target| target.is_lib()) {
            let path = target.src_path.strip_prefix(tree::root()).expect("a target stands in the repository").as_str();
            let text = tree::text(path);
            if !has_place && !text.trim().is_empty() && !text.contains("#![forbid(unsafe_code)]") {
                broken.push(format!("{path}: no #![forbid(unsafe_code)]"));
            }
        }
    }
    holds("a crate that needs no unsafe code forbids it:", &broken);
}

#[test]
fn product_code_that_switches_off_a_lint_says_why() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_product()) {
        for attribute in tokens::attributes(tokens::product(file)) {
            let named = tokens::paths(attribute);
            let Some(at) = named.iter().position(|named| named.path == "allow" || named.path == "expect") else {
                continue;
            };
            let place = format!("{}:{}", file.path, named[at].line);
            let is_reason = |named: &&tokens::Named| named.path == "reason";
            if !named.iter().any(|named| is_reason(&named)) {
                broken.push(format!("{place}: without a reason"));
            }
            for lint in named[at + 1..].iter().filter(|named| !is_reason(named)) {
                let places = GRAVE.iter().find(|(grave, _)| lint.path == *grave).map(|(_, places)| places);
                let forbidden = places.is_some_and(|places| !places.contains(&file.path.as_str()));
                broken.extend(forbidden.then(|| format!("{place}: {} is not switched off here", lint.path)));
            }
        }
    }
    holds("`allow` and `expect` carry a reason, and some lints stay on:", &broken);
}

#[test]
fn a_test_that_is_left_out_says_why() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_rust()) {
        let bare = |attribute: &TokenStream| attribute.to_string() == "ignore";
        let ignored = tokens::attributes(tokens::whole(file)).into_iter().filter(bare).count();
        if ignored > 0 {
            broken.push(format!("{}: {ignored} #[ignore] without a reason", file.path));
        }
    }
    holds("#[ignore = \"the reason\"], or none:", &broken);
}

#[test]
fn nothing_is_left_to_be_done_in_the_sources() {
    let words = ["TO\u{44}O", "FIX\u{4d}E", "XX\u{58}", "HAC\u{4b}"];
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.path != "Cargo.lock") {
        for (at, line) in file.text.lines().enumerate() {
            let mut parts = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            if parts.any(|part| words.contains(&part)) {
                broken.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    holds("what is not done is said in the README's table, not in the code:", &broken);
}
