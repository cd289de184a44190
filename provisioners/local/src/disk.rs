//! Files that are whole or not there, and the one lock under which anything changes.

use serde::Serialize;
use serde::de::DeserializeOwned;
use squall_provisioner::ProvisionError;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// No file of ours is larger; what is has been tampered with.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Something that could not be done to a file or folder.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}", path.display())]
pub(crate) struct DiskError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

impl DiskError {
    pub fn new(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self { action, path, source }
    }
}

/// Whether the effect happened cannot be told from a failure of the disk; a repeated call finds out.
impl From<DiskError> for ProvisionError {
    fn from(error: DiskError) -> Self {
        ProvisionError::unknown(error)
    }
}

/// Makes a folder that jobs of other users may pass through but not read.
pub(crate) fn make_folder(path: &Path) -> Result<(), DiskError> {
    DirBuilder::new().recursive(true).mode(0o711).create(path).map_err(DiskError::new("make", path))
}

/// Writes a file aside, syncs it, and renames it into place: readers see the old content or the new.
pub(crate) fn write_whole(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let aside = PathBuf::from(aside);
    let write = || {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(DiskError::new("write", path))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Writes a file that may be torn by a loss of power, as everything that it tells of would be lost by it.
pub(crate) fn write_unsynced(path: &Path, content: &[u8]) -> Result<(), DiskError> {
    let open = || OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    open().and_then(|mut file| file.write_all(content)).map_err(DiskError::new("write", path))
}

pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), DiskError> {
    write_whole(path, &encode(path, value)?)
}

pub(crate) fn encode(path: &Path, value: &impl Serialize) -> Result<Vec<u8>, DiskError> {
    serde_json::to_vec_pretty(value).map_err(|error| DiskError::new("encode", path)(error.into()))
}

/// `None` where there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, DiskError> {
    let read = || {
        let mut content = Vec::new();
        File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut content)?;
        if content.len() as u64 > MAX_FILE_BYTES {
            return Err(io::Error::other("it is larger than any file of ours"));
        }
        Ok(content)
    };
    match read() {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(DiskError::new("read", path)(error)),
    }
}

pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, DiskError> {
    let Some(content) = read(path)? else { return Ok(None) };
    serde_json::from_slice(&content).map(Some).map_err(|error| DiskError::new("decode", path)(error.into()))
}

/// The names in a folder that are not hidden, sorted; what is written aside is not among them.
pub(crate) fn names_in(folder: &Path) -> Result<Vec<String>, DiskError> {
    let failed = || DiskError::new("read", folder);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed())? {
        let name = entry.map_err(failed())?.file_name();
        names.extend(name.to_str().filter(|name| !name.starts_with('.') && !name.ends_with(".new")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(DiskError::new("move", from))?;
    to.parent().map_or(Ok(()), sync_folder)
}

pub(crate) fn sync_folder(folder: &Path) -> Result<(), DiskError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(DiskError::new("sync", folder))
}

/// Held while something changes. A child that was forked meanwhile holds it as well until it executes its program,
/// so nobody looks at a half-started agent.
pub(crate) struct RootLock {
    _file: File,
}

impl RootLock {
    pub fn take(path: &Path) -> Result<Self, DiskError> {
        let open = || OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
        let file = open().map_err(DiskError::new("open", path))?;
        file.lock().map_err(DiskError::new("lock", path))?;
        Ok(Self { _file: file })
    }
}
