//! Files that only the controller reads.

use super::IdentityError;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// Keys and certificates are far smaller.
const MAX_BYTES: u64 = 1 << 20;

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl Fn(std::io::Error) -> IdentityError + 'a {
    move |source| IdentityError::File { doing, path: path.to_owned(), source }
}

/// A folder that only its owner enters.
pub fn private_dir(path: &Path) -> Result<(), IdentityError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed("making", path))?;
    check_private(path, &std::fs::metadata(path).map_err(failed("looking at", path))?)
}

fn check_private(path: &Path, metadata: &std::fs::Metadata) -> Result<(), IdentityError> {
    let wanted = nix::unistd::geteuid().as_raw();
    if metadata.mode() & 0o077 != 0 || metadata.uid() != wanted {
        let (mode, owner) = (metadata.mode() & 0o7777, metadata.uid());
        return Err(IdentityError::Exposed { path: path.to_owned(), mode, owner, wanted });
    }
    Ok(())
}

/// The content of a secret file; `None` where there is none.
pub fn read_secret(path: &Path) -> Result<Option<Vec<u8>>, IdentityError> {
    let file = match OpenOptions::new().read(true).custom_flags(nix::libc::O_NOFOLLOW).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("opening", path)(error)),
    };
    check_private(path, &file.metadata().map_err(failed("looking at", path))?)?;
    let mut content = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut content).map_err(failed("reading", path))?;
    Ok(Some(content))
}

/// Writes a secret file whole or not at all, and has it on disk.
pub fn write_secret(path: &Path, content: &[u8]) -> Result<(), IdentityError> {
    let aside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        match std::fs::remove_file(&aside) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&aside, path)?;
        path.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    };
    write().map_err(failed("writing", path))
}

/// A secret that is made once and then stays.
pub fn secret_or_new(
    path: &Path,
    make: impl FnOnce() -> Result<Vec<u8>, IdentityError>,
) -> Result<Vec<u8>, IdentityError> {
    if let Some(content) = read_secret(path)? {
        return Ok(content);
    }
    let content = make()?;
    write_secret(path, &content)?;
    Ok(content)
}
