//! Where a personal cluster keeps everything: one folder, so that it can be looked at, moved away and deleted.

use crate::command::Command;
use crate::links;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What a Unix socket's address can hold, less its end.
const MAX_SOCKET_PATH: usize = 107;

/// The folder of one personal cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
}

impl Place {
    /// Makes the folder where it is missing, readable by its owner alone.
    ///
    /// # Errors
    /// A folder that cannot be made, or whose path is too long for a socket in it.
    pub fn make(dir: &Path) -> io::Result<Place> {
        let dir = std::path::absolute(dir)?;
        let place = Place { dir };
        let length = place.socket().as_os_str().len();
        if length > MAX_SOCKET_PATH {
            let path = place.socket();
            let text =
                format!("the socket {} has {length} bytes, a socket's path at most {MAX_SOCKET_PATH}", path.display());
            return Err(io::Error::other(text));
        }
        // Jobs of the owner pass through it; others have no business here.
        DirBuilder::new().recursive(true).mode(0o700).create(&place.dir)?;
        fs::create_dir_all(place.bin())?;
        Ok(place)
    }

    /// The folder as it is; nothing is made.
    pub fn at(dir: &Path) -> Place {
        Place { dir: dir.to_owned() }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The configuration, which its owner may change.
    pub fn config(&self) -> PathBuf {
        self.dir.join("squall.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.join("ctld.sock")
    }

    /// The controller's output.
    pub fn log(&self) -> PathBuf {
        self.dir.join("controller.log")
    }

    /// Who the controller is: number and start time of its process.
    pub fn controller_record(&self) -> PathBuf {
        self.dir.join("controller.pid")
    }

    /// Held by the process that starts the controller again when it dies.
    pub fn keeper_lock(&self) -> PathBuf {
        self.dir.join("keeper.lock")
    }

    pub fn keeper_log(&self) -> PathBuf {
        self.dir.join("keeper.log")
    }

    /// The commands, as links.
    pub fn bin(&self) -> PathBuf {
        self.dir.join("bin")
    }

    /// Makes those of `squall` and of each of Slurm's commands, to `program`.
    ///
    /// # Errors
    /// As [`links::place`].
    pub fn link_commands(&self, program: &Path) -> io::Result<()> {
        for command in Command::LINKED.into_iter().chain([Command::Squall]) {
            links::place(program, &self.bin().join(command.name()))?;
        }
        Ok(())
    }

    /// Where nodes have their folders, by pool.
    pub fn nodes(&self) -> PathBuf {
        self.dir.join("nodes")
    }
}
