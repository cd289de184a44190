//! `journal dump`, `verify`, `backup`, `restore`, `accept-loss`: they need no controller, and disturb none.

use squall_journal::{JournalError, Reader, accept_loss, restore, verify};
use squall_types::Seq;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

const EXIT_DAMAGED: u8 = 65;
const EXIT_JOURNAL: u8 = 74;

/// `None` for a wrong call.
pub(super) fn run(verb: &str, arguments: &[OsString]) -> Option<ExitCode> {
    let done = match (verb, arguments) {
        ("dump", [dir]) => dump(dir, Seq(0)),
        ("dump", [dir, from]) => dump(dir, Seq(from.to_str()?.parse().ok()?)),
        ("verify", [dir]) => check(dir),
        ("backup", [dir, target]) => backup(dir, target),
        ("restore", [backup, target]) => put_back(backup, target),
        ("accept-loss", [dir]) => accept(dir),
        _ => return None,
    };
    Some(done.unwrap_or_else(|error| {
        eprintln!("squallctld: error: {error}");
        ExitCode::from(EXIT_JOURNAL)
    }))
}

fn dump(dir: &OsString, from: Seq) -> Result<ExitCode, JournalError> {
    let reader = Reader::open(dir)?;
    let from = from.max(reader.bounds()?.0);
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in reader.dump(from)? {
        // Whoever reads has read enough.
        if writeln!(out, "{}", line?).is_err() {
            break;
        }
    }
    let _ = out.flush();
    Ok(ExitCode::SUCCESS)
}

fn check(dir: &OsString) -> Result<ExitCode, JournalError> {
    let found = verify(dir)?;
    for problem in &found.problems {
        println!("{problem}");
    }
    println!(
        "{}: {} records up to {}, {} snapshots, {} rows of accounting, {} scripts and environments: {}",
        dir.display(),
        found.records,
        found.last,
        found.snapshots,
        found.rows,
        found.blobs,
        if found.problems.is_empty() { "sound" } else { "damaged" }
    );
    Ok(if found.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_DAMAGED) })
}

fn backup(dir: &OsString, target: &OsString) -> Result<ExitCode, JournalError> {
    let made = Reader::open(dir)?.backup(target)?;
    let bytes: u64 = made.manifest.files.iter().map(|file| file.bytes).sum();
    println!("{}: up to record {}, {bytes} bytes", made.dir.display(), made.manifest.seq);
    Ok(ExitCode::SUCCESS)
}

fn put_back(backup: &OsString, target: &OsString) -> Result<ExitCode, JournalError> {
    let manifest = restore(backup, target)?;
    println!("{}: record {} of epoch {}", target.display(), manifest.seq, manifest.epoch);
    Ok(ExitCode::SUCCESS)
}

fn accept(dir: &OsString) -> Result<ExitCode, JournalError> {
    let last = accept_loss(dir)?;
    println!("{}: goes on after record {last}", dir.display());
    Ok(ExitCode::SUCCESS)
}
