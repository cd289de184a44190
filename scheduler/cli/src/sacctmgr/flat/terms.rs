//! The settings of one line, and what they change of a row.

use super::dump::wall;
use super::{place, title};
use crate::sacctmgr::known::{Known, joined};
use squall_types::QosName;
use squall_types::accounts::{Change as Sign, NORMAL, Setting, SettingError, Terms};
use squall_types::span_text::parse_span;
use std::collections::BTreeSet;

/// What a line says, with lists of qualities of service worked out: `+high` means more than what the account above has.
pub struct Given<'a> {
    settings: Vec<Setting>,
    above: &'a BTreeSet<QosName>,
    /// Whether such a list is told as a difference.
    differs: bool,
}

impl<'a> Given<'a> {
    /// # Errors
    /// A list that leaves nothing.
    pub fn new(settings: &[Setting], above: &'a BTreeSet<QosName>) -> Result<Given<'a>, String> {
        let mut given = Given { settings: Vec::with_capacity(settings.len()), above, differs: false };
        for setting in settings {
            let setting = match setting.name() {
                "qos" => given.worked_out(setting)?,
                // A line says all of what is limited: what it does not name is limited no more.
                name @ ("grptres" | "maxtresperjob") => {
                    if !given.settings.iter().any(|before| before.name() == name) {
                        given.settings.push(Setting::new(name, -1));
                    }
                    setting.clone()
                }
                _ => setting.clone(),
            };
            given.settings.push(setting);
        }
        Ok(given)
    }

    fn worked_out(&mut self, setting: &Setting) -> Result<Setting, String> {
        self.differs = setting.change != Sign::Set || setting.value.starts_with(['+', '-']);
        if !self.differs || setting.value == "-1" {
            return Ok(setting.clone());
        }
        let mut terms = Terms { qos: Some(self.above.clone()), ..Terms::default() };
        terms.set(setting).map_err(|error| error.to_string())?;
        let list = terms.qos.filter(|list| !list.is_empty());
        let list = list.ok_or_else(|| format!("QOS={} leaves no quality of service", setting.value))?;
        Ok(Setting::new("qos", joined(&list)))
    }

    /// # Errors
    /// A setting that the row does not take.
    pub fn apply(&self, mut set: impl FnMut(&Setting) -> Result<(), SettingError>) -> Result<(), String> {
        self.settings.iter().try_for_each(|setting| set(setting).map_err(|error| error.to_string()))
    }

    /// What says only what holds without it is not written down.
    pub fn settle(&self, terms: &mut Terms, before: Option<&Terms>, is_root: bool) {
        let no_list = before.is_none_or(|before| before.qos.is_none());
        if no_list && (self.differs || is_root) && terms.qos.as_ref() == Some(self.above) {
            terms.qos = None;
        }
        if terms.shares == Some(1) && before.is_some_and(|before| before.shares.is_none()) {
            terms.shares = None;
        }
    }

    /// # Errors
    /// A quality of service that is not there.
    pub fn check(&self, terms: &Terms, known: &Known) -> Result<(), String> {
        let named = terms.qos.iter().flatten().chain(&terms.default_qos);
        let Some(unknown) = named.into_iter().find(|name| !known.qos.contains_key(*name)) else { return Ok(()) };
        let all: Vec<&str> = known.qos.keys().map(QosName::as_str).collect();
        Err(format!("there is no quality of service {:?}: there are {}", unknown.as_str(), all.join(", ")))
    }
}

/// A setting that becomes another one; nothing stands for none.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    name: String,
    before: Option<String>,
    after: Option<String>,
}

impl Change {
    pub fn of(name: &str, before: &str, after: &str) -> Option<Change> {
        let change =
            || Change { name: name.to_owned(), before: Some(before.to_owned()), after: Some(after.to_owned()) };
        (before != after).then(change)
    }

    /// As Slurm tells it: ` Changed MaxJobs               for User    bin               4 -> 9`.
    pub fn told(&self, kind: &str, whose: &str) -> String {
        let (before, after) = (self.shown(&self.before), self.shown(&self.after));
        let name = match self.name.as_str() {
            "defaultaccount" => "Default Account",
            "adminlevel" => "Admin Level",
            name @ ("description" | "organization" | "fairshare") => name,
            name => title(name),
        };
        match self.name.as_str() {
            "qos" if self.before.is_none() => format!(" Added {name:<23} for {kind:<7} {whose:<10} {after:>8}"),
            _ => format!(" Changed {name:<21} for {kind:<7} {whose:<10} {before:>8} -> {after}"),
        }
    }

    fn shown(&self, value: &Option<String>) -> String {
        match (self.name.as_str(), value) {
            ("fairshare", None) => "1".to_owned(),
            ("qos", None) => NORMAL.to_owned(),
            (_, None) => "-1".to_owned(),
            ("maxwall", Some(value)) => parse_span(value).map_or_else(|_| value.clone(), wall),
            (_, Some(value)) => value.clone(),
        }
    }
}

/// What is said of a row now and was not before, or otherwise, or is said no longer.
pub fn differences(before: &[Setting], after: &[Setting]) -> Vec<Change> {
    let value = |settings: &[Setting], name: &str| {
        settings.iter().find(|setting| setting.key == name).map(|setting| setting.value.clone())
    };
    let mut names: Vec<&str> = before.iter().chain(after).map(|setting| setting.key.as_str()).collect();
    names.sort_by_key(|name| (place(name), *name));
    names.dedup();
    let all = names.into_iter().map(|name| Change {
        name: name.to_owned(),
        before: value(before, name),
        after: value(after, name),
    });
    all.filter(|change| change.before != change.after).collect()
}

/// The settings that make the changes. Lists of resources are taken away before they are given: they would be merged.
pub fn settings(changes: &[Change]) -> Vec<Setting> {
    let mut settings = Vec::new();
    for change in changes {
        let merged = matches!(change.name.as_str(), "grptres" | "maxtresperjob");
        if change.after.is_none() || merged && change.before.is_some() {
            settings.push(Setting::new(&change.name, -1));
        }
        settings.extend(change.after.as_ref().map(|after| Setting::new(&change.name, after)));
    }
    settings
}
