//! `squall install-links DIR`: the names under which programs know the commands.

use super::wrong_call;
use crate::command::Command;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::terminal::{escaped, plain};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let [folder] = words else { return Err(wrong_call("install-links")) };
    let failed =
        |error: std::io::Error| Failure::error("squall", format_args!("{}: {}", escaped(folder), plain(&error)));
    let this = std::env::current_exe().map_err(failed)?;
    let folder_path = invocation.directory.join(folder);
    fs::create_dir_all(&folder_path).map_err(failed)?;
    for command in Command::LINKED {
        let link = folder_path.join(command.name());
        place(&this, &link)?;
        writeln!(invocation.out, "{} -> {}", link.display(), this.display())?;
    }
    Ok(0)
}

/// A link of ours may lead elsewhere now; anything else that stands there is somebody's.
fn place(this: &Path, link: &Path) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::error("squall", format_args!("{}: {}", link.display(), plain(&error)));
    match fs::symlink_metadata(link) {
        Err(_) => symlink(this, link).map_err(failed),
        Ok(there) if there.is_symlink() && is_ours(link) => {
            fs::remove_file(link).and_then(|()| symlink(this, link)).map_err(failed)
        }
        Ok(_) => Err(Failure::error("squall", format_args!("{} exists and is not a link to squall", link.display()))
            .advising(Advice {
                limit: "nothing is overwritten that somebody else put there".to_owned(),
                try_this: "another folder, before the other one in PATH".to_owned(),
                code: "SQ0016",
                ..Advice::default()
            })),
    }
}

fn is_ours(link: &Path) -> bool {
    let leads_to = fs::read_link(link).ok();
    let name = leads_to.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("squall"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_renewed_and_nothing_else_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("sbatch");
        place(Path::new("/old/squall"), &link).unwrap();
        place(Path::new("/new/squall"), &link).unwrap();
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("/new/squall"));
        let other = folder.path().join("srun");
        fs::write(&other, "somebody's own").unwrap();
        assert!(place(Path::new("/new/squall"), &other).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"somebody's own");
    }
}
