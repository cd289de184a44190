//! Letters on their way: each is a file until the mail program has taken it, so that a controller that dies loses none
//! that it had written down. What it had not, between the commit of an event and this folder, is not told: accounting
//! has it, and a letter is no record.

use super::letters::Letter;
use serde::{Deserialize, Serialize};
use squall_types::JobId;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Letters that wait; further ones are dropped.
const MAX_WAITING: usize = 10_000;
/// How long the mail program may take for one.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often a letter is tried, and between two rounds.
const TRIES: u32 = 10;
const AGAIN: Duration = Duration::from_secs(60);
/// A letter on disk.
const MAX_FILE: u64 = 64 * 1024;

/// A folder of letters.
#[derive(Clone, Debug)]
pub struct Outbox {
    dir: PathBuf,
    more: Arc<Notify>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    job: u32,
    to: Vec<String>,
    subject: String,
}

impl Outbox {
    /// # Errors
    /// Where the folder cannot be made.
    pub fn open(dir: &Path) -> io::Result<Outbox> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        Ok(Outbox { dir: dir.to_owned(), more: Arc::new(Notify::new()) })
    }

    /// Numbers of the letters that wait, the oldest first.
    fn waiting(&self) -> Vec<u64> {
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten();
        let mut numbers: Vec<u64> =
            entries.filter_map(|entry| u64::from_str_radix(entry.file_name().to_str()?, 16).ok()).collect();
        numbers.sort_unstable();
        numbers
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:016x}"))
    }

    /// # Errors
    /// Where it cannot be written down, or too many wait already.
    pub fn put(&self, letter: &Letter) -> io::Result<()> {
        let waiting = self.waiting();
        if waiting.len() >= MAX_WAITING {
            return Err(io::Error::other(format!("{MAX_WAITING} letters wait already")));
        }
        let number = waiting.last().map_or(0, |last| last + 1);
        let stored = Stored { job: letter.job.0, to: letter.to.clone(), subject: letter.subject.clone() };
        let aside = self.dir.join("new");
        let mut file = File::create(&aside)?;
        file.write_all(&serde_json::to_vec(&stored).map_err(io::Error::other)?)?;
        file.sync_all()?;
        fs::rename(&aside, self.path(number))?;
        self.more.notify_one();
        Ok(())
    }

    fn read(&self, number: u64) -> io::Result<Letter> {
        let path = self.path(number);
        if path.metadata()?.len() > MAX_FILE {
            return Err(io::Error::other("it is too long for a letter"));
        }
        let Stored { job, to, subject } = serde_json::from_slice(&fs::read(path)?).map_err(io::Error::other)?;
        Ok(Letter { job: JobId(job), to, subject })
    }

    /// Hands letters to the program, for ever: in order, one at a time, and again where it fails.
    pub async fn deliver(self, program: PathBuf, cluster: String) {
        let mut tries: BTreeMap<u64, u32> = BTreeMap::new();
        loop {
            let mut failed = false;
            for number in self.waiting() {
                let sent = match self.read(number) {
                    Ok(letter) => send(&program, &cluster, &letter).await,
                    Err(error) => Err(error.to_string()),
                };
                let tried = tries.entry(number).or_default();
                *tried += 1;
                match sent {
                    Err(reason) if *tried < TRIES => {
                        tracing::warn!(reason, tries = *tried, "a letter was not taken by the mail program");
                        failed = true;
                        // The others would fare no better now.
                        break;
                    }
                    Err(reason) => tracing::error!(reason, "a letter is given up"),
                    Ok(()) => {}
                }
                tries.remove(&number);
                if let Err(error) = fs::remove_file(self.path(number)) {
                    tracing::error!(%error, "a letter that was sent cannot be removed");
                    failed = true;
                    break;
                }
            }
            if failed {
                tokio::time::sleep(AGAIN).await;
            } else {
                self.more.notified().await;
            }
        }
    }
}

/// As Slurm calls it: `mail -s SUBJECT USER...`, with nothing to read.
async fn send(program: &Path, cluster: &str, letter: &Letter) -> Result<(), String> {
    let mut command = tokio::process::Command::new(program);
    command.arg("-s").arg(&letter.subject).args(&letter.to).env_clear().kill_on_drop(true);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()));
    command.env("SLURM_JOB_ID", letter.job.to_string()).env("SLURM_CLUSTER_NAME", cluster);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    match tokio::time::timeout(PATIENCE, command.status()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("{} ended with {status}", program.display())),
        Ok(Err(error)) => Err(format!("{}: {error}", program.display())),
        Err(_) => Err(format!("{} took more than {} s", program.display(), PATIENCE.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(job: u32) -> Letter {
        Letter { job: JobId(job), to: vec!["ann".into()], subject: format!("Slurm Job_id={job} Name=x Ended") }
    }

    #[tokio::test]
    async fn letters_wait_for_the_program_and_survive_their_writer() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(&dir.path().join("mail")).unwrap();
        outbox.put(&letter(1)).unwrap();
        outbox.put(&letter(2)).unwrap();
        drop(outbox);
        let told = dir.path().join("told");
        let program = dir.path().join("mail.sh");
        let script = format!("#!/bin/sh\necho \"$2|$3|$SLURM_JOB_ID|$SLURM_CLUSTER_NAME\" >> {}\n", told.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let outbox = Outbox::open(&dir.path().join("mail")).unwrap();
        let delivery = tokio::spawn(outbox.clone().deliver(program, "storm".into()));
        while !outbox.waiting().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        outbox.put(&letter(3)).unwrap();
        while !outbox.waiting().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        delivery.abort();
        let line = |job| format!("Slurm Job_id={job} Name=x Ended|ann|{job}|storm\n");
        assert_eq!(fs::read_to_string(&told).unwrap(), [line(1), line(2), line(3)].concat());
    }

    #[tokio::test]
    async fn what_the_program_does_not_take_stays() {
        let dir = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(dir.path()).unwrap();
        assert!(send(Path::new("/bin/false"), "storm", &letter(1)).await.unwrap_err().contains("exit status: 1"));
        assert!(send(Path::new("/no/such/program"), "storm", &letter(1)).await.is_err());
        outbox.put(&letter(1)).unwrap();
        fs::write(dir.path().join("not-a-letter"), "x").unwrap();
        assert_eq!(outbox.waiting(), [0]);
        assert_eq!(outbox.read(0).unwrap(), letter(1));
    }
}
