//! Which crates of the world stand where.

use super::{holds, tree};
use cargo_metadata::DependencyKind;
use std::collections::{BTreeMap, BTreeSet};

/// The pure crates, and everything from outside that each may have.
const PURE: [(&str, &[&str]); 3] = [
    ("squall-types", &["minicbor", "serde", "thiserror"]),
    // imbl: the copy-on-write pages that make a snapshot cheap. Its ordered maps only; it draws nothing from the system.
    ("squall-core", &["imbl", "minicbor", "serde", "thiserror"]),
    ("squall-engine", &["thiserror"]),
];

/// What must not come in by a detour either: runtimes, networks, clocks, randomness, storage, logging.
const NOT_PURE: [&str; 26] = [
    "async-std",
    "chrono",
    "config",
    "hyper",
    "jiff",
    "log",
    "mio",
    "nix",
    "notify",
    "opentelemetry",
    "prost",
    "rand",
    "rayon",
    "reqwest",
    "rusqlite",
    "rustix",
    "rustls",
    "signal-hook",
    "smol",
    "socket2",
    "sqlx",
    "tempfile",
    "time",
    "tokio",
    "tonic",
    "tracing",
];

/// What only some crates may have as a direct dependency. A name that ends in `-` or `_` stands for all that begin so.
const KEPT_BY: [(&[&str], &[&str]); 9] = [
    (&["rusqlite", "libsqlite3-", "sqlite-", "sqlx", "postgres", "tokio-postgres"], &["squall-journal"]),
    (&["nvml-"], &["squalld"]),
    (&["tonic"], &["squall-proto", "squallctld", "squall", "squalld", "squall-provisioner"]),
    (&["tonic-", "protox"], &["squall-proto"]),
    // The controller writes what OTLP calls metrics.
    (&["prost"], &["squall-proto", "squallctld"]),
    (
        &["opentelemetry", "opentelemetry-", "opentelemetry_", "tracing-opentelemetry", "prometheus"],
        &["squallctld", "squalld"],
    ),
    (&["aws-"], &["squall-provisioner-ec2"]),
    (&["google-cloud-"], &["squall-provisioner-gce"]),
    (&["kube", "k8s-openapi"], &["squall-provisioner-kubernetes"]),
];

/// A test that needs what only others may have, with the reason.
const IN_TESTS: [(&str, &str, &str); 2] = [
    ("squall-tests", "opentelemetry-proto", "receives what the controller exports"),
    ("squall-tests", "tonic", "receives what the controller exports"),
];

/// Where a crate name or one that begins with it is meant.
fn means(pattern: &str, name: &str) -> bool {
    name == pattern || (pattern.ends_with(['-', '_']) && name.starts_with(pattern))
}

#[test]
fn the_pure_crates_take_from_outside_only_what_is_listed() {
    let mut broken = Vec::new();
    for (name, allowed) in PURE {
        let package = tree::packages().iter().find(|package| package.name == name).expect("the pure crates exist");
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_none()) {
            if dependency.kind != DependencyKind::Development && !allowed.contains(&dependency.name.as_str()) {
                broken.push(format!("{name} has {}", dependency.name));
            }
        }
        let builds = package.targets.iter().any(|target| target.is_custom_build());
        broken.extend(builds.then(|| format!("{name} has a build script")));
    }
    holds("time, tokens and seeds are arguments; what reads or writes the world stays outside:", &broken);
}

#[test]
fn nothing_below_the_pure_crates_reaches_the_world() {
    let lock: toml::Table = tree::text("Cargo.lock").parse().expect("Cargo.lock is TOML");
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in lock["package"].as_array().expect("packages are a list") {
        let name = package["name"].as_str().expect("a name is text");
        let on = package.get("dependencies").and_then(|on| on.as_array()).into_iter().flatten();
        // `name`, or `name version` where there are several.
        let on = on.filter_map(|on| on.as_str()?.split(' ').next());
        needs.entry(name).or_default().extend(on);
    }
    let mut open: Vec<&str> = PURE.iter().flat_map(|(_, allowed)| allowed.iter().copied()).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(name) = open.pop() {
        if seen.insert(name) {
            open.extend(needs.get(name).into_iter().flatten());
        }
    }
    let broken: Vec<String> =
        NOT_PURE.iter().filter(|name| seen.contains(*name)).map(|name| (*name).to_owned()).collect();
    holds("below the pure crates stands:", &broken);
}

#[test]
fn only_the_crate_whose_business_it_is_has_a_store_an_sdk_a_wire_or_a_driver() {
    let mut broken = Vec::new();
    for package in tree::packages() {
        for dependency in &package.dependencies {
            for (patterns, owners) in KEPT_BY {
                let kept = patterns.iter().any(|pattern| means(pattern, &dependency.name));
                let excepted = dependency.kind == DependencyKind::Development
                    && IN_TESTS.iter().any(|(name, what, _)| package.name == *name && dependency.name == *what);
                if kept && !excepted && !owners.contains(&package.name.as_str()) {
                    broken.push(format!("{} has {}; only {} may", package.name, dependency.name, owners.join(", ")));
                }
            }
        }
    }
    holds("a direct dependency in a place that is not its own:", &broken);
}
