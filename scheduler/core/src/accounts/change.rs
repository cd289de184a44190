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

impl Accounts {
    /// Whether the ranks of jobs, or for whom they count, may be other ones now.
    pub(crate) fn take_in(&mut self, change: &AccountsChange) -> bool {
        let was_limiting = self.is_limiting();
        let moved = match change {
            AccountsChange::Account(account) => {
                let before = self.accounts.get(&account.name);
                let stays = before.is_some_and(|row| row.parent == account.parent);
                let limited = before.is_some_and(|row| !row.terms.limits.is_empty());
                self.relimit(limited, !account.terms.limits.is_empty());
                self.accounts.insert(account.name.clone(), account.clone());
                !stays
            }
            AccountsChange::AccountRemoved(name) => {
                let before = self.accounts.remove(name);
                self.relimit(before.is_some_and(|row| !row.terms.limits.is_empty()), false);
                true
            }
            AccountsChange::User(user) => {
                self.users.insert(user.uid, user.clone());
                false
            }
            AccountsChange::UserRemoved(uid) => {
                self.users.remove(uid);
                false
            }
            AccountsChange::Association(row) => {
                let limited = self.members.get(&row.of).is_some_and(|row| !row.terms.limits.is_empty());
                self.relimit(limited, !row.terms.limits.is_empty());
                self.members.insert(row.of.clone(), row.clone());
                false
            }
            AccountsChange::AssociationRemoved(of) => {
                let before = self.members.remove(of);
                self.relimit(before.is_some_and(|row| !row.terms.limits.is_empty()), false);
                false
            }
            AccountsChange::Qos(qos) => {
                let before = self.qos.get(&qos.name);
                let stays = before.map_or(0, |row| row.priority) == qos.priority;
                let limited = before.is_some_and(|row| !row.limits.is_empty());
                self.relimit(limited, !qos.limits.is_empty());
                self.qos.insert(qos.name.clone(), qos.clone());
                !stays
            }
            AccountsChange::QosRemoved(name) => {
                let before = self.qos.remove(name);
                self.relimit(before.is_some_and(|row| !row.limits.is_empty()), false);
                true
            }
        };
        if let AccountsChange::Qos(_) | AccountsChange::QosRemoved(_) = change {
            self.ranking = self.qos.values().any(|qos| qos.priority > 0);
        }
        moved || was_limiting != self.is_limiting()
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
