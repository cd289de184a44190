//! What is different on purpose. Blocks of `$ COMMAND` lines, then one or more lines with their reason.

use super::scene::folder;
use std::collections::BTreeMap;

pub struct Differences(BTreeMap<String, String>);

impl Differences {
    pub fn read() -> Differences {
        let text = std::fs::read_to_string(folder().join("differences.txt")).expect("the list of differences");
        let mut found = BTreeMap::new();
        for block in text.split("\n\n") {
            let lines: Vec<&str> = block.lines().filter(|line| !line.starts_with('#')).collect();
            let reason: String =
                lines.iter().filter(|line| !line.starts_with("$ ")).copied().collect::<Vec<_>>().join(" ");
            for command in lines.iter().filter_map(|line| line.strip_prefix("$ ")) {
                assert!(reason.len() > 20, "a difference without a reason: {command}");
                assert!(found.insert(command.to_owned(), reason.clone()).is_none(), "listed twice: {command}");
            }
        }
        Differences(found)
    }

    pub fn reason(&self, command: &str) -> Option<&str> {
        self.0.get(command).map(String::as_str)
    }

    pub fn commands(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }
}
