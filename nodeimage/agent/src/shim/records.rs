//! What a shim writes down in its folder, and what an agent reads there.
//!
//! Synced is what counts after the loss of the machine: that a launch was claimed, and how it ended. That it had started,
//! could not, or was cleared away says something of processes, which are lost with the machine.

use crate::cell::Process;
use crate::clock;
use crate::duty::Now;
use crate::ledger::sealed::{self, SealedError};
use minicbor::{Decode, Encode};
use squall_types::agent::{ExitStatus, Usage};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Who may execute a launch. Made once, by linking: the first to claim has it, and a claim by nobody is
/// the proof that the launch has executed nothing and never will.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Claim {
    /// `None`: nobody may.
    #[n(0)]
    pub shim: Option<Process>,
    /// Of which boot of the machine.
    #[n(1)]
    pub boot_id: String,
}

/// It runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Started {
    /// The batch shell; `None` where the shim waits for steps.
    #[n(0)]
    pub main: Option<Process>,
    #[n(1)]
    pub began: Now,
}

/// Nothing was executed.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Failed {
    #[n(0)]
    pub text: String,
    #[n(1)]
    pub at: Now,
}

/// How the script ended. Written before anything is cleared away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Exit {
    #[n(0)]
    pub status: ExitStatus,
    #[n(1)]
    pub ended: Now,
    #[n(2)]
    pub usage: Usage,
    /// The kernel killed something for want of memory.
    #[n(3)]
    pub out_of_memory: bool,
}

/// Nothing of it lives any more. The usage is that of all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Clean {
    #[n(0)]
    pub usage: Usage,
}

/// One step of a launch's way, in the order in which they are written.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Word {
    #[n(0)]
    Started(#[n(0)] Started),
    #[n(1)]
    Failed(#[n(0)] Failed),
    #[n(2)]
    Exit(#[n(0)] Exit),
    #[n(3)]
    Clean(#[n(0)] Clean),
}

/// One file for all that a shim has to say: each new file would cost more than what is written into it.
const COURSE: &str = "course";

/// Where a shim writes it.
#[derive(Debug)]
pub struct Course {
    file: File,
}

impl Course {
    /// Lost with the machine.
    ///
    /// # Errors
    /// As the file system says. Nothing of the word is then in the file: half a word would hide all that follows it, and a
    /// disk that is full when a job starts may have room when it ends.
    pub fn say(&mut self, word: &Word) -> io::Result<()> {
        let before = self.file.metadata()?.len();
        let said = self.file.write_all(&sealed::seal(word)?);
        if said.is_err() {
            self.file.set_len(before)?;
        }
        said
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// As the file system says.
    pub fn say_for_good(&mut self, word: &Word) -> io::Result<()> {
        self.say(word)?;
        self.file.sync_all()
    }
}

/// A shim's folder.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

impl Folder {
    fn claim_path(&self, launch: u32) -> PathBuf {
        self.0.join(format!("claim-{launch}"))
    }

    /// Claims a launch; `false` where somebody else has. Durable, and with it that the folder has a [`Course`].
    pub fn claim(&self, launch: u32, claim: &Claim) -> io::Result<bool> {
        let path = self.claim_path(launch);
        // The answer is mostly known without making anything.
        if path.exists() {
            return Ok(false);
        }
        sealed::write_new(&path, claim, true)
    }

    /// The same for a step, which is never begun again: its claim may be lost with the machine.
    pub fn claim_step(&self, claim: &Claim) -> io::Result<bool> {
        sealed::write_new(&self.claim_path(1), claim, false)
    }

    pub fn claimed(&self, launch: u32) -> Result<Claim, SealedError> {
        sealed::read(&self.claim_path(launch))
    }

    /// What a shim that has claimed its launch goes on to write.
    ///
    /// # Errors
    /// As the file system says.
    pub fn course(&self) -> io::Result<Course> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(self.0.join(COURSE))?;
        Ok(Course { file })
    }

    fn words(&self) -> impl Iterator<Item = Word> {
        sealed::read_all(&self.0.join(COURSE)).into_iter()
    }

    /// `None` where nothing says so; and so for the others.
    pub fn started(&self) -> Option<Started> {
        self.words().find_map(|word| if let Word::Started(started) = word { Some(started) } else { None })
    }

    pub fn failed(&self) -> Option<Failed> {
        self.words().find_map(|word| if let Word::Failed(failed) = word { Some(failed) } else { None })
    }

    pub fn exit(&self) -> Option<Exit> {
        self.words().find_map(|word| if let Word::Exit(exit) = word { Some(exit) } else { None })
    }

    pub fn clean(&self) -> Option<Clean> {
        self.words().find_map(|word| if let Word::Clean(clean) = word { Some(clean) } else { None })
    }

    /// The shims that claimed a launch in this very folder, since the machine booted.
    fn own_shims(&self) -> impl Iterator<Item = Process> {
        let boot_id = clock::boot_id();
        let entries = fs::read_dir(&self.0).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("claim-"))
            .filter_map(|entry| sealed::read::<Claim>(&entry.path()).ok())
            .filter(move |claim| claim.boot_id == boot_id)
            .filter_map(|claim| claim.shim)
    }
}

/// All shims of a run: its own, and those of its steps, which have folders within it.
pub fn shims(run_dir: &Path) -> BTreeSet<Process> {
    let steps = fs::read_dir(run_dir).into_iter().flatten().flatten();
    let steps = steps.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
    let folders = std::iter::once(Folder(run_dir.to_owned())).chain(steps.map(|entry| Folder(entry.path())));
    folders.flat_map(|folder| folder.own_shims().collect::<Vec<_>>()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use squall_types::{Span, Timestamp};
    use std::process::Command;

    const DIR: &str = "SQUALL_TEST_COURSE";

    fn now() -> Now {
        Now { wall: Timestamp(1), uptime: Span::from_secs(1) }
    }

    #[test]
    fn a_word_for_which_there_was_no_room_hides_none_that_follows() {
        let dir = tempfile::tempdir().unwrap();
        // A limit for files is met as a full disk is: with a part of what was to be written.
        let limited = "trap '' XFSZ; ulimit -f 1; exec \"$0\" \"$@\"";
        let mut writer = Command::new("sh");
        writer.args(["-c", limited]).arg(std::env::current_exe().unwrap()).env(DIR, dir.path());
        writer.args(["shim::records::tests::writes_until_nothing_fits", "--exact", "--ignored"]);
        assert!(writer.output().unwrap().status.success());
        let folder = Folder(dir.path().to_owned());
        assert!(folder.started().is_some());
        let exit = Exit { status: ExitStatus::default(), ended: now(), usage: Usage::default(), out_of_memory: false };
        folder.course().unwrap().say_for_good(&Word::Exit(exit)).unwrap();
        assert_eq!(folder.exit(), Some(exit));
    }

    #[test]
    #[ignore = "a part of another test"]
    fn writes_until_nothing_fits() {
        let Some(dir) = std::env::var_os(DIR) else { return };
        let folder = Folder(dir.into());
        let mut course = folder.course().unwrap();
        let word = Word::Started(Started { main: None, began: now() });
        let room = (0..10_000).find(|_| course.say(&word).is_err());
        assert_eq!(room, Some(folder.words().count()), "what was said is there, and no more");
    }
}
