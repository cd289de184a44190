//! A file for the nodes of a job (`sbcast`): written by a process of its own that has given up the agent's rights, in
//! the job's cell, so that nothing is written that the job itself could not have written.
//!
//! The plan comes on standard input, four bytes of length and so much CBOR, and then the content. The file appears under
//! its name when it is whole, and not before. What went wrong is said on standard output.

use super::identity::Identity;
use crate::cell::Cell;
use crate::sys;
use minicbor::{Decode, Encode};
use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use std::fs::{File, FileTimes, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The longest plan: a path, a name, and a user's groups.
const MAX_PLAN: u32 = 1 << 20;

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct FilePlan {
    #[n(0)]
    pub cell: Cell,
    #[n(1)]
    pub identity: Identity,
    #[n(2)]
    pub path: String,
    #[n(3)]
    pub mode: u32,
    #[n(4)]
    pub size: u64,
    #[n(5)]
    pub force: bool,
    /// Milliseconds since the epoch.
    #[n(6)]
    pub accessed_at: Option<i64>,
    #[n(7)]
    pub modified_at: Option<i64>,
}

/// Takes a file from standard input. The exit code is the system's number for what went wrong.
pub fn run() -> i32 {
    match receive(&mut io::stdin().lock()) {
        Ok(()) => 0,
        Err(error) => {
            let errno = error.raw_os_error().unwrap_or(Errno::EIO as i32);
            println!(
                "{}",
                error.raw_os_error().map_or_else(|| error.to_string(), |code| Errno::from_raw(code).desc().to_owned())
            );
            // Of an exit code there are eight bits.
            if (1..=255).contains(&errno) { errno } else { Errno::EIO as i32 }
        }
    }
}

fn receive(from: &mut impl Read) -> io::Result<()> {
    sys::close_on_exec_from(3)?;
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > MAX_PLAN {
        return Err(io::Error::other("the plan is too long"));
    }
    let mut bytes = Vec::new();
    from.take(length.into()).read_to_end(&mut bytes)?;
    let plan: FilePlan = minicbor::decode(&bytes).map_err(io::Error::other)?;
    plan.cell.join()?;
    plan.identity.assume().map_err(io::Error::other)?;
    // From here on, nothing has more rights than the job itself.
    umask(Mode::from_bits_truncate(0o077));
    write(&plan, from)
}

fn write(plan: &FilePlan, from: &mut impl Read) -> io::Result<()> {
    let path = Path::new(&plan.path);
    if path.is_dir() {
        return Err(Errno::EISDIR.into());
    }
    // Before the content is taken: nobody sends a file for an hour to hear this.
    if !plan.force && path.symlink_metadata().is_ok() {
        return Err(Errno::EEXIST.into());
    }
    let aside = aside(path)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
    let stored = fill(&mut file, plan, from).and_then(|()| put(&aside, path, plan.force));
    if stored.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
    stored
}

/// A name beside the file's own that nobody else has.
fn aside(path: &Path) -> io::Result<PathBuf> {
    let name = path.file_name().ok_or(Errno::EISDIR)?.to_string_lossy();
    let short: String = name.chars().take(60).collect();
    Ok(path.with_file_name(format!(".{short}.sbcast-{}", std::process::id())))
}

fn fill(file: &mut File, plan: &FilePlan, from: &mut impl Read) -> io::Result<()> {
    // One byte more than was announced would show.
    let written = io::copy(&mut from.take(plan.size.saturating_add(1)), file)?;
    if written != plan.size {
        return Err(io::Error::other(format!("{written} bytes came of {}", plan.size)));
    }
    file.set_permissions(Permissions::from_mode(plan.mode & 0o777))?;
    let instant = |millis: i64| SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or(0));
    if let (Some(accessed), Some(modified)) = (plan.accessed_at, plan.modified_at) {
        file.set_times(FileTimes::new().set_accessed(instant(accessed)).set_modified(instant(modified)))?;
    }
    Ok(())
}

/// Gives the file its name.
fn put(aside: &Path, path: &Path, force: bool) -> io::Result<()> {
    if force {
        return std::fs::rename(aside, path);
    }
    match sys::rename_to_free(aside, path) {
        // Not every file system can; a second name for the same file fails as well where the name is taken.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS)) => {
            std::fs::hard_link(aside, path)?;
            std::fs::remove_file(aside)
        }
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Kind;

    fn plan(path: &Path, size: u64, force: bool) -> FilePlan {
        let identity = Identity::of(nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw()).unwrap();
        let cell = Cell { marker: String::new(), dir: String::new(), kind: Kind::Bare };
        let path = path.to_string_lossy().into_owned();
        FilePlan { cell, identity, path, mode: 0o750, size, force, accessed_at: Some(5000), modified_at: Some(7000) }
    }

    fn names(dir: &Path) -> Vec<String> {
        std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn a_file_is_there_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        let failed = write(&plan(&path, 5, false), &mut b"abc".as_slice());
        assert!(failed.unwrap_err().to_string().contains("3 bytes came of 5"));
        assert!(write(&plan(&path, 2, false), &mut b"abc".as_slice()).is_err(), "more than was announced");
        assert!(names(dir.path()).is_empty());
        write(&plan(&path, 3, false), &mut b"abc".as_slice()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        let about = path.metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o750);
        assert_eq!(about.modified().unwrap(), SystemTime::UNIX_EPOCH + Duration::from_secs(7));
        assert_eq!(names(dir.path()), ["tool"]);
    }

    #[test]
    fn what_is_there_is_replaced_only_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tool");
        std::fs::write(&path, "old").unwrap();
        let errno = |error: io::Error| error.raw_os_error();
        assert_eq!(write(&plan(&path, 3, false), &mut b"new".as_slice()).map_err(errno), Err(Some(libc::EEXIST)));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        write(&plan(&path, 3, true), &mut b"new".as_slice()).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(write(&plan(dir.path(), 3, true), &mut b"new".as_slice()).map_err(errno), Err(Some(libc::EISDIR)));
    }
}
