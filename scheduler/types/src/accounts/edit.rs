//! What is asked of accounts, and what is told of them.

use super::setting::Setting;
use crate::{AccountName, PartitionName, QosName, Uid};

/// What a change or a line of a list is about. Users have names here: numbers are the controller's affair.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Entity {
    Account(AccountName),
    User(String),
    Association { account: AccountName, user: String, partition: Option<PartitionName> },
    Qos(QosName),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditKind {
    /// Of what is not there yet.
    Add,
    /// Of what is there.
    Modify,
    /// With all that belongs to it; it has no settings.
    Remove,
}

/// One change. Those of a request are made all or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountsEdit {
    pub kind: EditKind,
    pub entity: Entity,
    pub settings: Vec<Setting>,
}

/// Of what to tell; nothing asked is everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountsQuery {
    /// Accounts, associations and users of these alone; empty is all.
    pub accounts: Vec<AccountName>,
    pub users: Vec<String>,
}

/// One line: what it is and everything that is set of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountsEntry {
    pub entity: Entity,
    /// Of a user or an association.
    pub uid: Option<Uid>,
    pub settings: Vec<Setting>,
}
