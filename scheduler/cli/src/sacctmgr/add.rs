//! What `sacctmgr add` adds, told in Slurm's words.

use super::change::{Planned, account, apart, edit, named, need, try_all};
use super::known::Known;
use super::telling;
use super::words::Asked;
use crate::failure::Failure;
use crate::terminal::escaped;
use squall_types::accounts::{Account, Change, EditKind, Entity, Qos, Setting};
use squall_types::{AccountName, PartitionName, QosName};

pub fn add_accounts(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.accounts.is_empty() {
        return Err(need("name of account to add.", "sacctmgr add account NAME parent=ACCOUNT"));
    }
    let mut scratch = Account::default();
    try_all(&asked.settings, |setting| scratch.set(setting))?;
    let mut planned = Planned::default();
    // What the configuration names is there, and has no row until somebody gives it one.
    let is_new = |name: &&String| known.accounts.get(*name).is_none_or(|row| row.description.is_empty());
    let names: Vec<&String> = asked.accounts.iter().filter(is_new).collect();
    if names.is_empty() {
        return Ok(planned);
    }
    let parent = scratch.parent.as_ref().map_or("root", |parent| parent.as_str());
    if !known.accounts.contains_key(parent) {
        return Err(Failure::plain(format!(
            " Parent account '{}' doesn't exist on cluster {}",
            escaped(parent),
            known.cluster
        ))
        .and_line("        Contact your admin to add this account.".to_owned())
        .and_line(" No associations created.".to_owned()));
    }
    planned.tell("Adding Account(s)", named(&names));
    let given = |text: &str, otherwise: &str| if text.is_empty() { otherwise.to_owned() } else { text.to_owned() };
    let (description, organization) =
        (given(&scratch.description, "Account Name"), given(&scratch.organization, "Parent/Account Name"));
    let texts = [format!("  Description     = {description}"), format!("  Organization    = {organization}")];
    planned.tell("Settings", texts);
    planned.tell("Associations", names.iter().map(|name| telling::added(known, name, None, "")));
    if !asked.settings.is_empty() {
        let mut settings = asked.settings.clone();
        settings.extend(scratch.parent.is_none().then(|| Setting::new("parent", parent)));
        planned.tell("Settings", telling::limits(&settings));
    }
    for name in names {
        let mut settings = asked.settings.clone();
        if scratch.description.is_empty() {
            settings.push(Setting::new("description", name));
        }
        if scratch.organization.is_empty() {
            settings.push(Setting::new("organization", if parent == "root" { name } else { parent }));
        }
        planned.edits.push(edit(EditKind::Add, account(name), settings));
    }
    Ok(planned)
}

pub fn add_users(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
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
        return Err(need("name of account to add user to.", "sacctmgr add user NAME account=ACCOUNT"));
    }
    if let Some(name) = accounts.iter().find(|name| !known.accounts.contains_key(*name)) {
        return Err(Failure::plain(format!(" This account '{}' doesn't exist.", escaped(name)))
            .and_line("        Contact your admin to add this account.".to_owned())
            .and_line(" No associations or wckeys created.".to_owned()));
    }
    let mut planned = Planned::default();
    let everywhere = [String::new()];
    let partitions = if asked.partitions.is_empty() { &everywhere[..] } else { &asked.partitions };
    let (mut users, mut members) = (Vec::new(), Vec::new());
    for user in &asked.users {
        let before = members.len();
        for (name, partition) in accounts.iter().flat_map(|name| partitions.iter().map(move |place| (name, place))) {
            if known.members.contains_key(&(name.clone(), user.clone(), partition.clone())) {
                continue;
            }
            members.push(telling::added(known, name, Some(user), partition));
            let place = (!partition.is_empty()).then(|| PartitionName::new(partition));
            let entity = Entity::Association { account: AccountName::new(name), user: user.clone(), partition: place };
            planned.edits.push(edit(EditKind::Add, entity, of_member.clone()));
        }
        if members.len() > before {
            users.extend((!known.users.contains_key(user)).then_some(user));
            if !own.is_empty() {
                planned.edits.push(edit(EditKind::Modify, Entity::User(user.clone()), own.clone()));
            }
        }
    }
    if planned.edits.is_empty() {
        return Ok(planned);
    }
    planned.tell_any("Adding User(s)", named(&users));
    let title = |setting: &Setting| match setting.name() {
        "defaultaccount" => format!("  Default Account = {}", setting.value),
        _ => format!("  Admin Level     = {}", setting.value),
    };
    planned.tell_any("Settings =", own.iter().map(title).collect());
    planned.tell("Associations =", members);
    planned.tell("Non Default Settings", telling::limits(&of_member));
    Ok(planned)
}

pub fn add_qos(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.names.is_empty() {
        return Err(need("name of qos to add.", "sacctmgr add qos NAME priority=100"));
    }
    let mut scratch = Qos::default();
    try_all(&asked.settings, |setting| scratch.set(setting))?;
    let is_new = |name: &&String| !known.qos.contains_key(&QosName::new(*name));
    let names: Vec<&String> = asked.names.iter().filter(is_new).collect();
    let mut planned = Planned::default();
    let Some(first) = names.first() else { return Ok(planned) };
    let described = |name: &str| {
        let mut settings = asked.settings.clone();
        if scratch.description.is_empty() {
            settings.push(Setting::new("description", name));
        }
        settings
    };
    planned.tell("Adding QOS(s)", named(&names));
    planned.tell("Settings", telling::quality(&described(first)));
    let added = |name: &&String| edit(EditKind::Add, Entity::Qos(QosName::new(*name)), described(name));
    planned.edits = names.iter().map(added).collect();
    Ok(planned)
}

pub fn add_coordinators(known: &Known, asked: &Asked) -> Result<Planned, Failure> {
    if asked.users.is_empty() || asked.accounts.is_empty() {
        let example = "sacctmgr add coordinator account=ACCOUNT names=USER";
        return Err(need("both an account and a user.", example));
    }
    if let Some(name) = asked.accounts.iter().find(|name| !known.accounts.contains_key(*name)) {
        return Err(Failure::plain(format!(" You specified a non-existent account '{}'.", escaped(name))));
    }
    let mut planned = Planned::default();
    planned.tell("Adding Coordinator User(s)", named(&asked.users));
    planned.tell("To Account(s) and all sub-accounts", named(&asked.accounts));
    let setting = Setting { key: "coordinators".to_owned(), change: Change::Add, value: asked.users.join(",") };
    planned.edits =
        asked.accounts.iter().map(|name| edit(EditKind::Modify, account(name), vec![setting.clone()])).collect();
    Ok(planned)
}
