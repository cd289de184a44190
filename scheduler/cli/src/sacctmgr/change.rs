//! What `sacctmgr` changes: it says what it is about to do, asks, and does it all or not at all.

use super::add::{add_accounts, add_coordinators, add_qos, add_users};
use super::commit::agrees;
use super::known::Known;
use super::telling;
use super::words::{Asked, Kind};
use crate::failure::{Advice, EXIT_ERROR, Failure};
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_types::accounts::{
    Account, AccountUser, AccountsEdit, Association, Change, EditKind, Entity, Qos, Setting, SettingError,
};
use squall_types::{AccountName, PartitionName, QosName};
use std::fmt::Display;

/// Changes in one request; of more than that each request is made whole.
const AT_ONCE: usize = 500;

/// What is to be done, and how it is told beforehand.
#[derive(Debug, Default)]
pub struct Planned {
    lines: Vec<String>,
    pub edits: Vec<AccountsEdit>,
}

impl Planned {
    /// A title with what belongs to it.
    pub fn tell(&mut self, title: &str, lines: impl IntoIterator<Item = String>) {
        self.lines.push(format!(" {title}"));
        self.lines.extend(lines);
    }

    /// The same, where anything belongs to it.
    pub fn tell_any(&mut self, title: &str, lines: Vec<String>) {
        if !lines.is_empty() {
            self.tell(title, lines);
        }
    }
}

/// # Errors
/// What cannot be understood, what the controller refuses, or that there is nothing to do.
pub fn run(
    invocation: &mut Invocation<'_>,
    kind: EditKind,
    what: Kind,
    asked: &Asked,
    immediate: bool,
    quiet: bool,
) -> Result<i32, Failure> {
    let known = Known::ask(invocation)?;
    let planned = match (kind, what) {
        (EditKind::Add, Kind::Account) => add_accounts(&known, asked)?,
        (EditKind::Add, Kind::User) => add_users(&known, asked)?,
        (EditKind::Add, Kind::Qos) => add_qos(&known, asked)?,
        (EditKind::Add, Kind::Coordinator) => add_coordinators(&known, asked)?,
        (EditKind::Remove, Kind::Coordinator) => remove_coordinators(&known, asked)?,
        (EditKind::Modify, Kind::Account) => modify_accounts(&known, asked)?,
        (EditKind::Modify, Kind::User | Kind::Association) => modify_users(&known, asked)?,
        (EditKind::Modify, Kind::Qos) => modify_qos(&known, asked)?,
        (EditKind::Remove, Kind::Account) => remove_accounts(&known, asked)?,
        (EditKind::Remove, Kind::User | Kind::Association) => remove_users(&known, asked)?,
        (EditKind::Remove, Kind::Qos) => remove_qos(&known, asked)?,
        (_, Kind::Cluster | Kind::Tres | Kind::Association | Kind::Coordinator) => {
            return Err(Failure::error("sacctmgr", format_args!("{} cannot be changed so", what.word())).advising(
                Advice {
                    limit: "there is one cluster, and what it has is counted as it is".to_owned(),
                    try_this: "sacctmgr add|modify|delete account, user, qos or coordinator".to_owned(),
                    code: "SQ0002",
                    ..Advice::default()
                },
            ));
        }
    };
    if planned.edits.is_empty() {
        let nothing = match kind {
            EditKind::Add => " Nothing new added.",
            EditKind::Modify => " Nothing modified",
            EditKind::Remove => " Nothing deleted",
        };
        writeln!(invocation.out, "{nothing}")?;
        return Ok(EXIT_ERROR);
    }
    if !quiet {
        for line in &planned.lines {
            writeln!(invocation.out, "{}", escaped(line))?;
        }
    }
    if !immediate && !agrees(invocation, "Would you like to commit changes?")? {
        writeln!(invocation.out, " Changes Discarded")?;
        return Ok(0);
    }
    for edits in planned.edits.chunks(AT_ONCE) {
        let made = invocation.controller.edit_accounts(edits.to_vec());
        made.map_err(|error| Failure::call("sacctmgr", "", &error))?;
    }
    Ok(0)
}

/// Tries the settings on something, before anything is asked of the controller.
pub fn try_all(settings: &[Setting], mut set: impl FnMut(&Setting) -> Result<(), SettingError>) -> Result<(), Failure> {
    settings.iter().try_for_each(|setting| set(setting).map_err(|error| wrong(setting, &error)))
}

fn wrong(setting: &Setting, error: &SettingError) -> Failure {
    let (key, value) = (escaped(&setting.key), escaped(&setting.value));
    Failure::plain(format!(" Unknown option: {key}={value}"))
        .and_line(" Use keyword 'where' to modify condition".to_owned())
        .advising(Advice { limit: error.to_string(), try_this: "man sacctmgr".to_owned(), ..Advice::default() })
}

pub fn need(what: &str, example: &str) -> Failure {
    let advice = Advice { try_this: example.to_owned(), ..Advice::default() };
    Failure::plain(format!(" Need {what}")).advising(advice)
}

pub fn edit(kind: EditKind, entity: Entity, settings: Vec<Setting>) -> AccountsEdit {
    AccountsEdit { kind, entity, settings }
}

pub fn account(name: &str) -> Entity {
    Entity::Account(AccountName::new(name))
}

fn remove_coordinators(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.users.is_empty() && asked.accounts.is_empty() {
        return Err(need("a user or an account.", "sacctmgr delete coordinator account=ACCOUNT names=USER"));
    }
    let mut planned = Planned::default();
    planned.tell_any("Removing Coordinators with user name", named(&asked.users));
    planned.tell_any("From Account(s)", named(&asked.accounts));
    let mut removed = Vec::new();
    for row in known.accounts.values().filter(|row| asked.wants_account(row.name.as_str())) {
        let users: Vec<&str> =
            known.coordinators_of(&row.name).into_iter().filter(|user| asked.wants_user(user)).collect();
        if users.is_empty() {
            continue;
        }
        removed.extend(users.iter().map(|user| format!("  U = {user:<9} A = {:<10}", row.name)));
        let value = users.join(",");
        let setting = Setting { key: "coordinators".to_owned(), change: Change::Remove, value };
        planned.edits.push(edit(EditKind::Modify, Entity::Account(row.name.clone()), vec![setting]));
    }
    planned.tell_any("Removed Coordinators (sub accounts not listed)...", removed);
    Ok(planned)
}

/// Names as they stand below a title.
pub fn named<T: Display>(names: &[T]) -> Vec<String> {
    names.iter().map(|name| format!("  {name}")).collect()
}

/// Settings of users themselves, and those of what joins them to accounts.
pub fn apart(settings: &[Setting]) -> Result<(Vec<Setting>, Vec<Setting>), Failure> {
    let of_user = |setting: &&Setting| matches!(setting.name(), "defaultaccount" | "adminlevel");
    let (own, of_member): (Vec<&Setting>, Vec<&Setting>) = settings.iter().partition(of_user);
    let (mut user, mut member) = (AccountUser::default(), Association::default());
    let own: Vec<Setting> = own.into_iter().cloned().collect();
    let of_member: Vec<Setting> = of_member.into_iter().cloned().collect();
    try_all(&own, |setting| user.set(setting))?;
    try_all(&of_member, |setting| member.set(setting))?;
    Ok((own, of_member))
}

fn some_settings(asked: &Asked) -> Result<(), Failure> {
    if asked.settings.is_empty() {
        return Err(Failure::plain(" You didn't give me anything to set")
            .advising(Advice { try_this: "sacctmgr modify user NAME set maxjobs=3".to_owned(), ..Advice::default() }));
    }
    Ok(())
}

fn modify_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let mut scratch = Account::default();
    try_all(&asked.settings, |setting| scratch.set(setting))?;
    let of_row = |setting: &Setting| matches!(setting.name(), "description" | "organization");
    let wanted: Vec<&Account> = known
        .accounts
        .values()
        .filter(|row| !asked.accounts.is_empty() && asked.wants_account(row.name.as_str()))
        .collect();
    let mut planned = Planned::default();
    if asked.settings.iter().any(of_row) {
        planned.tell_any("Modified accounts...", wanted.iter().map(|row| format!("  {}", row.name)).collect());
    }
    if !asked.settings.iter().all(of_row) {
        let told = |row: &&Account| {
            let parent = row.parent.as_ref().map(|parent| format!(" of {parent}")).unwrap_or_default();
            format!("  C = {:<10} A = {}{parent}", known.cluster, row.name)
        };
        planned.tell_any("Modified account associations...", wanted.iter().map(told).collect());
    }
    let edits =
        wanted.iter().map(|row| edit(EditKind::Modify, Entity::Account(row.name.clone()), asked.settings.clone()));
    planned.edits = edits.collect();
    Ok(planned)
}

/// Of users, all associations that fit the conditions.
fn members<'k>(known: &'k Known, asked: &'k Asked) -> impl Iterator<Item = &'k (String, String, String)> {
    let any = !asked.users.is_empty() || !asked.accounts.is_empty();
    known.members.keys().filter(move |(account, user, partition)| {
        any && asked.wants_account(account)
            && asked.wants_user(user)
            && (asked.partitions.is_empty() || asked.wants_partition(partition))
    })
}

fn member((account, user, partition): &(String, String, String)) -> Entity {
    let partition = (!partition.is_empty()).then(|| PartitionName::new(partition));
    Entity::Association { account: AccountName::new(account), user: user.clone(), partition }
}

fn modify_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let (own, of_member) = apart(&asked.settings)?;
    let mut planned = Planned::default();
    if !own.is_empty() {
        let wanted = |user: &&String| !asked.users.is_empty() && asked.wants_user(user);
        let users: Vec<&String> = known.users.keys().filter(wanted).collect();
        planned.tell_any("Modified users...", named(&users));
        let edits = users.iter().map(|user| edit(EditKind::Modify, Entity::User((*user).clone()), own.clone()));
        planned.edits.extend(edits);
    }
    if !of_member.is_empty() {
        let keys: Vec<&(String, String, String)> = members(known, asked).collect();
        let told = keys.iter().map(|key| telling::association(known, 20, key)).collect();
        planned.tell_any("Modified user associations...", told);
        planned.edits.extend(keys.iter().map(|key| edit(EditKind::Modify, member(key), of_member.clone())));
    }
    Ok(planned)
}

fn modify_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let mut scratch = Qos::default();
    try_all(&asked.settings, |setting| scratch.set(setting))?;
    let names = qualities(known, asked);
    let mut planned = Planned::default();
    planned.tell_any("Modified qos...", named(&names));
    let change = |name: &&QosName| edit(EditKind::Modify, Entity::Qos((*name).clone()), asked.settings.clone());
    planned.edits = names.iter().map(change).collect();
    Ok(planned)
}

fn qualities<'k>(known: &'k Known, asked: &Asked) -> Vec<&'k QosName> {
    known.qos.keys().filter(|name| !asked.names.is_empty() && asked.wants_name(name.as_str())).collect()
}

fn remove_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    let mut wanted: Vec<&Account> = known.accounts.values().collect();
    wanted.retain(|row| !asked.accounts.is_empty() && asked.wants_account(row.name.as_str()));
    // Those below others go first.
    let depth = |row: &Account| {
        let above = |name: &AccountName| known.accounts.get(name.as_str()).and_then(|row| row.parent.clone());
        std::iter::successors(row.parent.clone(), above).take(known.accounts.len()).count()
    };
    wanted.sort_by_key(|row| std::cmp::Reverse(depth(row)));
    let mut planned = Planned::default();
    planned.tell_any("Deleting accounts...", wanted.iter().map(|row| format!("  {}", row.name)).collect());
    let gone = |row: &&Account| edit(EditKind::Remove, Entity::Account(row.name.clone()), Vec::new());
    planned.edits = wanted.iter().map(gone).collect();
    Ok(planned)
}

/// With an account the user goes out of it, without one altogether.
fn remove_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    let mut planned = Planned::default();
    if asked.accounts.is_empty() && asked.partitions.is_empty() {
        let wanted = |user: &&String| !asked.users.is_empty() && asked.wants_user(user);
        let users: Vec<&String> = known.users.keys().filter(wanted).collect();
        planned.tell_any("Deleting users...", named(&users));
        let gone = |user: &&String| edit(EditKind::Remove, Entity::User((*user).clone()), Vec::new());
        planned.edits = users.iter().map(gone).collect();
        return Ok(planned);
    }
    let keys: Vec<&(String, String, String)> = members(known, asked).collect();
    let told = keys.iter().map(|key| telling::association(known, 10, key)).collect();
    planned.tell_any("Deleting user associations...", told);
    planned.edits = keys.iter().map(|key| edit(EditKind::Remove, member(key), Vec::new())).collect();
    Ok(planned)
}

fn remove_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    let names = qualities(known, asked);
    let mut planned = Planned::default();
    planned.tell_any("Deleting QOS(s)...", named(&names));
    planned.edits = names.iter().map(|name| edit(EditKind::Remove, Entity::Qos((*name).clone()), Vec::new())).collect();
    Ok(planned)
}
