//! One `NAME=value` of `sacctmgr`, as people type it and as it travels.

use super::tres::TresError;
use crate::did_you_mean::closest;
use std::collections::BTreeSet;
use std::fmt::Display;

/// Longest value, in bytes.
const MAX_VALUE: usize = 4096;

/// `=`, `+=` or `-=`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    #[default]
    Set,
    Add,
    Remove,
}

/// One thing that is set. `-1` as a value takes a limit away.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Setting {
    pub key: String,
    pub change: Change,
    pub value: String,
}

/// A setting that cannot be taken in, for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("{what} has no setting {key:?}{}", hint(.near))]
    Unknown { key: String, what: &'static str, near: Option<&'static str> },
    #[error("{key}: {value:?} is none of: {expected}")]
    Value { key: String, value: String, expected: String },
    #[error("{key} is not supported here: {why}")]
    Unsupported { key: String, why: &'static str },
    #[error("{key}: {problem}")]
    Tres { key: String, problem: TresError },
}

fn hint(near: &Option<&str>) -> String {
    near.map(|near| format!(": did you mean {near}?")).unwrap_or_default()
}

/// Names, the one that is kept first. The other forms are Slurm's.
const NAMES: &[&[&str]] = &[
    &["adminlevel", "admin"],
    &["coordinators", "coordinator"],
    &["defaultaccount", "defaultacct"],
    &["defaultqos", "defqos"],
    &["description", "descr"],
    &["fairshare", "share", "shares", "rawshares"],
    &["flags"],
    &["grpjobs"],
    &["grpsubmitjobs", "grpsubmit"],
    &["grptres"],
    &["maxjobs", "maxjobsperuser", "maxjobspu"],
    &["maxjobsperaccount", "maxjobspa"],
    &["maxsubmitjobs", "maxsubmit", "maxsubmitjobsperuser", "maxsubmitpu", "maxsubmitjobspu"],
    &["maxsubmitjobsperaccount", "maxsubmitpa", "maxsubmitjobspa"],
    &["maxtresperjob", "maxtres", "maxtrespj"],
    &["maxtresperuser", "maxtrespu"],
    &["maxtresperaccount", "maxtrespa"],
    &["maxwall", "maxwalldurationperjob", "maxwalldurationpj", "maxwallpj"],
    &["organization", "org"],
    &["parent"],
    &["priority"],
    &["qos", "qoslevel"],
];

/// What Slurm has and the reason why it is refused: a limit that is taken and not kept would be a lie.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("grptresmins", "use over a time is not limited, budgets limit money"),
    ("grptresrunmins", "use over a time is not limited, budgets limit money"),
    ("grpwall", "use over a time is not limited, budgets limit money"),
    ("maxtresmins", "a product of size and time is not limited: set MaxTRESPerJob and MaxWall"),
    ("maxtresminsperjob", "a product of size and time is not limited: set MaxTRESPerJob and MaxWall"),
    ("maxtrespernode", "the shapes of nodes limit what is on one of them"),
    ("maxjobsaccrue", "jobs gain no priority by number"),
    ("grpjobsaccrue", "jobs gain no priority by number"),
    ("mintresperjob", "a least size is not asked for"),
    ("minpriothreshold", "nothing is limited by priority"),
    ("preempt", "jobs do not preempt each other yet"),
    ("preemptmode", "jobs do not preempt each other yet"),
    ("preemptexempttime", "jobs do not preempt each other yet"),
    ("gracetime", "jobs do not preempt each other yet"),
    ("usagefactor", "use is counted as it is"),
    ("usagethreshold", "use is counted as it is"),
    ("defaultwckey", "wckeys are kept with jobs and nowhere else"),
];

impl Setting {
    pub fn new(key: &str, value: impl Display) -> Setting {
        Setting { key: key.to_owned(), change: Change::Set, value: value.to_string() }
    }

    /// `name=value`, `name+=value` or `name-=value`; `None` where there is no `=`.
    pub fn parse(word: &str) -> Option<Setting> {
        let (key, value) = word.split_once('=')?;
        let (key, change) = match key.as_bytes().last() {
            Some(b'+') => (&key[..key.len() - 1], Change::Add),
            Some(b'-') => (&key[..key.len() - 1], Change::Remove),
            _ => (key, Change::Set),
        };
        let value = value.trim_matches(['"', '\'']);
        Some(Setting { key: key.to_ascii_lowercase(), change, value: value.to_owned() })
    }

    /// The name that is kept for the key; the key itself where it is none that is known.
    pub fn name(&self) -> &str {
        known(&self.key).unwrap_or(&self.key)
    }

    pub(super) fn unknown(&self, what: &'static str) -> SettingError {
        let key = self.key.clone();
        if let Some((_, why)) = UNSUPPORTED.iter().find(|(name, _)| self.key.len() > 3 && name.starts_with(&self.key)) {
            return SettingError::Unsupported { key, why };
        }
        let near = closest(&self.key, NAMES.iter().map(|names| names[0]));
        // What is known but not of this kind is no help.
        SettingError::Unknown { key, what, near: near.filter(|near| *near != self.name()) }
    }

    pub(super) fn wrong(&self, expected: &str) -> SettingError {
        SettingError::Value { key: self.key.clone(), value: self.value.clone(), expected: expected.to_owned() }
    }

    /// A text of a length that can be kept.
    pub(super) fn text(&self) -> Result<String, SettingError> {
        match self.value.len() <= MAX_VALUE && !self.value.contains(|char: char| char.is_control()) {
            true => Ok(self.value.clone()),
            false => Err(SettingError::Value {
                key: self.key.clone(),
                value: self.value.chars().filter(|char| !char.is_control()).take(40).collect(),
                expected: format!("a line of at most {MAX_VALUE} bytes"),
            }),
        }
    }
}

/// Exactly, or as the beginning of a name: the first that begins so is meant, as in Slurm.
fn known(key: &str) -> Option<&'static str> {
    let key = key.to_ascii_lowercase();
    let exact = NAMES.iter().find(|names| names.contains(&key.as_str()));
    let begun = || NAMES.iter().find(|names| key.len() > 3 && names.iter().any(|name| name.starts_with(&key)));
    exact.or_else(begun).map(|names| names[0])
}

/// `-1`, and an empty value, stand for none.
pub(super) fn is_none(value: &str) -> bool {
    value.is_empty() || value == "-1"
}

/// A number, or none.
pub(super) fn count(setting: &Setting) -> Result<Option<u32>, SettingError> {
    if is_none(&setting.value) {
        return Ok(None);
    }
    setting.value.parse().map(Some).map_err(|_| setting.wrong("a whole number, or -1 for none"))
}

/// The list with what is set, added or removed.
pub(super) fn changed_list<T: Ord>(
    before: BTreeSet<T>,
    setting: &Setting,
    read: impl Fn(&str) -> Result<T, SettingError>,
) -> Result<BTreeSet<T>, SettingError> {
    let (mut after, mut change) = (before, setting.change);
    if change == Change::Set && !setting.value.trim_start().starts_with(['+', '-']) {
        after.clear();
    }
    for word in setting.text()?.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        // `qos=+high,-low` changes as well.
        let word = match word.as_bytes()[0] {
            b'+' => {
                change = Change::Add;
                &word[1..]
            }
            b'-' => {
                change = Change::Remove;
                &word[1..]
            }
            _ => word,
        };
        let item = read(word)?;
        match change {
            Change::Set | Change::Add => after.insert(item),
            Change::Remove => after.remove(&item),
        };
    }
    Ok(after)
}

/// Separated by commas.
pub(super) fn list_text<T: Display>(items: &BTreeSet<T>) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}
