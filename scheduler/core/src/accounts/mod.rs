//! Who may have how much at once: accounts, the users in them, and qualities of service.
//!
//! `tally.rs` counts what each of them has, kept up as jobs change; `rules.rs` says which limits hold for a job and
//! which of them a start or a submission would break.

mod change;
mod rules;
mod tally;

pub use change::AccountsChange;
pub(crate) use change::Moved;
pub use rules::{Breach, Measure, Owner, Rule, Scope, limits, never, rules, start_breach, submit_breach};
pub use tally::{Amounts, Holder, Tallies, Tally, holders, holders_of};

use crate::kept::KeptSpec;
use crate::table::Table;
use squall_types::accounts::{Account, AccountUser, Association, Membership, NORMAL, Qos, ROOT};
use squall_types::{AccountName, PartitionName, QosName, Uid};
use std::collections::BTreeSet;

/// Accounts above an account, at most: a tree that is deeper cannot be made.
pub const MAX_DEPTH: usize = 32;

/// Everything that `sacctmgr` can change. `root` and `normal` are always there.
#[derive(Clone, Debug, PartialEq)]
pub struct Accounts {
    pub accounts: Table<AccountName, Account>,
    pub users: Table<Uid, AccountUser>,
    pub members: Table<Membership, Association>,
    pub qos: Table<QosName, Qos>,
    /// Rows that limit anything: where there is none, nothing is counted.
    limiting: usize,
    /// Whether any quality of service moves jobs in the queue.
    ranking: bool,
}

impl Default for Accounts {
    fn default() -> Self {
        let mut accounts = Accounts {
            accounts: Table::default(),
            users: Table::default(),
            members: Table::default(),
            qos: Table::default(),
            limiting: 0,
            ranking: false,
        };
        let root = Account { name: ROOT.into(), description: "default root account".to_owned(), ..Account::default() };
        accounts.accounts.insert(ROOT.into(), root);
        let normal = Qos { name: NORMAL.into(), description: "Normal QOS default".to_owned(), ..Qos::default() };
        accounts.qos.insert(NORMAL.into(), normal);
        accounts
    }
}

impl Accounts {
    /// Whether anything is limited at all.
    pub fn is_limiting(&self) -> bool {
        self.limiting > 0
    }

    /// Whether anybody has made an account.
    pub fn has_accounts(&self) -> bool {
        self.accounts.len() > 1
    }

    /// Whether anybody has made a quality of service.
    pub fn has_qos(&self) -> bool {
        self.qos.len() > 1
    }

    /// The account and those above it; an account that nobody made stands below `root`.
    pub fn lineage<'a>(&'a self, account: &AccountName) -> impl Iterator<Item = &'a Account> {
        let first = self.accounts.get(account).or_else(|| self.accounts.get(&ROOT.into()));
        let above = |account: &&'a Account| self.accounts.get(account.parent.as_ref()?);
        std::iter::successors(first, above).take(MAX_DEPTH)
    }

    /// The associations of a user with one account.
    pub fn in_account(&self, account: &AccountName, uid: Uid) -> impl Iterator<Item = &Association> {
        let (first, account) = (Membership { account: account.clone(), uid, partition: None }, account.clone());
        let rows = self.members.from(first).map(|(_, row)| row);
        rows.take_while(move |row| row.of.account == account && row.of.uid == uid)
    }

    /// What joins a user to an account for jobs in a partition: for that partition, else for all.
    pub fn association(
        &self,
        account: &AccountName,
        uid: Uid,
        partition: Option<&PartitionName>,
    ) -> Option<&Association> {
        if self.members.is_empty() {
            return None;
        }
        let of = |partition: Option<&PartitionName>| Membership {
            account: account.clone(),
            uid,
            partition: partition.cloned(),
        };
        let special = partition.and_then(|partition| self.members.get(&of(Some(partition))));
        special.or_else(|| self.members.get(&of(None)))
    }

    /// All associations of a user.
    pub fn members_of(&self, uid: Uid) -> impl Iterator<Item = &Association> {
        let rows = self.members.from(Membership { uid, ..Membership::default() }).map(|(_, row)| row);
        rows.take_while(move |row| row.of.uid == uid)
    }

    /// Accounts that a user is in, by name.
    pub fn accounts_of(&self, uid: Uid) -> BTreeSet<&AccountName> {
        if self.members.is_empty() {
            return BTreeSet::new();
        }
        self.members_of(uid).map(|row| &row.of.account).collect()
    }

    /// The quality of service that a job has which names none.
    pub fn default_qos(&self, account: &AccountName, uid: Uid, partition: Option<&PartitionName>) -> QosName {
        if !self.has_qos() {
            return NORMAL.into();
        }
        let own = self.association(account, uid, partition).and_then(|row| row.terms.default_qos.clone());
        let given = own.or_else(|| self.lineage(account).find_map(|account| account.terms.default_qos.clone()));
        given.unwrap_or_else(|| NORMAL.into())
    }

    /// The qualities of service that a user may name in an account.
    pub fn allowed_qos(&self, account: &AccountName, uid: Uid, partition: Option<&PartitionName>) -> BTreeSet<QosName> {
        let own = self.association(account, uid, partition).and_then(|row| row.terms.qos.clone());
        let given = own.or_else(|| self.lineage(account).find_map(|account| account.terms.qos.clone()));
        given.unwrap_or_else(|| [NORMAL.into()].into())
    }

    /// Whether a user coordinates the account or one above it.
    pub fn coordinates(&self, uid: Uid, account: &AccountName) -> bool {
        self.accounts.get(account).is_some() && self.lineage(account).any(|above| above.coordinators.contains(&uid))
    }

    /// Points that a job has for its quality of service.
    pub(crate) fn points(&self, spec: &KeptSpec) -> u32 {
        if !self.ranking {
            return 0;
        }
        let qos = spec.qos.as_ref().and_then(|qos| self.qos.get(qos));
        qos.or_else(|| self.qos.get(&NORMAL.into())).map_or(0, |qos| qos.priority)
    }

    /// How deep an account stands below `root`.
    pub fn depth(&self, account: &AccountName) -> usize {
        self.lineage(account).count().saturating_sub(1)
    }
}

/// The quality of service that a job counts for.
pub fn qos_of(spec: &KeptSpec) -> QosName {
    spec.qos.clone().unwrap_or_else(|| NORMAL.into())
}
