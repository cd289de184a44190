//! `sacctmgr load`: a file of associations becomes what there is, all of it in one change or none.

use super::dump::no_such_cluster;
use super::merge::{Plan, plan};
use super::{Wrong, read, tables};
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::sacctmgr::commit::agrees;
use crate::sacctmgr::known::Known;
use crate::terminal::{self, escaped};
use squall_types::accounts::Setting;
use std::fs::File;
use std::io::Read;

/// Longest file, in bytes.
const MAX_FILE: u64 = 8 << 20;
/// Of wrong lines, what is told.
const MAX_TOLD: usize = 20;

/// What was asked for.
struct Asked {
    file: String,
    cluster: Option<String>,
    clean: bool,
}

/// # Errors
/// A file that cannot be read, lines that cannot be, or what the controller refuses; nothing has changed then.
pub fn run(invocation: &mut Invocation<'_>, words: &[String], immediate: bool, quiet: bool) -> Result<i32, Failure> {
    let asked = asked(words)?;
    let text = text(invocation, &asked.file)?;
    let known = Known::ask(invocation)?;
    if let Some(other) = asked.cluster.as_ref().filter(|name| **name != known.cluster) {
        return Err(no_such_cluster(other, &known));
    }
    let (lines, wrong) = read(&text);
    if !wrong.is_empty() {
        return Err(told(&asked.file, &wrong));
    }
    let plan = plan(&known, &lines, asked.cluster.is_some(), asked.clean).map_err(|wrong| told(&asked.file, &wrong))?;
    if !quiet && !lines.is_empty() {
        tell(invocation, &known, &plan)?;
    }
    if plan.edits.is_empty() {
        writeln!(invocation.out, " Nothing new added.")?;
        return Ok(0);
    }
    if asked.clean && !quiet {
        writeln!(invocation.out, "You requested to flush the cluster: what the file does not name goes.")?;
    }
    if !immediate && !agrees(invocation, "Would you like to commit changes?")? {
        writeln!(invocation.out, " Changes Discarded")?;
        return Ok(0);
    }
    let made = invocation.controller.edit_accounts(plan.edits);
    made.map_err(|error| Failure::call("sacctmgr", "", &error))?;
    Ok(0)
}

fn asked(words: &[String]) -> Result<Asked, Failure> {
    let (mut file, mut cluster, mut clean) = (None, None, false);
    for word in words {
        let setting = Setting::parse(word);
        match setting.as_ref().map(|setting| (setting.key.as_str(), &setting.value)) {
            None if word.eq_ignore_ascii_case("clean") => clean = true,
            Some(("cluster", name)) => cluster = Some(name.clone()),
            Some((key, _)) if key != "file" => {
                let usage = "sacctmgr load file=FILE [cluster=NAME] [clean]".to_owned();
                return Err(Failure::plain(format!(" Unknown option: {}", escaped(word)))
                    .advising(Advice { try_this: usage, ..Advice::default() }));
            }
            named => {
                let name = named.map_or(word, |(_, name)| name);
                if let Some(first) = file.replace(name.clone()) {
                    return Err(Failure::plain(format!(" File name already set to {}", escaped(&first))));
                }
            }
        }
    }
    let file = file.ok_or_else(|| Failure::plain(" No filename given, specify one with file=''"))?;
    Ok(Asked { file, cluster, clean })
}

fn text(invocation: &Invocation<'_>, name: &str) -> Result<String, Failure> {
    let unreadable = |why: String| Failure::plain(format!(" Unable to read \"{}\": {why}", escaped(name)));
    let mut bytes = Vec::new();
    let read =
        File::open(invocation.directory.join(name)).and_then(|file| file.take(MAX_FILE + 1).read_to_end(&mut bytes));
    let read = read.map_err(|error| unreadable(terminal::plain(&error).to_string()))?;
    if read as u64 > MAX_FILE {
        return Err(unreadable(format!("it is longer than {} MiB", MAX_FILE >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| unreadable("it is no text in UTF-8".to_owned()))
}

/// All lines that are wrong, so that a file is mended in one go.
fn told(file: &str, wrong: &[Wrong]) -> Failure {
    let mut lines = wrong.iter().take(MAX_TOLD).map(|wrong| {
        let shown: String = wrong.what.chars().take(300).collect();
        format!(" Problem with line({}): {}", wrong.line, escaped(&shown))
    });
    let mut failure = Failure::plain(lines.next().unwrap_or_default());
    for line in lines {
        failure = failure.and_line(line);
    }
    if let Some(more) = wrong.len().checked_sub(MAX_TOLD).filter(|more| *more > 0) {
        failure = failure.and_line(format!(" and with {more} more lines"));
    }
    failure.advising(Advice {
        asked: format!("to load {file}"),
        limit: "nothing was changed: a file is loaded as a whole or not at all".to_owned(),
        try_this: "man sacctmgr; sacctmgr dump CLUSTER file=FILE shows the form".to_owned(),
        code: "SQ1091",
        ..Advice::default()
    })
}

fn tell(invocation: &mut Invocation<'_>, known: &Known, plan: &Plan) -> Result<(), Failure> {
    writeln!(invocation.out, "For cluster {}", escaped(&known.cluster))?;
    for line in plan.changed.iter().chain(&plan.removed) {
        writeln!(invocation.out, "{}", escaped(line))?;
    }
    write!(invocation.out, "{}", tables::told(plan))?;
    Ok(())
}
