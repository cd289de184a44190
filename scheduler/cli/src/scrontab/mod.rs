//! `scrontab`: what a user wants to be run again and again.

mod table;
mod zone;

pub use table::{Entry, Wrong, read};

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{self, Given, Parsed};
use crate::people::person;
use crate::request::{self, Kind};
use crate::select;
use crate::terminal::{self, escaped};
use squall_types::api::{CronEntry, CrontabRequest, MAX_CRONTAB, SubmitRequest};
use squall_types::cron::{CronSpec, Zone};
use squall_types::{JobKind, JobSpec, Uid};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::process::Command;

/// What an editor shows who has none yet.
const EXAMPLE: &str = "\
# Entries of your Slurm crontab. Each is a job that is run again and again:
#
# minute hour day-of-month month day-of-week command
#
# Times may be *, numbers, names (mon, jan), lists (1,2), ranges (1-5) and steps (*/10), or one word in place of all five:
# @hourly, @daily, @weekly, @monthly, @yearly. Options of sbatch stand before the entry that they are for:
#
#SCRON --time=10 --output=logs/nightly-%j.out
# 30 2 * * * ./nightly.sh
";

/// Whose crontab it is.
struct Owner {
    uid: Uid,
    /// Said to the controller only where it is somebody else's.
    named: Option<Uid>,
    name: String,
    home: PathBuf,
}

/// # Errors
/// What cannot be read or was refused; nothing has changed then.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let owner = owner(invocation, given.text("user"))?;
    let wanted = ["edit", "list", "remove"].into_iter().filter(|long| given.has(long)).count();
    if wanted + parsed.rest.len() > 1 {
        return Err(Failure::error("scrontab", "only one of -e, -l, -r and a file can be asked for"));
    }
    if given.has("list") {
        return list(invocation, &owner);
    }
    if given.has("remove") {
        set(invocation, &owner, "")?;
        return Ok(0);
    }
    match parsed.rest.first().map(String::as_str) {
        None => edit(invocation, &owner),
        Some("-") => {
            let text = limited(&mut *invocation.input, "standard input")?;
            set(invocation, &owner, &text).map(|()| 0)
        }
        Some(name) => {
            let opened = File::open(invocation.directory.join(name)).map_err(|error| unreadable(name, &error))?;
            let text = limited(opened, name)?;
            set(invocation, &owner, &text).map(|()| 0)
        }
    }
}

fn owner(invocation: &Invocation<'_>, user: Option<&str>) -> Result<Owner, Failure> {
    let caller = &invocation.caller;
    let Some(name) = user else {
        return Ok(Owner { uid: caller.uid, named: None, name: caller.name.clone(), home: caller.home.clone() });
    };
    let invalid = || Failure::error("scrontab", format_args!("Invalid user: {}", escaped(name)));
    let uid = select::user(name).ok_or_else(invalid)?;
    let known = person(uid).ok_or_else(invalid)?;
    let named = Some(uid).filter(|uid| *uid != caller.uid);
    Ok(Owner { uid, named, name: known.name, home: known.home })
}

fn list(invocation: &mut Invocation<'_>, owner: &Owner) -> Result<i32, Failure> {
    let text = crontab(invocation, owner)?;
    if text.is_empty() {
        writeln!(invocation.err, "no crontab for {}", escaped(&owner.name))?;
        return Ok(1);
    }
    // As it was written: it may be read back.
    invocation.out.write_all(text.as_bytes())?;
    Ok(0)
}

fn crontab(invocation: &Invocation<'_>, owner: &Owner) -> Result<String, Failure> {
    invocation
        .controller
        .crontab(owner.named)
        .map_err(|error| Failure::call("scrontab", "Unable to get crontab", &error))
}

/// The user's editor on the crontab, as often as it takes.
fn edit(invocation: &mut Invocation<'_>, owner: &Owner) -> Result<i32, Failure> {
    let before = crontab(invocation, owner)?;
    let failed =
        |what: &str, error: &io::Error| Failure::error("scrontab", format_args!("{what}: {}", terminal::plain(error)));
    let mut file =
        tempfile::Builder::new().prefix("scrontab.").tempfile().map_err(|error| failed("no file to edit", &error))?;
    let shown = if before.is_empty() { EXAMPLE } else { &before };
    file.write_all(shown.as_bytes()).map_err(|error| failed("no file to edit", &error))?;
    let editor = ["VISUAL", "EDITOR"].into_iter().find_map(|name| invocation.environment.filled(name)).unwrap_or("vi");
    let editor = editor.to_owned();
    loop {
        // The shell splits it into words, as everywhere else.
        let ran = Command::new("/bin/sh").arg("-c").arg(format!("{editor} \"$1\"")).arg("sh").arg(file.path()).status();
        let ran = ran.map_err(|error| failed("the editor could not be started", &error))?;
        if !ran.success() {
            return Err(Failure::error(
                "scrontab",
                format_args!("editor \"{}\" failed: nothing was changed", escaped(&editor)),
            ));
        }
        // Some editors write a new file in place of the one that they were given.
        let written = File::open(file.path()).map_err(|error| failed("what was edited is gone", &error))?;
        let outcome = match limited(written, "what was edited") {
            Ok(text) if text == shown => {
                writeln!(invocation.err, "scrontab: no changes")?;
                return Ok(0);
            }
            Ok(text) => set(invocation, owner, &text),
            Err(failure) => Err(failure),
        };
        let Err(failure) = outcome else { return Ok(0) };
        write!(invocation.err, "{failure}")?;
        write!(invocation.err, "Do you want to retry the edit? (y/n) ")?;
        invocation.err.flush()?;
        if !says_yes(&mut *invocation.input)? {
            return Ok(1);
        }
    }
}

fn says_yes(input: &mut dyn Read) -> io::Result<bool> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while line.len() < 64 && input.read(&mut byte)? > 0 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    Ok(line.first().is_some_and(|letter| letter.eq_ignore_ascii_case(&b'y')))
}

fn unreadable(name: &str, error: &io::Error) -> Failure {
    Failure::error("scrontab", format_args!("Unable to read {}: {}", escaped(name), terminal::plain(error)))
}

fn limited(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    from.take(MAX_CRONTAB as u64 + 1).read_to_end(&mut bytes).map_err(|error| unreadable(name, &error))?;
    if bytes.len() > MAX_CRONTAB {
        return Err(Failure::error("scrontab", "Crontab is too large").advising(Advice {
            limit: format!("a crontab has at most {} KiB", MAX_CRONTAB >> 10),
            try_this: "scripts in files of their own".to_owned(),
            code: "SQ1031",
            ..Advice::default()
        }));
    }
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    text.ok_or_else(|| Failure::error("scrontab", format_args!("{} is no text in UTF-8", escaped(name))))
}

/// Reads the crontab, and puts it in place of the one that there was.
fn set(invocation: &mut Invocation<'_>, owner: &Owner, text: &str) -> Result<(), Failure> {
    let rule = zone::rule(&invocation.environment);
    let zone: Zone = rule.parse().unwrap_or(Zone::UTC);
    let entries = read(text, zone).map_err(|wrong| told(&wrong))?;
    let entries = entries.iter().map(|entry| {
        cron_entry(invocation, owner, entry, &rule)
            .map_err(|failure| failure.and_line(format!("scrontab: error: in the entry on line {}", entry.first_line)))
    });
    let request =
        CrontabRequest { user: owner.named, text: text.to_owned(), entries: entries.collect::<Result<_, _>>()? };
    let notes = invocation.controller.set_crontab(&request);
    let notes =
        notes.map_err(|error| Failure::call("scrontab", "There was an issue with the job submission", &error))?;
    for note in &notes {
        writeln!(invocation.err, "scrontab: {}", escaped(note))?;
    }
    Ok(())
}

fn told(wrong: &Wrong) -> Failure {
    Failure::error("scrontab", wrong).advising(Advice {
        limit: wrong.limit.clone(),
        try_this: "*/10 * * * * COMMAND, or @daily COMMAND".to_owned(),
        code: "SQ0018",
        ..Advice::default()
    })
}

fn cron_entry(invocation: &Invocation<'_>, owner: &Owner, entry: &Entry, rule: &str) -> Result<CronEntry, Failure> {
    let parsed = options::parse(crate::command::Command::Sbatch, &entry.options)
        .map_err(|error| error.told_by(invocation.command))?;
    if let Some(stray) = parsed.rest.first() {
        return Err(Failure::error("scrontab", format_args!("Invalid option found in #SCRON: {}", escaped(stray))));
    }
    let given = Given::on_command_line(crate::command::Command::Sbatch, &parsed);
    if let Some(long) = ["array", "begin", "wrap", "wait", "test-only", "hold"].into_iter().find(|long| given.has(long))
    {
        return Err(Failure::error("scrontab", format_args!("--{long} cannot be used in a crontab")).advising(
            Advice {
                limit: "an entry is one job, and its times say when it begins".to_owned(),
                try_this: "sbatch in the entry's command".to_owned(),
                code: "SQ0018",
                ..Advice::default()
            },
        ));
    }
    // As cron names what it runs.
    let name: String = entry.command.chars().take(64).collect();
    let spec = request::job_spec(invocation, &given, Kind { kind: JobKind::Batch, name: &name })?;
    let work_dir = given.text("chdir").map_or_else(|| owner.home.clone(), |path| owner.home.join(path));
    let spec = JobSpec {
        uid: owner.uid,
        user: owner.name.clone(),
        work_dir: work_dir.to_string_lossy().into_owned(),
        cron: Some(Box::new(CronSpec { times: entry.times.clone(), zone: rule.to_owned() })),
        ..spec
    };
    let script = format!("#!/bin/sh\n# This job was submitted through scrontab.\n\n{}\n", entry.command);
    Ok(CronEntry {
        first_line: entry.first_line,
        last_line: entry.last_line,
        submission: SubmitRequest {
            spec: spec.into(),
            script: Some(script.into_bytes()),
            environment: request::bare(&owner.name, &owner.home, &entry.variables),
            token: request::submit_token(invocation.command)?,
            test_only: false,
            more: Vec::new(),
            step: None,
        },
    })
}
