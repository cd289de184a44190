//! What is written down of a run on its node, and what an agent reads there: one file, `course`, to which first the agent
//! and then the shim of a launch append.
//!
//! Durable is what counts after the loss of the machine: how a launch ended. The agent's ledger says that before anybody
//! hears of it, and a shim whose agent is gone makes this file last until there is one again. All else says something of
//! preparations and processes, which are lost with the machine: also that a launch was claimed, since what the ledger
//! shows as let loose before the machine booted is never let loose again.

use super::ShimPlan;
use super::step;
use crate::cell::Process;
use crate::clock;
use crate::duty::Now;
use crate::ledger::parse_run;
use crate::ledger::sealed::{self, Frames};
use crate::sys;
use minicbor::bytes::ByteVec;
use minicbor::{Decode, Encode};
use squall_types::agent::{ExitStatus, Usage};
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// All that a run needs is set up.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Prepared {
    /// What the machine keeps only while it is up is gone after a restart of it.
    #[n(0)]
    pub boot_id: String,
    /// As it was submitted.
    #[n(1)]
    pub environment: ByteVec,
}

/// Who may execute a launch. There is one for each: the first to claim has it, and a claim by nobody is
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

/// One step of a run's way, in the order in which they are written.
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
    /// By the agent; again after the loss of the machine.
    #[n(4)]
    Prepared(#[n(0)] Prepared),
    /// By the agent: what the shim of the next launch is to do.
    #[n(5)]
    Plan(#[n(0)] Box<ShimPlan>),
    /// By a shim, or by an agent for nobody.
    #[n(6)]
    Claim {
        #[n(0)]
        launch: u32,
        #[n(1)]
        claim: Claim,
    },
}

/// One file for all that there is to say: each new file would cost more than what is written into it.
const COURSE: &str = "course";

/// Where a run's way is written.
#[derive(Debug)]
pub struct Course {
    file: File,
    dir: PathBuf,
}

impl Course {
    /// Lost with the machine.
    ///
    /// # Errors
    /// As the file system says. Nothing of the word is then in the file: half a word would hide all that follows it, and a
    /// disk that is full when a job starts may have room when it ends.
    pub fn say(&mut self, word: &Word) -> io::Result<()> {
        self.say_all(std::slice::from_ref(word))
    }

    /// Several words at once.
    ///
    /// # Errors
    /// As [`Course::say`]: then none of them is there.
    pub fn say_all(&mut self, words: &[Word]) -> io::Result<()> {
        let bytes = words.iter().map(sealed::seal).collect::<io::Result<Vec<_>>>()?.concat();
        let mut written = 0;
        while written < bytes.len() {
            let wrote = self.file.write(&bytes[written..]).and_then(|length| match length {
                0 => Err(io::ErrorKind::WriteZero.into()),
                length => Ok(length),
            });
            match wrote {
                Ok(length) => written += length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    if written > 0 {
                        self.file.set_len(self.file.metadata()?.len().saturating_sub(written as u64))?;
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Words for a process that may not touch its memory any more; they are written, durably, when the closure is called.
    ///
    /// # Errors
    /// Words that are too long.
    pub fn last_words(&self, words: &[Word]) -> io::Result<impl FnOnce() + use<'_>> {
        let bytes = words.iter().map(sealed::seal).collect::<io::Result<Vec<_>>>()?.concat();
        let file = &self.file;
        Ok(move || {
            let mut writer = file;
            let _ = writer.write_all(&bytes).and_then(|()| file.sync_all());
            std::mem::forget(bytes);
        })
    }

    /// Durable when it returns.
    ///
    /// # Errors
    /// As the file system says.
    pub fn say_for_good(&mut self, word: &Word) -> io::Result<()> {
        self.say(word)?;
        self.keep()
    }

    /// Makes all that was said durable.
    ///
    /// # Errors
    /// As the file system says.
    pub fn keep(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        // And that there is such a file: nothing that was said before needed to last.
        sealed::sync_dir(&self.dir)
    }

    /// Claims a launch, if what is written down by then pleases; says what that was. `None` where somebody else has it.
    ///
    /// # Errors
    /// Where nobody can claim it, and what `pleases` says.
    pub fn claim(
        &mut self,
        launch: u32,
        claim: &Claim,
        pleases: impl FnOnce(&CourseRecord) -> io::Result<()>,
    ) -> Result<Option<CourseRecord>, ClaimError> {
        // Two who claim at once look one after the other. A process that ends lets go.
        self.file.lock()?;
        let claimed = self.claim_alone(launch, claim, pleases);
        // By hand: a copy of this process that is about to become a job would hold it as well.
        self.file.unlock()?;
        claimed
    }

    fn claim_alone(
        &mut self,
        launch: u32,
        claim: &Claim,
        pleases: impl FnOnce(&CourseRecord) -> io::Result<()>,
    ) -> Result<Option<CourseRecord>, ClaimError> {
        let record = CourseRecord::of(&self.dir, sealed::read_all_of(&self.file));
        pleases(&record)?;
        if record.claim(launch).is_some() {
            return Ok(None);
        }
        if !record.whole || record.foreign {
            return Err(ClaimError::Damaged);
        }
        self.say(&Word::Claim { launch, claim: claim.clone() })?;
        Ok(Some(record))
    }
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct Folder(pub PathBuf);

/// Why a launch could not be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// A claim may be among what cannot be read: nothing may be executed.
    #[error("what is written down of the run is damaged")]
    Damaged,
    #[error("the run's folder cannot be used: {0}")]
    Unusable(#[from] io::Error),
}

impl Folder {
    fn path(&self) -> PathBuf {
        self.0.join(COURSE)
    }

    /// How long the file is; 0 where there is none.
    pub fn bytes(&self) -> u64 {
        fs::metadata(self.path()).map_or(0, |file| file.len())
    }

    /// Claims a launch; `false` where somebody else has. Holds as long as the machine is up.
    ///
    /// # Errors
    /// Where nobody can claim it.
    pub fn claim(&self, launch: u32, claim: &Claim) -> Result<bool, ClaimError> {
        // The answer is mostly known without a lock, and without making anything.
        if self.record().claim(launch).is_some() {
            return Ok(false);
        }
        Ok(self.course()?.claim(launch, claim, |_| Ok(()))?.is_some())
    }

    /// To append to.
    ///
    /// # Errors
    /// As the file system says.
    pub fn course(&self) -> io::Result<Course> {
        let file = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(self.path())?;
        Ok(Course { file, dir: self.0.clone() })
    }

    /// Forgets what is not whole, or another run's, where it is known that nothing was executed: the machine was lost while
    /// it was written.
    ///
    /// # Errors
    /// As the file system says.
    pub fn begin_anew_if_damaged(&self) -> io::Result<()> {
        let record = self.record();
        if record.whole && !record.foreign { Ok(()) } else { fs::remove_file(self.path()) }
    }

    /// Forgets all, where a run is over and everybody has ended who wrote here.
    ///
    /// # Errors
    /// As the file system says.
    pub fn begin_anew(&self) -> io::Result<()> {
        // Closed before anything is written: what is written to a file that was just emptied, ext4 sends to the disk when
        // it is closed.
        OpenOptions::new().write(true).truncate(true).open(self.path()).map(drop)
    }

    /// All that is written down; nothing where there is no folder.
    pub fn record(&self) -> CourseRecord {
        CourseRecord::of(&self.0, sealed::read_all(&self.path()))
    }
}

/// What was written down of a run, as of one moment.
#[derive(Clone, Debug)]
pub struct CourseRecord {
    words: Vec<Word>,
    /// Nothing follows that cannot be read.
    whole: bool,
    /// It is of another run, and so is nothing of this one.
    foreign: bool,
}

impl CourseRecord {
    /// Of the run that has this folder now. When the machine was lost just after it was given the folder, the file may be
    /// as the run before left it: the plan that such a file begins with says whose it is.
    fn of(dir: &Path, frames: Frames<Word>) -> CourseRecord {
        let Frames { mut values, whole } = frames;
        let run = |dir: &Path| dir.file_name().and_then(|name| parse_run(name.to_str()?));
        let own = run(dir);
        let is_others = |word: &Word| match word {
            Word::Plan(plan) => run(Path::new(&plan.cell.dir)).is_some_and(|other| own.is_some_and(|own| own != other)),
            _ => false,
        };
        let foreign = values.iter().any(is_others);
        if foreign {
            values.clear();
        }
        CourseRecord { words: values, whole, foreign }
    }

    pub fn is_whole(&self) -> bool {
        self.whole
    }

    /// Of the last time that it was prepared; `None` where nothing says so, and so for the others.
    pub fn prepared(&self) -> Option<&Prepared> {
        self.words.iter().rev().find_map(|word| if let Word::Prepared(prepared) = word { Some(prepared) } else { None })
    }

    /// Of the last launch.
    pub fn plan(&self) -> Option<&ShimPlan> {
        self.words.iter().rev().find_map(|word| if let Word::Plan(plan) = word { Some(plan.as_ref()) } else { None })
    }

    pub fn claim(&self, wanted: u32) -> Option<&Claim> {
        self.claims().find_map(|(launch, claim)| (launch == wanted).then_some(claim))
    }

    /// Of every launch.
    pub fn claims(&self) -> impl Iterator<Item = (u32, &Claim)> {
        self.words.iter().filter_map(|word| match word {
            Word::Claim { launch, claim } => Some((*launch, claim)),
            _ => None,
        })
    }

    pub fn started(&self) -> Option<Started> {
        self.words.iter().find_map(|word| if let Word::Started(started) = word { Some(*started) } else { None })
    }

    pub fn failed(&self) -> Option<&Failed> {
        self.words.iter().find_map(|word| if let Word::Failed(failed) = word { Some(failed) } else { None })
    }

    pub fn exit(&self) -> Option<Exit> {
        self.words.iter().find_map(|word| if let Word::Exit(exit) = word { Some(*exit) } else { None })
    }

    pub fn clean(&self) -> Option<Clean> {
        self.words.iter().find_map(|word| if let Word::Clean(clean) = word { Some(*clean) } else { None })
    }
}

/// All shims of a run that have claimed something since the machine booted: its own, and those of its steps, which have
/// folders within it.
pub fn shims(run_dir: &Path) -> BTreeSet<Process> {
    let own = Folder(run_dir.to_owned()).record();
    let boot_id = clock::boot_id();
    let claims = own.claims().filter(|(_, claim)| claim.boot_id == boot_id);
    claims.filter_map(|(_, claim)| claim.shim).chain(shims_of_steps(run_dir)).collect()
}

/// The same without the run's own.
pub fn shims_of_steps(run_dir: &Path) -> Vec<Process> {
    if !sys::has_folders(run_dir) {
        return Vec::new();
    }
    let entries = fs::read_dir(run_dir).into_iter().flatten().flatten();
    let steps = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("step-"));
    steps.filter_map(|entry| step::shim_of(&entry.path())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::{Cell, Kind};
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
        assert!(folder.record().started().is_some());
        let exit = Exit { status: ExitStatus::default(), ended: now(), usage: Usage::default(), out_of_memory: false };
        folder.course().unwrap().say_for_good(&Word::Exit(exit)).unwrap();
        assert_eq!(folder.record().exit(), Some(exit));
    }

    #[test]
    #[ignore = "a part of another test"]
    fn writes_until_nothing_fits() {
        let Some(dir) = std::env::var_os(DIR) else { return };
        let folder = Folder(dir.into());
        let mut course = folder.course().unwrap();
        let word = Word::Started(Started { main: None, began: now() });
        let room = (0..10_000).find(|_| course.say(&word).is_err());
        assert_eq!(room, Some(folder.record().words.len()), "what was said is there, and no more");
    }

    fn claim_of(pid: u32) -> Claim {
        Claim { shim: Some(Process { pid, started: 1 }), boot_id: "this".to_owned() }
    }

    #[test]
    fn of_many_who_claim_a_launch_at_once_one_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let won = std::thread::scope(|scope| {
            let folder = Folder(dir.path().to_owned());
            let claims: Vec<_> = (1..=8)
                .map(|pid| {
                    let folder = folder.clone();
                    scope.spawn(move || folder.claim(1, &claim_of(pid)).unwrap().then_some(pid))
                })
                .collect();
            claims.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        let record = Folder(dir.path().to_owned()).record();
        let written: Vec<_> = record.claims().filter_map(|(_, claim)| claim.shim).map(|shim| shim.pid).collect();
        assert_eq!((won.len(), &written), (1, &won));
        assert_eq!(Folder(dir.path().to_owned()).claim(2, &claim_of(9)).ok(), Some(true), "the next launch is another");
    }

    #[test]
    fn nothing_is_claimed_where_a_claim_may_be_among_what_cannot_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder(dir.path().to_owned());
        folder.course().unwrap().say(&Word::Started(Started { main: None, began: now() })).unwrap();
        assert!(folder.claim(1, &claim_of(7)).unwrap());
        let whole = fs::read(folder.path()).unwrap();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(folder.path(), &bytes).unwrap();
            assert!(matches!(folder.claim(1, &claim_of(8)), Err(ClaimError::Damaged)), "bit {bit}");
            assert_eq!(fs::read(folder.path()).unwrap(), bytes, "and what is there stays there");
        }
        folder.begin_anew_if_damaged().unwrap();
        assert!(folder.claim(1, &claim_of(8)).unwrap());
    }

    /// As when the machine was lost after the folder was passed on, and before its file was.
    #[test]
    fn what_was_written_down_of_another_run_is_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = |run: &str| Folder(dir.path().join(run));
        fs::create_dir(&folder("7.1").0).unwrap();
        let cell = Cell { marker: "m=7.1".to_owned(), dir: folder("7.1").0.display().to_string(), kind: Kind::Bare };
        let exit = Exit { status: ExitStatus::default(), ended: now(), usage: Usage::default(), out_of_memory: false };
        let mut course = folder("7.1").course().unwrap();
        course.say(&Word::Plan(Box::new(ShimPlan { cell, task: None, cpus: vec![] }))).unwrap();
        assert!(folder("7.1").claim(1, &claim_of(8)).unwrap());
        course.say(&Word::Exit(exit)).unwrap();
        assert_eq!(folder("7.1").record().exit(), Some(exit));
        fs::rename(&folder("7.1").0, &folder("8.1").0).unwrap();
        let record = folder("8.1").record();
        assert!(record.exit().is_none() && record.plan().is_none() && record.claims().next().is_none());
        assert!(matches!(folder("8.1").claim(1, &claim_of(9)), Err(ClaimError::Damaged)), "nothing is executed by it");
        folder("8.1").begin_anew_if_damaged().unwrap();
        assert!(folder("8.1").claim(1, &claim_of(9)).unwrap());
    }
}
