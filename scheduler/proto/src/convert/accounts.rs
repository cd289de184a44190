//! Accounts, as they are listed and changed.

use crate::wire::{choice, message, put, take, words};
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery, Change, EditKind, Entity, Setting};

message! {
    Setting { key, change, value }
    AccountsEdit { kind, entity: required, settings }
    AccountsQuery { accounts, users }
    AccountsEntry { entity: required, uid, settings }
}

words! {
    Change { Set, Add, Remove }
    EditKind { Add, Modify, Remove }
}

choice! {
    Entity in entity::Of (of) {
        units {}
        values { Account, User, Qos }
        records { Association as AssociationOf { account, user, partition } }
    }
}
