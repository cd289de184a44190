//! The scenes: what is typed on both sides, in this order.

use std::path::PathBuf;

/// One line of a scene.
pub enum Line {
    /// `. COMMAND`: makes things ready; its answer counts for nothing.
    Setup(String),
    /// `+ NAME COMMAND`: submits; `$NAME` is the job's number from here on, and the answer is compared.
    Submit { name: String, command: String },
    /// `~ NAME STATE|STATE`: until the job is in one of these states.
    Wait { job: String, states: Vec<String> },
    /// `$ COMMAND`: compared.
    Compare(String),
}

impl Line {
    /// What stands in the report, where the line's answer is compared.
    pub fn compared(&self) -> Option<&str> {
        match self {
            Line::Submit { command, .. } | Line::Compare(command) => Some(command),
            Line::Setup(_) | Line::Wait { .. } => None,
        }
    }

    fn read(text: &str) -> Line {
        let (sign, rest) = text.split_once(' ').unwrap_or_else(|| panic!("a scene's line: {text}"));
        let two = || rest.split_once(' ').unwrap_or_else(|| panic!("two words at least: {text}"));
        match sign {
            "." => Line::Setup(rest.to_owned()),
            "$" => Line::Compare(rest.to_owned()),
            "+" => Line::Submit { name: two().0.to_owned(), command: two().1.to_owned() },
            "~" => Line::Wait { job: two().0.to_owned(), states: two().1.split('|').map(str::to_owned).collect() },
            _ => panic!("a scene's line begins with `.`, `+`, `~` or `$`: {text}"),
        }
    }
}

/// Lines that belong together; what still runs at its end is cancelled.
pub struct Scene {
    pub name: String,
    pub lines: Vec<Line>,
}

/// Where the scripts and scenes are.
pub fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("slurm")
}

/// All scenes, in the order of their files' names. `SQUALL_TWIN_SCENES` chooses files by a part of their name.
pub fn all() -> Vec<Scene> {
    let listed = std::fs::read_dir(folder().join("table")).expect("there are scenes");
    let mut files: Vec<PathBuf> = listed.map(|entry| entry.expect("a file").path()).collect();
    files.sort();
    let chosen = std::env::var("SQUALL_TWIN_SCENES").unwrap_or_default();
    files.retain(|file| file.to_string_lossy().contains(&chosen));
    let read = |file: &PathBuf| Scene {
        name: file.file_stem().expect("a name").to_string_lossy().into_owned(),
        lines: std::fs::read_to_string(file)
            .expect("a scene")
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(Line::read)
            .collect(),
    };
    files.iter().map(read).collect()
}
