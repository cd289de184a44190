//! Accounts as `sacctmgr` lists them.

use crate::cluster::Cluster;
use squall_types::Uid;
use squall_types::accounts::{Account, AccountsEntry, AccountsQuery, Entity, Setting};
use std::collections::BTreeSet;

/// Accounts, then users, then what joins them, then qualities of service, each in the order of names.
pub fn account_entries<'a>(cluster: &'a Cluster, query: &'a AccountsQuery) -> impl Iterator<Item = AccountsEntry> + 'a {
    let rows = cluster.accounts.as_ref();
    let of_account = |name| query.accounts.is_empty() || query.accounts.contains(name);
    let named = |uid: Uid| rows.users.get(&uid).map_or_else(|| uid.to_string(), |user| user.name.clone());
    let of_user = move |uid: Uid| query.users.is_empty() || query.users.contains(&named(uid));
    let accounts = rows.accounts.values().filter(move |account| of_account(&account.name));
    let accounts = accounts.map(move |account| {
        let mut settings = account.settings();
        settings.extend(coordinators(account, named));
        AccountsEntry { entity: Entity::Account(account.name.clone()), uid: None, settings }
    });
    let users = rows.users.values().filter(move |user| of_user(user.uid)).map(|user| AccountsEntry {
        entity: Entity::User(user.name.clone()),
        uid: Some(user.uid),
        settings: user.settings(),
    });
    let members = rows.members.values().filter(move |row| of_account(&row.of.account) && of_user(row.of.uid));
    let members = members.map(move |row| {
        let (account, partition) = (row.of.account.clone(), row.of.partition.clone());
        let entity = Entity::Association { account, user: named(row.of.uid), partition };
        AccountsEntry { entity, uid: Some(row.of.uid), settings: row.terms.settings() }
    });
    let qos = rows.qos.values().map(|qos| AccountsEntry {
        entity: Entity::Qos(qos.name.clone()),
        uid: None,
        settings: qos.settings(),
    });
    accounts.chain(users).chain(members).chain(qos)
}

fn coordinators(account: &Account, named: impl Fn(Uid) -> String) -> Option<Setting> {
    let names: BTreeSet<String> = account.coordinators.iter().map(|uid| named(*uid)).collect();
    let list = names.into_iter().collect::<Vec<_>>().join(",");
    (!list.is_empty()).then(|| Setting::new("coordinators", list))
}
