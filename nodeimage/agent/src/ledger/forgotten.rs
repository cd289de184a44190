//! The log of runs whose results were acknowledged: that they were here outlives what they were.

use crate::duty::MAX_FORGOTTEN;
use squall_types::ids::Run;
use squall_types::{Attempt, JobId};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Job, attempt, checksum of both: four bytes each.
const ENTRY: usize = 12;
/// The log is written anew when it holds so many entries.
const MAX_ENTRIES: usize = 2 * MAX_FORGOTTEN;

#[derive(Debug)]
pub(super) struct Forgotten {
    path: PathBuf,
    file: File,
    entries: usize,
    /// The highest forgotten attempt of each job.
    highest: BTreeMap<JobId, Attempt>,
}

impl Forgotten {
    /// Reads the log; entries that are damaged or torn are skipped.
    pub fn open(path: &Path) -> io::Result<(Forgotten, Vec<Run>)> {
        let mut bytes = Vec::new();
        match File::open(path) {
            // Compaction keeps it below this; more is not ours.
            Ok(file) => file.take((4 * MAX_ENTRIES * ENTRY) as u64).read_to_end(&mut bytes).map(|_| ())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let mut highest = BTreeMap::new();
        for entry in bytes.chunks_exact(ENTRY) {
            match decode(entry) {
                Some(run) => raise(&mut highest, run),
                None => tracing::error!(path = %path.display(), "an entry of the log of forgotten runs is damaged"),
            }
        }
        // Written anew on every start: so a torn tail can never shift what follows it.
        let mut forgotten = Forgotten { path: path.to_owned(), file: append_to(path)?, entries: 0, highest };
        forgotten.compact()?;
        let runs = forgotten.highest.iter().map(|(job, attempt)| Run { job: *job, attempt: *attempt }).collect();
        Ok((forgotten, runs))
    }

    pub fn contains(&self, run: Run) -> bool {
        self.highest.get(&run.job).is_some_and(|highest| run.attempt <= *highest)
    }

    pub fn append(&mut self, run: Run) -> io::Result<()> {
        raise(&mut self.highest, run);
        self.file.write_all(&encode(run))?;
        self.file.sync_data()?;
        self.entries += 1;
        if self.entries >= MAX_ENTRIES { self.compact() } else { Ok(()) }
    }

    fn compact(&mut self) -> io::Result<()> {
        while self.highest.len() > MAX_FORGOTTEN {
            self.highest.pop_first();
        }
        let aside = self.path.with_extension("new");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&aside)?;
        let bytes: Vec<u8> =
            self.highest.iter().flat_map(|(job, attempt)| encode(Run { job: *job, attempt: *attempt })).collect();
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&aside, &self.path)?;
        super::sealed::sync_dir(self.path.parent().unwrap_or(Path::new(".")))?;
        self.file = append_to(&self.path)?;
        self.entries = self.highest.len();
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn raise(highest: &mut BTreeMap<JobId, Attempt>, run: Run) {
    let attempt = highest.entry(run.job).or_insert(run.attempt);
    *attempt = run.attempt.max(*attempt);
}

fn encode(run: Run) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    entry[..4].copy_from_slice(&run.job.0.to_le_bytes());
    entry[4..8].copy_from_slice(&run.attempt.0.to_le_bytes());
    let checksum = crc32fast::hash(&entry[..8]);
    entry[8..].copy_from_slice(&checksum.to_le_bytes());
    entry
}

fn decode(entry: &[u8]) -> Option<Run> {
    let number = |at: usize| Some(u32::from_le_bytes(entry.get(at..at + 4)?.try_into().ok()?));
    let run = Run { job: JobId(number(0)?), attempt: Attempt(number(4)?) };
    (encode(run) == entry).then_some(run)
}
