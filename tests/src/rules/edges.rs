//! Who may import whom.

use super::{holds, tree};
use cargo_metadata::DependencyKind;

/// For every crate of the house the crates that it may import. Optional dependencies count.
const MAY_IMPORT: [(&str, &[&str]); 14] = [
    ("squall-types", &[]),
    ("squall-core", &["squall-types"]),
    ("squall-engine", &["squall-types", "squall-core"]),
    ("squall-proto", &["squall-types"]),
    ("squall-journal", &["squall-types", "squall-core"]),
    ("squall-provisioner", &["squall-types", "squall-proto"]),
    ("squall-provisioner-sim", &["squall-types", "squall-provisioner"]),
    ("squall-provisioner-local", &["squall-types", "squall-provisioner"]),
    ("squalld", &["squall-types", "squall-proto"]),
    ("squall-sim", &["squall-types", "squall-core", "squall-engine"]),
    (
        "squallctld",
        &[
            "squall-types",
            "squall-core",
            "squall-engine",
            "squall-proto",
            "squall-journal",
            "squall-provisioner",
            "squall-provisioner-local",
        ],
    ),
    ("squall", &["squall-types", "squall-proto"]),
    ("squall-test-nvml", &[]),
    ("squall-tests", &[]),
];

/// Imports that the order of the rooms alone would not allow.
const EXCEPTIONS: [(&str, &str, &str); 6] = [
    ("squall-sim", "squalld", "the agent's judgement (module duty, without its daemon) is simulated, not imitated"),
    ("squall-sim", "squall-provisioner-sim", "the simulated cloud is a value of its own, with its faults and its bill"),
    (
        "squallctld",
        "squall-provisioner-sim",
        "a pool can be simulated, to try a configuration on a cloud that costs nothing",
    ),
    ("squall", "squallctld", "feature embed: one binary holds the demo"),
    (
        "squall",
        "squalld",
        "features embed and shim: one binary holds the demo, another what an agent starts for each job",
    ),
    ("squall", "squall-sim", "feature embed: `squall simulate` plays a trace on the simulator"),
];

/// Dependencies that must be behind a feature, so that the crate builds without them.
const BEHIND_A_FEATURE: [(&str, &str); 5] = [
    ("squall", "squall-sim"),
    ("squall", "squallctld"),
    ("squall", "squalld"),
    ("squalld", "squall-proto"),
    ("squall-provisioner", "squall-proto"),
];

#[test]
fn every_crate_imports_only_what_its_place_allows() {
    let mut broken = Vec::new();
    for package in tree::packages() {
        let Some((name, may)) = MAY_IMPORT.iter().find(|(name, _)| package.name == *name) else {
            broken.push(format!("{}: has no place in MAY_IMPORT", package.name));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            let to = dependency.name.as_str();
            let excepted = EXCEPTIONS.iter().any(|(from, excepted, _)| from == name && *excepted == to);
            // Tests may look further down than the code that they test, and the tests' own crate everywhere.
            let in_tests = dependency.kind == DependencyKind::Development;
            if !may.contains(&to) && !excepted && !in_tests {
                broken.push(format!("{name} imports {to}"));
            }
        }
    }
    holds("a crate imports crates of the house only below its own place, or as a named exception:", &broken);
}

#[test]
fn tests_of_the_pure_crates_and_the_provisioners_look_no_further_than_their_code() {
    let strict = ["squall-types", "squall-core", "squall-provisioner-sim", "squall-provisioner-local"];
    let mut broken = Vec::new();
    for package in tree::packages().iter().filter(|package| strict.contains(&package.name.as_str())) {
        let (_, may) = MAY_IMPORT.iter().find(|(name, _)| package.name == *name).expect("checked by the rule above");
        for dependency in package.dependencies.iter().filter(|dependency| dependency.path.is_some()) {
            if !may.contains(&dependency.name.as_str()) {
                broken.push(format!("{} imports {} in its tests", package.name, dependency.name));
            }
        }
    }
    holds("these crates are tested alone:", &broken);
}

#[test]
fn nothing_but_tests_depends_on_the_tests() {
    let broken: Vec<String> = tree::packages()
        .iter()
        .filter(|package| package.dependencies.iter().any(|dependency| dependency.name == "squall-tests"))
        .map(|package| package.name.to_string())
        .chain(tree::packages().iter().filter(|package| package.name == "squall-tests").flat_map(|package| {
            let product = package.dependencies.iter().filter(|dependency| dependency.kind == DependencyKind::Normal);
            product.map(|dependency| format!("squall-tests has {} outside its tests", dependency.name))
        }))
        .collect();
    holds("the tests are a leaf, and need everything for tests only:", &broken);
}

#[test]
fn what_a_crate_can_do_without_is_behind_a_feature() {
    let mut broken = Vec::new();
    for (from, to) in BEHIND_A_FEATURE {
        let package = tree::packages().iter().find(|package| package.name == from).expect("the crate exists");
        let mut dependencies = package.dependencies.iter();
        if dependencies.any(|dependency| {
            dependency.name == to && dependency.kind == DependencyKind::Normal && !dependency.optional
        }) {
            broken.push(format!("{from} always has {to}"));
        }
    }
    holds("an optional dependency:", &broken);
}

#[test]
fn the_simulator_takes_the_agent_without_its_daemon() {
    let package = tree::packages().iter().find(|package| package.name == "squall-sim").expect("the crate exists");
    let mut agents = package.dependencies.iter().filter(|dependency| dependency.name == "squalld");
    assert!(
        agents.all(|agent| !agent.uses_default_features && !agent.features.iter().any(|feature| feature == "daemon")),
        "squall-sim builds the agent's daemon, which has IO"
    );
}
