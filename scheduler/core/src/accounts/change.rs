//! What can happen to accounts, as it is stored: whole rows, so that nothing has to be worked out on replay.

use super::Accounts;
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use squall_types::accounts::{Account, AccountUser, Association, Membership, Qos};
use squall_types::{AccountName, QosName, Uid};

/// A row as it is from now on, or the name of one that is no longer.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub enum AccountsChange {
    #[n(0)]
    Account(#[n(0)] Account),
    #[n(1)]
    AccountRemoved(#[n(0)] AccountName),
    #[n(2)]
    User(#[n(0)] AccountUser),
    #[n(3)]
    UserRemoved(#[n(0)] Uid),
    #[n(4)]
    Association(#[n(0)] Association),
    #[n(5)]
    AssociationRemoved(#[n(0)] Membership),
    #[n(6)]
    Qos(#[n(0)] Qos),
    #[n(7)]
    QosRemoved(#[n(0)] QosName),
}

/// The jobs whose ranks, or for whom they count, may be other ones after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    Nothing,
    /// Those that name the account: nothing stands below one that is new, or goes.
    JobsOf(AccountName),
    Everything,
}

impl Accounts {
    pub(crate) fn take_in(&mut self, change: &AccountsChange) -> Moved {
        let was_limiting = self.is_limiting();
        let moved = match change {
            AccountsChange::Account(account) => {
                let before = self.accounts.get(&account.name);
                let moved = match before {
                    None => Moved::JobsOf(account.name.clone()),
                    Some(row) if row.parent == account.parent => Moved::Nothing,
                    Some(_) => Moved::Everything,
                };
                let limited = before.is_some_and(|row| !row.terms.limits.is_empty());
                self.relimit(limited, !account.terms.limits.is_empty());
                self.accounts.insert(account.name.clone(), account.clone());
                moved
            }
            AccountsChange::AccountRemoved(name) => {
                let before = self.accounts.remove(name);
                self.relimit(before.is_some_and(|row| !row.terms.limits.is_empty()), false);
                Moved::JobsOf(name.clone())
            }
            AccountsChange::User(user) => {
                self.users.insert(user.uid, user.clone());
                Moved::Nothing
            }
            AccountsChange::UserRemoved(uid) => {
                self.users.remove(uid);
                Moved::Nothing
            }
            AccountsChange::Association(row) => {
                let limited = self.members.get(&row.of).is_some_and(|row| !row.terms.limits.is_empty());
                self.relimit(limited, !row.terms.limits.is_empty());
                self.members.insert(row.of.clone(), row.clone());
                Moved::Nothing
            }
            AccountsChange::AssociationRemoved(of) => {
                let before = self.members.remove(of);
                self.relimit(before.is_some_and(|row| !row.terms.limits.is_empty()), false);
                Moved::Nothing
            }
            AccountsChange::Qos(qos) => {
                let before = self.qos.get(&qos.name);
                let stays = before.map_or(0, |row| row.priority) == qos.priority;
                let limited = before.is_some_and(|row| !row.limits.is_empty());
                self.relimit(limited, !qos.limits.is_empty());
                self.qos.insert(qos.name.clone(), qos.clone());
                if stays { Moved::Nothing } else { Moved::Everything }
            }
            AccountsChange::QosRemoved(name) => {
                let before = self.qos.remove(name);
                self.relimit(before.is_some_and(|row| !row.limits.is_empty()), false);
                Moved::Everything
            }
        };
        if let AccountsChange::Qos(_) | AccountsChange::QosRemoved(_) = change {
            self.ranking = self.qos.values().any(|qos| qos.priority > 0);
        }
        match (was_limiting, self.is_limiting(), change) {
            // Ranks come from qualities of service alone; who stands below whom is for what is counted.
            (false, false, AccountsChange::Account(_) | AccountsChange::AccountRemoved(_)) => Moved::Nothing,
            (before, after, _) if before != after => Moved::Everything,
            _ => moved,
        }
    }

    /// Every row, as the change that makes it.
    pub(crate) fn rows(&self) -> Vec<AccountsChange> {
        let accounts = self.accounts.values().cloned().map(AccountsChange::Account);
        let users = self.users.values().cloned().map(AccountsChange::User);
        let members = self.members.values().cloned().map(AccountsChange::Association);
        let qos = self.qos.values().cloned().map(AccountsChange::Qos);
        accounts.chain(users).chain(members).chain(qos).collect()
    }

    fn relimit(&mut self, before: bool, after: bool) {
        self.limiting = (self.limiting + usize::from(after)).saturating_sub(usize::from(before));
    }
}
