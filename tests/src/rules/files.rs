//! How long files are, and what they are called.

use super::{holds, tokens, tree};

/// No file is longer, unless the doc at its top says why it is one room.
const MOST_LINES: usize = 600;

/// Half of all source files are shorter.
const MEDIAN_BELOW: usize = 200;

/// What a long file says at its top, with its reason after it.
const ONE_ROOM: &str = "One room because ";

/// Words that say nothing about what is inside.
const EMPTY_WORDS: [&str; 14] = [
    "common",
    "handler",
    "handlers",
    "helper",
    "helpers",
    "manager",
    "managers",
    "misc",
    "stuff",
    "util",
    "utils",
    "utilities",
    "worker",
    "workers",
];

fn is_source(path: &str) -> bool {
    path.ends_with(".rs") || path.ends_with(".proto") || path.ends_with(".sh") || path == ".ci/run"
}

#[test]
fn a_long_file_says_why_it_is_one_room() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| is_source(&file.path)) {
        let lines = file.text.lines().count();
        let has_reason = file.module_doc().split_once(ONE_ROOM).is_some_and(|(_, reason)| reason.trim().len() > 10);
        if lines > MOST_LINES && !has_reason {
            broken.push(format!("{}: {lines} lines", file.path));
        }
    }
    holds(&format!("more than {MOST_LINES} lines need `//! {ONE_ROOM}…`, or better two files:"), &broken);
}

#[test]
fn most_files_are_short() {
    let mut lengths: Vec<usize> =
        tree::texts().iter().filter(|file| is_source(&file.path)).map(|file| file.text.lines().count()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median < MEDIAN_BELOW, "the median file has {median} lines; it should be below {MEDIAN_BELOW}");
}

#[test]
fn files_and_types_are_called_by_what_they_are() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_rust()) {
        let parts = file.path.trim_end_matches(".rs").split(['/', '_', '-']);
        broken.extend(parts.filter(|part| EMPTY_WORDS.contains(part)).map(|part| format!("{}: `{part}`", file.path)));
        for (word, next) in tokens::pairs(tokens::whole(file)) {
            let declares = ["mod", "struct", "enum", "trait", "type", "union"].iter().any(|keyword| word == keyword);
            if declares && words_of(&next).iter().any(|part| EMPTY_WORDS.contains(&part.as_str())) {
                broken.push(format!("{}:{}: `{next}`", file.path, word.span().start().line));
            }
        }
    }
    holds("a name that says nothing about what is inside:", &broken);
}

#[test]
fn every_module_says_what_it_is() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.is_product() && !file.path.ends_with("/main.rs")) {
        if !file.text.starts_with("//!") && !file.text.trim().is_empty() {
            broken.push(file.path.clone());
        }
    }
    holds("a file that does not begin with `//!` and what it is for:", &broken);
}

/// `NodeManager` and `node_manager` as `node`, `manager`.
fn words_of(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for c in name.chars() {
        if (c.is_uppercase() || c == '_') && words.last().is_some_and(|word| !word.is_empty()) {
            words.push(String::new());
        }
        if c != '_' {
            words.last_mut().expect("never empty").extend(c.to_lowercase());
        }
    }
    words
}
