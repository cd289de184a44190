//! Manifests: one version table, one set of lints, and a sentence about every crate.

use super::{holds, tree};
use std::collections::BTreeSet;
use toml::{Table, Value};

const INHERITED: [&str; 5] = ["version", "edition", "rust-version", "license", "publish"];

fn manifest(path: &str) -> Table {
    tree::text(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The manifest of every member, with its path.
fn members() -> Vec<(String, Table)> {
    let paths = tree::packages().iter().map(|package| format!("{}/Cargo.toml", tree::folder(package)));
    paths.map(|path| (path.clone(), manifest(&path))).collect()
}

fn inherits(value: Option<&Value>) -> bool {
    value.and_then(|value| value.get("workspace")).and_then(Value::as_bool) == Some(true)
}

/// Every dependency of a manifest, of every kind and for every target.
fn dependencies(manifest: &Table) -> Vec<(&String, &Value)> {
    let targets = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = std::iter::once(manifest).chain(targets.filter_map(Value::as_table));
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    tables
        .flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)))
        .filter_map(Value::as_table)
        .flat_map(Table::iter)
        .collect()
}

#[test]
fn every_crate_says_what_it_is_and_inherits_the_rest() {
    let mut broken = Vec::new();
    for (path, manifest) in members() {
        let package = &manifest["package"];
        let description = package.get("description").and_then(Value::as_str).unwrap_or_default();
        broken.extend((description.len() < 20).then(|| format!("{path}: no description")));
        for key in INHERITED {
            broken.extend((!inherits(package.get(key))).then(|| format!("{path}: {key}.workspace = true is missing")));
        }
        broken
            .extend((!inherits(manifest.get("lints"))).then(|| format!("{path}: [lints] workspace = true is missing")));
    }
    holds("a manifest of a crate:", &broken);
}

#[test]
fn versions_stand_in_one_table() {
    let mut broken = Vec::new();
    for (path, manifest) in members() {
        for (name, value) in dependencies(&manifest) {
            broken.extend((!inherits(Some(value))).then(|| format!("{path}: {name} does not say workspace = true")));
        }
    }
    holds("versions stand in the workspace's table only:", &broken);
}

#[test]
fn nothing_stands_in_the_version_table_that_nobody_uses() {
    let root = manifest("Cargo.toml");
    let table = root["workspace"]["dependencies"].as_table().expect("the version table is a table");
    let members = members();
    let used: BTreeSet<&String> =
        members.iter().flat_map(|(_, manifest)| dependencies(manifest)).map(|(name, _)| name).collect();
    let broken: Vec<String> = table.keys().filter(|name| !used.contains(name)).cloned().collect();
    holds("no crate uses:", &broken);
}

#[test]
fn the_lints_that_the_house_relies_on_are_on() {
    let root = manifest("Cargo.toml");
    let lints = &root["workspace"]["lints"];
    assert_eq!(lints["rust"]["unsafe_code"].as_str(), Some("deny"));
    for lint in ["unwrap_used", "todo", "unimplemented", "dbg_macro"] {
        assert!(matches!(lints["clippy"][lint].as_str(), Some("warn" | "deny")), "clippy::{lint} is off");
    }
}

#[test]
fn the_licence_is_here() {
    assert!(tree::text("LICENSE").contains("Apache License"));
    let root = manifest("Cargo.toml");
    assert_eq!(root["workspace"]["package"]["license"].as_str(), Some("Apache-2.0"));
}

/// Planted bugs belong to the simulator: no default feature, and no feature of a product, may switch them on.
#[test]
fn no_product_is_built_with_planted_bugs() {
    let mut broken = Vec::new();
    for (path, manifest) in members() {
        let features = manifest.get("features").and_then(Value::as_table).into_iter().flat_map(Table::iter);
        for (name, on) in features.filter(|(name, _)| *name != "canaries") {
            let turns_on =
                on.as_array().into_iter().flatten().filter_map(Value::as_str).any(|on| on.contains("canaries"));
            broken.extend(turns_on.then(|| format!("{path}: feature {name} switches canaries on")));
        }
        for (name, value) in dependencies(&manifest) {
            let features = value.get("features").and_then(Value::as_array).into_iter().flatten();
            let turns_on = features.filter_map(Value::as_str).any(|on| on == "canaries");
            broken.extend(turns_on.then(|| format!("{path}: {name} is taken with canaries")));
        }
    }
    holds("planted bugs in a product:", &broken);
}
