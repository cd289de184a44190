//! Where jobs find their sockets: a folder that only this user could have made.

use nix::unistd::geteuid;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Names the folder, where it is not the usual one.
pub const VARIABLE: &str = "SQUALL_RUNTIME_DIR";

#[derive(Debug, thiserror::Error)]
pub enum RuntimeDirError {
    #[error("the folder for jobs' sockets {0} cannot be made")]
    Failed(PathBuf, #[source] io::Error),
    #[error("the folder for jobs' sockets {0} belongs to another user, or others may write in it")]
    Unsafe(PathBuf),
}

/// The usual folder: that of the variable, else the system's or the user's own.
pub fn usual() -> PathBuf {
    if let Some(dir) = std::env::var_os(VARIABLE).filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    if geteuid().is_root() {
        return "/run/squall".into();
    }
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty()) {
        Some(dir) => Path::new(&dir).join("squall"),
        None => format!("/tmp/squall-{}", geteuid()).into(),
    }
}

/// Makes the folder, or makes sure that it is ours. Root's is for everybody to look into, a user's own for nobody else.
pub fn make(dir: &Path) -> Result<(), RuntimeDirError> {
    let failed = |error| RuntimeDirError::Failed(dir.to_owned(), error);
    let mode = if geteuid().is_root() { 0o755 } else { 0o700 };
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    match DirBuilder::new().mode(mode).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Of the entry itself: a link that somebody else laid there is not followed.
    let found = fs::symlink_metadata(dir).map_err(failed)?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.permissions().mode() & 0o022 != 0 {
        return Err(RuntimeDirError::Unsafe(dir.to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_could_write_in_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("squall");
        make(&path).unwrap();
        make(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(make(&path), Err(RuntimeDirError::Unsafe(_))));
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path(), &link).unwrap();
        assert!(matches!(make(&link), Err(RuntimeDirError::Unsafe(_))));
    }
}
