//! README.md and ARCHITECTURE.md name only what exists, and what the README tells people to run is run.

use super::{holds, tokens, tree};
use proc_macro2::{TokenStream, TokenTree};
use std::collections::BTreeSet;

const DOCS: [&str; 2] = ["README.md", "ARCHITECTURE.md"];

/// What a row of the status table may say.
const STATES: [&str; 3] = ["works", "partly", "not yet"];

/// Commands in the README's transcripts that are not ours.
const OF_THE_SYSTEM: [&str; 7] = ["bash", "cargo", "cat", "cd", "export", "nvidia-smi", "systemctl"];

/// The lines of the blocks fenced as ```` ```LANGUAGE ````.
fn fenced<'t>(text: &'t str, language: &str) -> Vec<&'t str> {
    let mut inside: Option<bool> = None;
    let mut lines = Vec::new();
    for line in text.lines() {
        match (line.trim_start().strip_prefix("```"), inside) {
            (Some(_), Some(_)) => inside = None,
            (Some(info), None) => inside = Some(info.trim() == language),
            (None, Some(true)) => lines.push(line),
            (None, _) => {}
        }
    }
    lines
}

/// A ```` ```sh ```` block holds commands for people to run, one a line: CI runs each of them as it stands.
#[test]
fn ci_runs_every_command_that_the_readme_tells_people_to_run() {
    let commands: Vec<&str> =
        fenced(tree::text("README.md"), "sh").into_iter().filter(|line| !line.trim().is_empty()).collect();
    let ci = tree::text(".ci/run");
    let broken: Vec<String> = commands
        .iter()
        .filter(|command| !ci.contains(**command))
        .map(|command| format!("`{command}` is not in .ci/run"))
        .collect();
    holds("commands of the README that nobody runs:", &broken);

    let first = commands.first().expect("the README has commands");
    assert!(
        first.starts_with("cargo run --release ") && first.ends_with("-- demo"),
        "the first command is the demo: {first}"
    );
    let second = commands.get(1).expect("the README has a second command");
    assert!(second.starts_with("cargo test "), "the second command is the tests: {second}");
}

#[test]
fn every_package_that_a_cargo_command_names_exists() {
    let mut broken = Vec::new();
    for doc in DOCS {
        let blocks = ["sh", "console"].map(|language| fenced(tree::text(doc), language)).concat();
        for line in blocks.iter().filter(|line| line.contains("cargo ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let named = words.windows(2).filter(|two| two[0] == "-p").map(|two| two[1]);
            for name in named.filter(|name| !tree::packages().iter().any(|package| package.name == *name)) {
                broken.push(format!("{doc}: `{line}`: there is no package {name}"));
            }
        }
    }
    holds("a cargo command:", &broken);
}

#[test]
fn every_command_in_a_transcript_exists() {
    let known = texts_of_the_commands();
    let mut broken = Vec::new();
    for doc in DOCS {
        for line in fenced(tree::text(doc), "console").into_iter().filter_map(|line| line.strip_prefix("$ ")) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let command = words.first().copied().unwrap_or_default();
            if !OF_THE_SYSTEM.contains(&command) && !known.contains(command) {
                broken.push(format!("{doc}: `{line}`: there is no command {command}"));
            }
            let verb = words.get(1).filter(|verb| command == "squall" && !verb.starts_with('-'));
            broken.extend(
                verb.filter(|verb| !known.contains(**verb)).map(|verb| format!("{doc}: there is no `squall {verb}`")),
            );
        }
    }
    holds("a transcript:", &broken);
}

#[test]
fn the_status_table_names_only_what_exists() {
    let rows: Vec<Vec<&str>> = tree::text("README.md")
        .lines()
        .skip_while(|line| !line.starts_with("| Capability"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    assert!(rows.len() > 10, "the README has a table of what works: `| Capability | State | Where |`");
    let mut broken = Vec::new();
    for row in rows {
        let [capability, state, place] = row.as_slice() else {
            broken.push(format!("{row:?}: not three columns"));
            continue;
        };
        let known = STATES.iter().find(|known| state == *known || state.starts_with(&format!("{known}:")));
        broken.extend(known.is_none().then(|| format!("{capability}: `{state}` is none of {STATES:?}")));
        let paths: Vec<&str> = backticked(place).collect();
        let nowhere = paths.is_empty() && known.is_some_and(|known| *known != "not yet");
        broken.extend(nowhere.then(|| format!("{capability}: {state}, but where?")));
        let missing = paths.into_iter().filter(|path| !tree::root().join(path).exists());
        broken.extend(missing.map(|path| format!("{capability}: `{path}` does not exist")));
    }
    holds("the status table:", &broken);
}

#[test]
fn every_path_that_the_docs_name_exists() {
    let folders = ["scheduler/", "provisioners/", "nodeimage/", "tests/", "terraform/", ".ci/"];
    let mut broken = Vec::new();
    for doc in DOCS {
        let text = tree::text(doc);
        let named = backticked(text)
            .filter(|path| folders.iter().any(|folder| path.starts_with(folder)) && !path.contains(['*', '{', '…']));
        let linked =
            text.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains("://"));
        for path in named.chain(linked) {
            let path = path.split(['#', ' ']).next().unwrap_or_default();
            broken.extend((!tree::root().join(path).exists()).then(|| format!("{doc}: `{path}`")));
        }
    }
    holds("the docs name what is not there:", &broken);
}

#[test]
fn every_function_and_type_that_the_architecture_names_exists() {
    let mut known = BTreeSet::new();
    for file in tree::texts().iter().filter(|file| file.is_rust()) {
        names(tokens::whole(file), &mut known);
    }
    let proto = tree::texts().iter().filter(|file| file.path.ends_with(".proto"));
    known.extend(proto.flat_map(|file| file.text.split(|c: char| !c.is_alphanumeric() && c != '_')).map(str::to_owned));
    let mut broken = Vec::new();
    for name in backticked(tree::text("ARCHITECTURE.md")).filter(|name| name.contains("::") || name.ends_with("()")) {
        let parts = name.trim_end_matches("()").split("::");
        for part in parts.filter(|part| !known.contains(*part)) {
            broken.push(format!("`{name}`: nothing is called `{part}`"));
        }
    }
    holds("ARCHITECTURE.md names what is not in the code:", &broken);
}

/// What stands between single backticks, outside fenced blocks.
fn backticked(text: &str) -> impl Iterator<Item = &str> {
    let mut in_fence = false;
    let prose = text.lines().filter(move |line| {
        let fence = line.trim_start().starts_with("```");
        in_fence ^= fence;
        !fence && !in_fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2))
}

/// Every text literal in the sources of the commands: their names and their verbs are among them.
fn texts_of_the_commands() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in tree::texts().iter().filter(|file| file.is_product() && file.path.starts_with("scheduler/cli/src/")) {
        literals(tokens::product(file), &mut found);
    }
    found
}

fn literals(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => found.extend(literal.to_string().split('"').nth(1).map(str::to_owned)),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

fn names(tokens: TokenStream, found: &mut BTreeSet<String>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => names(group.stream(), found),
            TokenTree::Ident(ident) => _ = found.insert(ident.to_string()),
            TokenTree::Literal(_) | TokenTree::Punct(_) => {}
        }
    }
}
