//! What `sacctmgr` changes: it says what it is about to do, asks, and does it all or not at all.

use super::known::Known;
use super::words::{Asked, Kind};
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::terminal::escaped;
use squall_types::accounts::{
    Account, AccountUser, AccountsEdit, Association, Change, EditKind, Entity, Qos, Setting, SettingError,
};
use squall_types::{AccountName, PartitionName, QosName};

/// Changes in one request; of more than that each request is made whole.
const AT_ONCE: usize = 500;
/// Longest answer to the question.
const MAX_ANSWER: usize = 64;

/// What is to be done, and how it is told beforehand.
#[derive(Debug, Default)]
struct Planned {
    title: &'static str,
    lines: Vec<String>,
    edits: Vec<AccountsEdit>,
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
        (EditKind::Add | EditKind::Remove, Kind::Coordinator) => coordinators(kind, asked)?,
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
            EditKind::Modify => "  Nothing modified",
            EditKind::Remove => " Nothing deleted",
        };
        writeln!(invocation.out, "{nothing}")?;
        return Ok(if kind == EditKind::Add { 0 } else { 1 });
    }
    if !quiet {
        writeln!(invocation.out, " {}", planned.title)?;
        for line in &planned.lines {
            writeln!(invocation.out, "  {}", escaped(line))?;
        }
    }
    if !immediate && !agrees(invocation)? {
        writeln!(invocation.out, " Changes Discarded")?;
        return Ok(0);
    }
    for edits in planned.edits.chunks(AT_ONCE) {
        let made = invocation.controller.edit_accounts(edits.to_vec());
        made.map_err(|error| Failure::call("sacctmgr", "", &error))?;
    }
    Ok(0)
}

/// Asks as Slurm does; no answer is no.
fn agrees(invocation: &mut Invocation<'_>) -> Result<bool, Failure> {
    write!(invocation.out, "Would you like to commit changes?\n(N/y): ")?;
    invocation.out.flush()?;
    let mut answer = Vec::new();
    let mut byte = [0u8];
    while answer.len() < MAX_ANSWER && invocation.input.read(&mut byte)? == 1 && byte[0] != b'\n' {
        answer.push(byte[0]);
    }
    Ok(matches!(answer.first(), Some(b'y' | b'Y')))
}

fn wrong(error: SettingError) -> Failure {
    Failure::plain(format!(" {error}")).and_line("sacctmgr: what can be set: man sacctmgr".to_owned())
}

fn need(what: &str, example: &str) -> Failure {
    Failure::plain(format!(" Need {what}")).and_line(format!("sacctmgr: {example}"))
}

fn edit(kind: EditKind, entity: Entity, settings: Vec<Setting>) -> AccountsEdit {
    AccountsEdit { kind, entity, settings }
}

fn account(name: &str) -> Entity {
    Entity::Account(AccountName::new(name))
}

fn add_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.accounts.is_empty() {
        return Err(need("name of account to add.", "sacctmgr add account NAME parent=ACCOUNT"));
    }
    let mut scratch = Account::default();
    asked.settings.iter().try_for_each(|setting| scratch.set(setting)).map_err(wrong)?;
    let mut planned = Planned { title: "Adding Account(s)", ..Planned::default() };
    // What the configuration names is there, and has no row until somebody gives it one.
    let is_new = |name: &&String| known.accounts.get(*name).is_none_or(|row| row.description.is_empty());
    let parent = scratch.parent.as_ref().map_or("root", |parent| parent.as_str());
    for name in asked.accounts.iter().filter(is_new) {
        let mut settings = asked.settings.clone();
        if scratch.description.is_empty() {
            settings.push(Setting::new("description", name));
        }
        if scratch.organization.is_empty() {
            settings.push(Setting::new("organization", if parent == "root" { name } else { parent }));
        }
        planned.lines.push(name.clone());
        planned.edits.push(edit(EditKind::Add, account(name), settings));
    }
    Ok(planned)
}

/// Settings of users themselves, and those of what joins them to accounts.
fn apart(settings: &[Setting]) -> Result<(Vec<Setting>, Vec<Setting>), Failure> {
    let of_user = |setting: &&Setting| matches!(setting.name(), "defaultaccount" | "adminlevel");
    let (own, of_member): (Vec<&Setting>, Vec<&Setting>) = settings.iter().partition(of_user);
    let (mut user, mut member) = (AccountUser::default(), Association::default());
    own.iter().try_for_each(|setting| user.set(setting)).map_err(wrong)?;
    of_member.iter().try_for_each(|setting| member.set(setting)).map_err(wrong)?;
    Ok((own.into_iter().cloned().collect(), of_member.into_iter().cloned().collect()))
}

fn add_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.users.is_empty() {
        return Err(need("name of user to add.", "sacctmgr add user NAME account=ACCOUNT"));
    }
    let (own, of_member) = apart(&asked.settings)?;
    let mut accounts = asked.accounts.clone();
    let default = own.iter().find(|setting| setting.name() == "defaultaccount").map(|setting| setting.value.clone());
    if let Some(default) = default.as_ref().filter(|default| !accounts.contains(default)) {
        accounts.insert(0, default.clone());
    }
    if accounts.is_empty() && !asked.users.iter().all(|user| known.users.contains_key(user)) {
        return Err(need("default account.", "sacctmgr add user NAME account=ACCOUNT"));
    }
    let mut planned = Planned { title: "Adding User(s)", ..Planned::default() };
    let everywhere = [String::new()];
    let partitions = if asked.partitions.is_empty() { &everywhere[..] } else { &asked.partitions };
    for user in &asked.users {
        let mut is_new = false;
        for (name, partition) in accounts.iter().flat_map(|name| partitions.iter().map(move |place| (name, place))) {
            if known.members.contains_key(&(name.clone(), user.clone(), partition.clone())) {
                continue;
            }
            is_new = true;
            let place = (!partition.is_empty()).then(|| PartitionName::new(partition));
            let entity = Entity::Association { account: AccountName::new(name), user: user.clone(), partition: place };
            planned.edits.push(edit(EditKind::Add, entity, of_member.clone()));
        }
        if is_new {
            planned.lines.push(user.clone());
            if !own.is_empty() {
                planned.edits.push(edit(EditKind::Modify, Entity::User(user.clone()), own.clone()));
            }
        }
    }
    if !planned.edits.is_empty() {
        planned.lines.push(format!("in account: {}", accounts.join(",")));
    }
    Ok(planned)
}

fn add_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.names.is_empty() {
        return Err(need("name of qos to add.", "sacctmgr add qos NAME priority=100"));
    }
    let mut scratch = Qos::default();
    asked.settings.iter().try_for_each(|setting| scratch.set(setting)).map_err(wrong)?;
    let mut planned = Planned { title: "Adding QOS(s)", ..Planned::default() };
    for name in asked.names.iter().filter(|name| !known.qos.contains_key(&QosName::new(*name))) {
        let mut settings = asked.settings.clone();
        if scratch.description.is_empty() {
            settings.push(Setting::new("description", name));
        }
        planned.lines.push(name.clone());
        planned.edits.push(edit(EditKind::Add, Entity::Qos(QosName::new(name)), settings));
    }
    Ok(planned)
}

fn coordinators(kind: EditKind, asked: &Asked) -> Result<Planned, Failure> {
    if asked.users.is_empty() || asked.accounts.is_empty() {
        let example = "sacctmgr add coordinator account=ACCOUNT names=USER";
        return Err(need("both an account and a user.", example));
    }
    let (title, change) = match kind {
        EditKind::Remove => ("Removing Coordinator(s)", Change::Remove),
        _ => ("Adding Coordinator(s)", Change::Add),
    };
    let setting = Setting { key: "coordinators".to_owned(), change, value: asked.users.join(",") };
    let edits = asked.accounts.iter().map(|name| edit(EditKind::Modify, account(name), vec![setting.clone()]));
    Ok(Planned { title, lines: asked.users.clone(), edits: edits.collect() })
}

fn some_settings(asked: &Asked) -> Result<(), Failure> {
    if asked.settings.is_empty() {
        return Err(need("something to set.", "sacctmgr modify user NAME set maxjobs=3"));
    }
    Ok(())
}

fn modify_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let mut scratch = Account::default();
    asked.settings.iter().try_for_each(|setting| scratch.set(setting)).map_err(wrong)?;
    let mut planned = Planned { title: "Modified account associations...", ..Planned::default() };
    for name in known.accounts.keys().filter(|name| !asked.accounts.is_empty() && asked.wants_account(name)) {
        planned.lines.push(format!("C = {:<10} A = {name}", known.cluster));
        planned.edits.push(edit(EditKind::Modify, account(name), asked.settings.clone()));
    }
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

fn line(known: &Known, (account, user, partition): &(String, String, String)) -> String {
    let place = if partition.is_empty() { String::new() } else { format!(" P = {partition}") };
    format!("C = {:<10} A = {account:<20} U = {user}{place}", known.cluster)
}

fn modify_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let (own, of_member) = apart(&asked.settings)?;
    let mut planned = Planned { title: "Modified user associations...", ..Planned::default() };
    if !of_member.is_empty() {
        for key in members(known, asked) {
            planned.lines.push(line(known, key));
            planned.edits.push(edit(EditKind::Modify, member(key), of_member.clone()));
        }
    }
    if !own.is_empty() {
        if of_member.is_empty() {
            planned.title = "Modified users...";
        }
        for user in known.users.keys().filter(|user| !asked.users.is_empty() && asked.wants_user(user)) {
            if of_member.is_empty() {
                planned.lines.push(user.clone());
            }
            planned.edits.push(edit(EditKind::Modify, Entity::User(user.clone()), own.clone()));
        }
    }
    Ok(planned)
}

fn modify_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    some_settings(asked)?;
    let mut scratch = Qos::default();
    asked.settings.iter().try_for_each(|setting| scratch.set(setting)).map_err(wrong)?;
    let mut planned = Planned { title: "Modified qos...", ..Planned::default() };
    for name in known.qos.keys().filter(|name| !asked.names.is_empty() && asked.wants_name(name.as_str())) {
        planned.lines.push(name.to_string());
        planned.edits.push(edit(EditKind::Modify, Entity::Qos(name.clone()), asked.settings.clone()));
    }
    Ok(planned)
}

fn remove_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    let mut planned = Planned { title: "Deleting accounts...", ..Planned::default() };
    let mut wanted: Vec<&Account> = known.accounts.values().collect();
    wanted.retain(|row| !asked.accounts.is_empty() && asked.wants_account(row.name.as_str()));
    // Those below others go first.
    let depth = |row: &Account| {
        let above = |name: &AccountName| known.accounts.get(name.as_str()).and_then(|row| row.parent.clone());
        std::iter::successors(row.parent.clone(), above).take(known.accounts.len()).count()
    };
    wanted.sort_by_key(|row| std::cmp::Reverse(depth(row)));
    for row in wanted {
        planned.lines.push(row.name.to_string());
        planned.edits.push(edit(EditKind::Remove, Entity::Account(row.name.clone()), Vec::new()));
    }
    Ok(planned)
}

/// With an account the user goes out of it, without one altogether.
fn remove_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.accounts.is_empty() && asked.partitions.is_empty() {
        let mut planned = Planned { title: "Deleting users...", ..Planned::default() };
        for user in known.users.keys().filter(|user| !asked.users.is_empty() && asked.wants_user(user)) {
            planned.lines.push(user.clone());
            planned.edits.push(edit(EditKind::Remove, Entity::User(user.clone()), Vec::new()));
        }
        return Ok(planned);
    }
    let mut planned = Planned { title: "Deleting user associations...", ..Planned::default() };
    for key in members(known, asked) {
        planned.lines.push(line(known, key));
        planned.edits.push(edit(EditKind::Remove, member(key), Vec::new()));
    }
    Ok(planned)
}

fn remove_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    let mut planned = Planned { title: "Deleting QOS(s)...", ..Planned::default() };
    for name in known.qos.keys().filter(|name| !asked.names.is_empty() && asked.wants_name(name.as_str())) {
        planned.lines.push(name.to_string());
        planned.edits.push(edit(EditKind::Remove, Entity::Qos(name.clone()), Vec::new()));
    }
    Ok(planned)
}
