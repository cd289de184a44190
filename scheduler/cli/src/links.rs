//! The commands as links to a program.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The program that starts sooner since it has Slurm's commands alone, where it is beside `squall`.
pub fn commands_beside(squall: &Path) -> Option<PathBuf> {
    Some(squall.with_file_name("squall-commands")).filter(|program| program.is_file())
}

/// A link of ours may lead elsewhere now; anything else that stands there is somebody's. Replaced by renaming, so that
/// the command is never missing.
///
/// # Errors
/// As the file system says; `AlreadyExists` for what is no link to a program of Squall's.
pub fn place(program: &Path, link: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(there) if there.is_symlink() && is_ours(link) => {
            let name = link.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let aside = link.with_file_name(format!(".{name}.new"));
            let _ = fs::remove_file(&aside);
            symlink(program, &aside)?;
            fs::rename(&aside, link)
        }
        Ok(_) => {
            let text = format!("{} exists and is not a link to squall", link.display());
            Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
        }
        Err(_) => symlink(program, link),
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
        let is = |name: &str| fs::read_link(folder.path().join(name)).unwrap();
        for program in ["/old/squall", "/new/squall"] {
            for name in ["sbatch", "squeue", "srun", "squall"] {
                place(Path::new(program), &folder.path().join(name)).unwrap();
            }
        }
        assert_eq!((is("sbatch"), is("squall")), ("/new/squall".into(), "/new/squall".into()));
        for (name, of) in [("squeue", "a file of somebody's"), ("srun", "a link of somebody's")] {
            fs::remove_file(folder.path().join(name)).unwrap();
            match of.starts_with("a file") {
                true => fs::write(folder.path().join(name), of).unwrap(),
                false => symlink("/opt/slurm/bin/srun", folder.path().join(name)).unwrap(),
            }
            let refused = place(Path::new("/new/squall"), &folder.path().join(name)).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists, "{of}");
        }
        assert_eq!(fs::read_to_string(folder.path().join("squeue")).unwrap(), "a file of somebody's");
        assert_eq!(is("srun"), Path::new("/opt/slurm/bin/srun"));
    }

    #[test]
    fn the_small_program_is_taken_where_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let (squall, small) = (folder.path().join("squall"), folder.path().join("squall-commands"));
        assert_eq!(commands_beside(&squall), None);
        fs::write(&small, "").unwrap();
        assert_eq!(commands_beside(&squall), Some(small));
    }
}
