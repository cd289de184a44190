//! The commands as links to one binary.

use crate::command::Command;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Makes a link for `squall` and each of Slurm's commands; links that are there are replaced, other files are not.
///
/// # Errors
/// As the file system says; `AlreadyExists` for a file that is no link.
pub fn install(folder: &Path, program: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for command in Command::LINKED.into_iter().chain([Command::Squall]) {
        let link = folder.join(command.name());
        match fs::symlink_metadata(&link) {
            Ok(there) if there.is_symlink() => {
                // Replaced by renaming, so that the command is never missing.
                let aside = folder.join(format!(".{}.new", command.name()));
                let _ = fs::remove_file(&aside);
                symlink(program, &aside)?;
                fs::rename(&aside, &link)?;
            }
            Ok(_) => {
                let text = format!("{} is there and no link", link.display());
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
            }
            Err(_) => symlink(program, &link)?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_replaced_and_other_files_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        install(folder.path(), Path::new("/one")).unwrap();
        install(folder.path(), Path::new("/two")).unwrap();
        assert_eq!(fs::read_link(folder.path().join("sbatch")).unwrap(), Path::new("/two"));
        assert_eq!(fs::read_link(folder.path().join("squall")).unwrap(), Path::new("/two"));
        fs::remove_file(folder.path().join("squeue")).unwrap();
        fs::write(folder.path().join("squeue"), "another's").unwrap();
        assert_eq!(install(folder.path(), Path::new("/three")).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(folder.path().join("squeue")).unwrap(), "another's");
    }
}
