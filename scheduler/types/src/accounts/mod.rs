//! Accounts, the users in them, qualities of service, and what each of them may have: the words of `sacctmgr`.
//!
//! Accounts form a tree below `root`. An association joins a user to an account, for one partition or for all. Limits
//! stand on accounts, associations and qualities of service. Commands and the wire know all of these as an [`Entity`]
//! with [`Setting`]s, which are text as people type it; each row says what its settings are and takes them in.

mod edit;
mod limits;
mod setting;
mod tres;

pub use edit::{AccountsEdit, AccountsEntry, AccountsQuery, EditKind, Entity};
pub use limits::{Bounds, Limits};
pub use setting::{Change, Setting, SettingError};
pub use tres::{TresKind, TresLimits};

use crate::{AccountName, PartitionName, QosName, Uid};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};
use setting::{changed_list, count, is_none, list_text};
use std::collections::BTreeSet;

/// The account above all others: it is there without being added.
pub const ROOT: &str = "root";
/// The quality of service that is there without being added, and that jobs have which name none.
pub const NORMAL: &str = "normal";

/// What holds for everybody in an account, or for one association.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Terms {
    #[n(0)]
    pub limits: Limits,
    /// Of its account's siblings' sum; `None` is 1.
    #[n(1)]
    pub shares: Option<u32>,
    #[n(2)]
    pub default_qos: Option<QosName>,
    /// Which may be used; `None` leaves it to the account above, and at last to `normal` alone.
    #[n(3)]
    pub qos: Option<BTreeSet<QosName>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Account {
    #[n(0)]
    pub name: AccountName,
    /// `None` for `root` alone.
    #[n(1)]
    pub parent: Option<AccountName>,
    #[n(2)]
    pub description: String,
    #[n(3)]
    pub organization: String,
    /// Users who may change this account and those below it.
    #[n(4)]
    pub coordinators: BTreeSet<Uid>,
    #[n(5)]
    pub terms: Terms,
}

/// A user in an account; with a partition, for jobs in that partition alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct Membership {
    #[n(0)]
    pub uid: Uid,
    #[n(1)]
    pub account: AccountName,
    #[n(2)]
    pub partition: Option<PartitionName>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Association {
    #[n(0)]
    pub of: Membership,
    #[n(1)]
    pub terms: Terms,
}

/// Who may change accounts beside the admins of the cluster. Gives no right over anything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum AdminLevel {
    #[default]
    #[n(0)]
    None,
    /// Everything but levels of users.
    #[n(1)]
    Operator,
    #[n(2)]
    Administrator,
}

impl AdminLevel {
    /// Slurm's word.
    pub fn word(self) -> &'static str {
        match self {
            AdminLevel::None => "None",
            AdminLevel::Operator => "Operator",
            AdminLevel::Administrator => "Administrator",
        }
    }
}

/// A user of whom the accounts know something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct AccountUser {
    #[n(0)]
    pub uid: Uid,
    /// As the controller's machine knew it when the user was added.
    #[n(1)]
    pub name: String,
    #[n(2)]
    pub default_account: Option<AccountName>,
    #[n(3)]
    pub admin: AdminLevel,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct Qos {
    #[n(0)]
    pub name: QosName,
    #[n(1)]
    pub description: String,
    /// Points that its jobs have more than others.
    #[n(2)]
    pub priority: u32,
    #[n(3)]
    pub flags: BTreeSet<String>,
    #[n(4)]
    pub limits: Limits,
}

/// Refuses submissions that exceed its limits. Here that is always so: a job that could never run is refused.
pub const DENY_ON_LIMIT: &str = "DenyOnLimit";
/// The limits of the job's quality of service go before those of its partition's.
pub const OVER_PARTITION: &str = "OverPartQOS";
/// Flags of a quality of service that are kept.
const FLAGS: [&str; 2] = [DENY_ON_LIMIT, OVER_PARTITION];

impl Terms {
    /// Takes in a setting of an account or association; `false` where it is none of theirs.
    ///
    /// # Errors
    /// A value that means nothing.
    pub fn set(&mut self, setting: &Setting) -> Result<bool, SettingError> {
        match setting.name() {
            "fairshare" => self.shares = count(setting)?,
            "defaultqos" => self.default_qos = (!is_none(&setting.value)).then(|| QosName::new(&setting.value)),
            "qos" if setting.value.is_empty() || setting.value == "-1" => self.qos = None,
            "qos" => {
                let before = self.qos.take().unwrap_or_else(|| [QosName::from(NORMAL)].into());
                self.qos = Some(changed_list(before, setting, |name| Ok(QosName::new(name)))?);
            }
            _ => return self.limits.set_of_association(setting),
        }
        Ok(true)
    }

    /// Everything that differs from what a new one has.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = self.limits.settings_of_association();
        settings.extend(self.shares.map(|shares| Setting::new("fairshare", shares)));
        settings.extend(self.default_qos.as_ref().map(|qos| Setting::new("defaultqos", qos)));
        settings.extend(self.qos.as_ref().map(|qos| Setting::new("qos", list_text(qos))));
        settings
    }
}

impl Account {
    /// # Errors
    /// A setting that accounts do not have, or a value that means nothing. Coordinators are the caller's affair: they
    /// have names, and rows have numbers.
    pub fn set(&mut self, setting: &Setting) -> Result<(), SettingError> {
        match setting.name() {
            "description" => self.description = setting.text()?,
            "organization" => self.organization = setting.text()?,
            "parent" => self.parent = Some(AccountName(setting.text()?)),
            _ if self.terms.set(setting)? => {}
            _ => return Err(setting.unknown("an account")),
        }
        Ok(())
    }

    pub fn settings(&self) -> Vec<Setting> {
        let text = |name: &str, text: &str| (!text.is_empty()).then(|| Setting::new(name, text));
        let mut settings: Vec<Setting> = text("description", &self.description).into_iter().collect();
        settings.extend(text("organization", &self.organization));
        settings.extend(self.parent.as_ref().map(|parent| Setting::new("parent", parent)));
        settings.extend(self.terms.settings());
        settings
    }
}

impl Association {
    /// # Errors
    /// A setting that associations do not have, or a value that means nothing.
    pub fn set(&mut self, setting: &Setting) -> Result<(), SettingError> {
        if self.terms.set(setting)? { Ok(()) } else { Err(setting.unknown("a user in an account")) }
    }
}

impl AccountUser {
    /// # Errors
    /// A setting that users do not have, or a value that means nothing.
    pub fn set(&mut self, setting: &Setting) -> Result<(), SettingError> {
        match setting.name() {
            "defaultaccount" => self.default_account = Some(AccountName(setting.text()?)),
            "adminlevel" => {
                let levels = [AdminLevel::None, AdminLevel::Operator, AdminLevel::Administrator];
                let wanted = setting.value.to_ascii_lowercase();
                let known = levels
                    .into_iter()
                    .find(|level| !wanted.is_empty() && level.word().to_ascii_lowercase().starts_with(&wanted));
                self.admin = known.ok_or_else(|| setting.wrong("None, Operator or Administrator"))?;
            }
            _ => return Err(setting.unknown("a user")),
        }
        Ok(())
    }

    pub fn settings(&self) -> Vec<Setting> {
        let account = self.default_account.as_ref().map(|account| Setting::new("defaultaccount", account));
        let level = (self.admin != AdminLevel::None).then(|| Setting::new("adminlevel", self.admin.word()));
        account.into_iter().chain(level).collect()
    }
}

impl Qos {
    pub fn has(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// # Errors
    /// A setting that qualities of service do not have, or a value that means nothing.
    pub fn set(&mut self, setting: &Setting) -> Result<(), SettingError> {
        match setting.name() {
            "description" => self.description = setting.text()?,
            "priority" => self.priority = count(setting)?.unwrap_or(0),
            "flags" if setting.value == "-1" => self.flags.clear(),
            "flags" => {
                let flag = |name: &str| {
                    let known = FLAGS.iter().find(|flag| flag.eq_ignore_ascii_case(name));
                    known.map(|flag| (*flag).to_owned()).ok_or_else(|| setting.wrong(&FLAGS.join(", ")))
                };
                self.flags = changed_list(std::mem::take(&mut self.flags), setting, flag)?;
            }
            _ if self.limits.set_of_qos(setting)? => {}
            _ => return Err(setting.unknown("a quality of service")),
        }
        Ok(())
    }

    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = self.limits.settings_of_qos();
        settings.extend((!self.description.is_empty()).then(|| Setting::new("description", &self.description)));
        settings.extend((self.priority > 0).then(|| Setting::new("priority", self.priority)));
        settings.extend((!self.flags.is_empty()).then(|| Setting::new("flags", list_text(&self.flags))));
        settings
    }
}

#[cfg(test)]
mod tests;
