//! Plain text that looks the same everywhere and speaks of the product only.

use super::{holds, tree};

/// How paths begin that exist only on the machine of whoever wrote the file, after their first slash.
const OF_ONE_MACHINE: [&str; 7] = ["root/.", "Users/", "work/", "workspace/", "workspaces/", "builds/", "github/"];

/// A file that is larger belongs elsewhere. Bytes.
const LARGEST: usize = 512 * 1024;

#[test]
fn no_file_names_a_path_of_the_machine_it_was_written_on() {
    let mut broken = Vec::new();
    for file in tree::texts() {
        for (at, line) in file.text.lines().enumerate() {
            for folder in OF_ONE_MACHINE {
                let path = format!("/{folder}");
                let begins =
                    |index: usize| !line[..index].ends_with(|c: char| c.is_alphanumeric() || "._-}*".contains(c));
                if line.match_indices(&path).any(|(index, _)| begins(index)) {
                    broken.push(format!("{}:{}: {path}", file.path, at + 1));
                }
            }
            if line.contains(concat!("../", "shared")) || line.contains(concat!(".cargo/", "registry")) {
                broken.push(format!("{}:{}: {}", file.path, at + 1, line.trim()));
            }
        }
    }
    holds("a path that nobody else has:", &broken);
}

#[test]
fn text_is_clean() {
    let mut broken = Vec::new();
    for file in tree::texts().iter().filter(|file| file.path != "Cargo.lock" && !file.path.ends_with(".snap")) {
        let path = &file.path;
        broken.extend(
            (!file.text.is_empty() && !file.text.ends_with('\n')).then(|| format!("{path}: no newline at its end")),
        );
        broken.extend(file.text.contains('\r').then(|| format!("{path}: carriage returns")));
        broken.extend((file.text.len() > LARGEST).then(|| format!("{path}: {} bytes", file.text.len())));
        for (at, line) in file.text.lines().enumerate() {
            let unseen = line.chars().any(|c| {
                c.is_control() && c != '\t'
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}')
            });
            let merge = ["<<<<<<< ", ">>>>>>> "].iter().any(|mark| line.starts_with(mark));
            let trailing = line.ends_with([' ', '\t']) && !path.ends_with(".md");
            broken.extend((unseen || merge || trailing).then(|| format!("{path}:{}: {line:?}", at + 1)));
        }
    }
    holds("no trailing blanks, no carriage returns, no unseen characters, no marks of a merge:", &broken);
}
