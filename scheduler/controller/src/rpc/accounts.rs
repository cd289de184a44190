//! Accounts, as they are listed and changed. Names of users become numbers here: the core knows no machine.

use super::{Service, refused};
use crate::limits::NAMES_PER_CHANGE;
use squall_core::authz::Verb;
use squall_core::views::account_entries;
use squall_core::{Command, Rejection};
use squall_proto::server::{Channel, Failure, Parts};
use squall_types::Uid;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery, Entity};
use std::collections::{BTreeMap, BTreeSet};

impl Service {
    pub(super) async fn list_accounts(
        &self,
        channel: &Channel,
        query: AccountsQuery,
    ) -> Result<Parts<AccountsEntry>, Failure> {
        self.enter(channel, Verb::ReadCluster)?;
        let published = self.published();
        self.walk(move |give| {
            for entry in account_entries(&published.cluster, &query) {
                if !give(entry) {
                    return;
                }
            }
        })
        .await
    }

    pub(super) async fn change_accounts(&self, channel: &Channel, edits: Vec<AccountsEdit>) -> Result<(), Failure> {
        // Who may change which of them is decided for each by the core.
        let who = self.who(channel, Verb::ChangeAccounts)?;
        let names: BTreeSet<String> = edits.iter().flat_map(named).collect();
        if names.len() > NAMES_PER_CHANGE {
            return Err(refused(
                Rejection::new("SQ1093", "Too many changes")
                    .asked(format!("changes about {} users", names.len()))
                    .limit(format!("at most {NAMES_PER_CHANGE} in one request")),
            ));
        }
        let uids = self.look_up(move || Ok(numbers(names))).await?;
        let users = uids.len();
        let count = edits.len();
        self.command(who.caller.clone(), Command::EditAccounts { edits, uids }).await?;
        tracing::info!(caller = ?who.caller, changes = count, users, "accounts were changed");
        Ok(())
    }
}

/// The users that a change names.
fn named(edit: &AccountsEdit) -> Vec<String> {
    let mut names: Vec<String> = match &edit.entity {
        Entity::User(user) | Entity::Association { user, .. } => vec![user.clone()],
        Entity::Account(_) | Entity::Qos(_) => Vec::new(),
    };
    for setting in edit.settings.iter().filter(|setting| setting.name() == "coordinators") {
        names.extend(setting.value.split(',').filter(|name| !name.is_empty()).map(str::to_owned));
    }
    names
}

/// Those that this machine knows; of the others the core says so.
fn numbers(names: BTreeSet<String>) -> BTreeMap<String, Uid> {
    let known = |name: String| {
        let user = nix::unistd::User::from_name(&name).ok().flatten()?;
        Some((name, Uid(user.uid.as_raw())))
    };
    names.into_iter().filter_map(known).collect()
}
