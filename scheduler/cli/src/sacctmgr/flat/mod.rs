//! The flat file of associations that `sacctmgr dump` writes and `sacctmgr load` reads, Slurm's form: a title, a name and
//! settings on each line.

mod dump;
mod load;
mod merge;
mod tables;
mod terms;
mod users;

pub use dump::run as dump;
pub use load::run as load;

use squall_types::accounts::{Change, Setting};
use std::fmt::Write;

/// What a line is about. What follows a parent stands below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Title {
    Cluster,
    Parent,
    Account,
    User,
}

/// Titles, the one that is written first.
const TITLES: [(Title, &str); 6] = [
    (Title::Cluster, "Cluster"),
    (Title::Cluster, "Machine"),
    (Title::Parent, "Parent"),
    (Title::Account, "Account"),
    (Title::Account, "Project"),
    (Title::User, "User"),
];

/// Settings as they are written, in this order, by the names that are kept for them. Limits stand together, from
/// `FIRST_LIMIT` up to `PARENT`; everything else is text.
const WRITTEN: [(&str, &str); 17] = [
    ("partition", "Partition"),
    ("description", "Description"),
    ("organization", "Organization"),
    ("defaultaccount", "DefaultAccount"),
    ("adminlevel", "AdminLevel"),
    ("coordinators", "Coordinator"),
    ("defaultqos", "DefaultQOS"),
    ("fairshare", "Fairshare"),
    ("grptres", "GrpTRES"),
    ("grpjobs", "GrpJobs"),
    ("grpsubmitjobs", "GrpSubmitJobs"),
    ("maxtresperjob", "MaxTRESPerJob"),
    ("maxjobs", "MaxJobs"),
    ("maxsubmitjobs", "MaxSubmitJobs"),
    ("maxwall", "MaxWallDurationPerJob"),
    ("parent", "Parent"),
    ("qos", "QOS"),
];

const FIRST_LIMIT: usize = 7;
const PARENT: usize = 15;

/// Older names of limits on one resource each.
const OF_ONE_RESOURCE: [(&str, &str, &str); 10] = [
    ("grpcpus", "grptres", "cpu"),
    ("grpmem", "grptres", "mem"),
    ("grpmemory", "grptres", "mem"),
    ("grpnodes", "grptres", "node"),
    ("maxcpus", "maxtresperjob", "cpu"),
    ("maxcpusperjob", "maxtresperjob", "cpu"),
    ("maxmem", "maxtresperjob", "mem"),
    ("maxmemperjob", "maxtresperjob", "mem"),
    ("maxnodes", "maxtresperjob", "node"),
    ("maxnodesperjob", "maxtresperjob", "node"),
];

/// One line that says something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Where it stands, from 1.
    pub number: u32,
    pub title: Title,
    pub name: String,
    pub settings: Vec<Setting>,
}

/// What cannot be, and on which line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    pub line: u32,
    pub what: String,
}

/// Reads the text: the lines that say something, and those that mean nothing. `#` begins a comment outside of quotes.
pub fn read(text: &str) -> (Vec<Line>, Vec<Wrong>) {
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for (text, number) in text.lines().zip(1u32..) {
        match line(text.trim(), number) {
            Ok(read) => lines.extend(read),
            Err(what) => wrong.push(Wrong { line: number, what }),
        }
    }
    (lines, wrong)
}

fn line(text: &str, number: u32) -> Result<Option<Line>, String> {
    if text.is_empty() || text.starts_with('#') {
        return Ok(None);
    }
    let form = || "it is not TITLE - NAME:SETTING=VALUE".to_owned();
    let letters = text.len() - text.trim_start_matches(|char: char| char.is_ascii_alphabetic()).len();
    let (word, rest) = text.split_at(letters);
    let mut rest = rest.trim_start().strip_prefix('-').ok_or_else(form)?.trim_start();
    let known = TITLES.iter().find(|(_, name)| name.eq_ignore_ascii_case(word));
    let title = known
        .map(|(title, _)| *title)
        .ok_or_else(|| format!("{word:?} is no title: lines begin with Cluster, Parent, Account or User"))?;
    let name = value(&mut rest)?;
    if name.is_empty() {
        return Err(form());
    }
    let mut settings = Vec::new();
    while let Some(after) = rest.strip_prefix(':') {
        rest = after.trim_start();
        settings.extend(setting(&mut rest)?);
    }
    Ok(Some(Line { number, title, name, settings }))
}

/// The next of the settings between colons; none where nothing stands between two.
fn setting(rest: &mut &str) -> Result<Option<Setting>, String> {
    let end = rest.find([':', '#', '=']).unwrap_or(rest.len());
    let (key, after) = rest.split_at(end);
    let Some(after) = after.strip_prefix('=') else {
        *rest = after;
        let key = key.trim();
        return if key.is_empty() { Ok(None) } else { Err(format!("{key:?} is not SETTING=VALUE")) };
    };
    let key = key.trim();
    let (key, change) = match key.as_bytes().last() {
        Some(b'+') => (&key[..key.len() - 1], Change::Add),
        Some(b'-') => (&key[..key.len() - 1], Change::Remove),
        _ => (key, Change::Set),
    };
    *rest = after.trim_start();
    let (key, value) = (key.trim().to_ascii_lowercase(), value(rest)?);
    let older = OF_ONE_RESOURCE.iter().find(|(older, ..)| *older == key);
    Ok(Some(match older {
        Some((_, name, resource)) => Setting { key: (*name).to_owned(), change, value: format!("{resource}={value}") },
        None => Setting { key, change, value },
    }))
}

/// What stands before the next colon, or in quotes. `rest` goes on behind it.
fn value(rest: &mut &str) -> Result<String, String> {
    let quote = rest.chars().next().filter(|first| matches!(first, '\'' | '"'));
    let Some(quote) = quote else {
        let end = rest.find([':', '#']).unwrap_or(rest.len());
        let (value, after) = rest.split_at(end);
        *rest = after;
        return Ok(value.trim_end().to_owned());
    };
    let inner = &rest[1..];
    let (value, after) = inner.split_once(quote).ok_or_else(|| format!("a quote {quote} is never closed"))?;
    let after = after.trim_start();
    if !(after.is_empty() || after.starts_with([':', '#'])) {
        return Err(format!("after {quote}{value}{quote} comes no colon"));
    }
    *rest = after;
    Ok(value.to_owned())
}

/// The lines as a file has them, without their numbers.
pub fn write(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let title = TITLES.iter().find(|(title, _)| *title == line.title).map_or("", |(_, name)| name);
        text.push_str(&format!("{title} - {}", quoted(&line.name)));
        let mut settings: Vec<(usize, &Setting)> =
            line.settings.iter().map(|setting| (place(setting.name()), setting)).collect();
        settings.sort_by_key(|(at, _)| *at);
        for (at, setting) in settings {
            let key = WRITTEN.get(at).map_or(setting.key.as_str(), |(_, key)| key);
            let sign = match setting.change {
                Change::Set => "",
                Change::Add => "+",
                Change::Remove => "-",
            };
            let is_plain = |char: char| char.is_ascii_alphanumeric() || "=,/.-_".contains(char);
            let is_limit = (FIRST_LIMIT..PARENT).contains(&at);
            let plain = is_limit && !setting.value.is_empty() && setting.value.chars().all(is_plain);
            let value = if plain { setting.value.clone() } else { quoted(&setting.value) };
            // Writing into a string cannot fail.
            let _ = write!(text, ":{key}{sign}={value}");
        }
        text.push('\n');
    }
    text
}

/// There is no sign that takes the meaning of a quote away.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "`"))
}

/// Where a setting stands among all; unknown ones come last.
fn place(name: &str) -> usize {
    WRITTEN.iter().position(|(known, _)| *known == name).unwrap_or(WRITTEN.len())
}

/// What a setting is called where it is told.
fn title(name: &str) -> &str {
    WRITTEN.iter().find(|(known, _)| *known == name).map_or(name, |(_, title)| title)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "\
# what a person wrote
cluster - twin:QOS='normal'
Parent - root

Project - \"a lab\":Description='C: the # lab':grpnodes=4:GrpTRES=cpu=8,gres/gpu=2 # and why
User - bin : MaxJobs = 4 :QOS+=high::AdminLevel='Operator':
";

    #[test]
    fn what_is_read_is_written_and_read_again() {
        let (lines, wrong) = read(FILE);
        assert_eq!(wrong, []);
        assert_eq!(lines.iter().map(|line| line.number).collect::<Vec<_>>(), [2, 3, 5, 6]);
        let text = write(&lines);
        assert_eq!(
            text,
            "Cluster - 'twin':QOS='normal'\nParent - 'root'\n\
             Account - 'a lab':Description='C: the # lab':GrpTRES=node=4:GrpTRES=cpu=8,gres/gpu=2\n\
             User - 'bin':AdminLevel='Operator':MaxJobs=4:QOS+='high'\n"
        );
        assert_eq!(write(&read(&text).0), text);
    }

    #[test]
    fn lines_that_mean_nothing_are_named() {
        let said = |text: &str| {
            let (lines, wrong) = read(text);
            assert_eq!(lines, []);
            wrong.into_iter().map(|wrong| format!("{}: {}", wrong.line, wrong.what)).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(said("\nhello"), "2: it is not TITLE - NAME:SETTING=VALUE");
        assert_eq!(said("Account 'x'"), "1: it is not TITLE - NAME:SETTING=VALUE");
        assert_eq!(said("Account - :MaxJobs=4"), "1: it is not TITLE - NAME:SETTING=VALUE");
        assert!(said("Frob - 'x'").contains("\"Frob\" is no title"));
        assert_eq!(said("User - 'x"), "1: a quote ' is never closed");
        assert_eq!(said("User - 'x'y"), "1: after 'x' comes no colon");
        assert_eq!(said("User - x:MaxTRESPerJob=node:2"), "1: \"2\" is not SETTING=VALUE");
    }
}
