//! `sacctmgr`: accounts, associations, users and qualities of service are added, changed and removed.

use super::Reply;
use super::draft::Draft;
use crate::accounts::{AccountsChange, MAX_DEPTH, qos_of};
use crate::authz::{self, Object, Verb};
use crate::command::Caller;
use crate::event::What;
use crate::kept::KeptSpec;
use crate::refuse::Rejection;
use squall_types::accounts::{
    Account, AccountUser, AccountsEdit, AdminLevel, Association, Change, EditKind, Entity, Membership, NORMAL, Qos,
    ROOT, Setting, SettingError, Terms,
};
use squall_types::{AccountName, QosName, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// Changes in one request: room for the accounts of a large site, loaded from a file at once.
pub const MAX_EDITS: usize = 10_000;
/// Of names that are unknown, as many are told.
const MAX_TOLD: usize = 20;
/// Longest name of an account or a quality of service, in bytes.
const MAX_NAME: usize = 64;

/// Who asks, and whom the names of the request mean.
struct Editor<'a> {
    caller: &'a Caller,
    uids: &'a BTreeMap<String, Uid>,
}

impl Draft<'_> {
    pub fn edit_accounts(
        &mut self,
        caller: &Caller,
        edits: &[AccountsEdit],
        uids: &BTreeMap<String, Uid>,
    ) -> Result<Reply, Rejection> {
        if edits.len() > MAX_EDITS {
            let refusal = Rejection::new("SQ1093", "Too many changes").asked(format!("{} changes", edits.len()));
            return Err(refusal.limit(format!("at most {MAX_EDITS} in one request")).try_this("several requests"));
        }
        let editor = Editor { caller, uids };
        self.know_users(&editor, edits)?;
        for edit in edits {
            match &edit.entity {
                Entity::Account(name) => self.edit_account(&editor, name, edit)?,
                Entity::User(name) => self.edit_user(&editor, name, edit)?,
                Entity::Association { account, user, partition } => {
                    let uid = self.uid_of(&editor, user)?;
                    let of = Membership { uid, account: account.clone(), partition: partition.clone() };
                    self.edit_association(&editor, user, of, edit)?;
                }
                Entity::Qos(name) => self.edit_qos(&editor, name, edit)?,
            }
        }
        Ok(Reply::Done)
    }

    fn change(&mut self, change: AccountsChange) {
        self.emit(What::AccountsChanged { change: Box::new(change) });
    }

    /// Whoever asks for many changes hears of all users who are unknown, and not of one after the other.
    fn know_users(&self, editor: &Editor<'_>, edits: &[AccountsEdit]) -> Result<(), Rejection> {
        let named = edits.iter().filter_map(|edit| match &edit.entity {
            Entity::User(name) | Entity::Association { user: name, .. } => Some(name.as_str()),
            Entity::Account(_) | Entity::Qos(_) => None,
        });
        let names: BTreeSet<&str> = named.filter(|name| !editor.uids.contains_key(*name)).collect();
        let kept: BTreeSet<&str> = match names.is_empty() {
            true => BTreeSet::new(),
            false => self.cluster.accounts.users.values().map(|user| user.name.as_str()).collect(),
        };
        let unknown: Vec<&str> = names.difference(&kept).copied().collect();
        let [_, _, ..] = unknown.as_slice() else { return Ok(()) };
        let told: Vec<String> = unknown.iter().take(MAX_TOLD).map(|name| format!("\"{name}\"")).collect();
        let more = unknown.len().saturating_sub(MAX_TOLD);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let limit = "the controller's machine knows no users of these names".to_owned();
        Err(wrong(format!("users {}{more}", told.join(", ")), limit))
    }

    fn uid_of(&self, editor: &Editor<'_>, name: &str) -> Result<Uid, Rejection> {
        let known = || self.cluster.accounts.users.values().find(|user| user.name == name).map(|user| user.uid);
        editor.uids.get(name).copied().or_else(known).ok_or_else(|| {
            wrong(format!("user \"{name}\""), "the controller's machine knows no user of that name".to_owned())
        })
    }

    /// What the caller was given to look after, beside what admins may.
    fn level(&self, editor: &Editor<'_>) -> AdminLevel {
        let row = editor.caller.uid().and_then(|uid| self.cluster.accounts.users.get(&uid));
        row.map_or(AdminLevel::None, |user| user.admin)
    }

    fn allow_accounts(&self, editor: &Editor<'_>, entrusted: bool) -> Result<(), Rejection> {
        let entrusted = entrusted || self.level(editor) >= AdminLevel::Operator;
        authz::allow(editor.caller, Verb::ChangeAccounts, Object::Accounts { entrusted })
    }

    /// Whether the caller coordinates the account or one above it.
    fn coordinates(&self, editor: &Editor<'_>, account: &AccountName) -> bool {
        editor.caller.uid().is_some_and(|uid| self.cluster.accounts.coordinates(uid, account))
    }

    fn edit_account(&mut self, editor: &Editor<'_>, name: &AccountName, edit: &AccountsEdit) -> Result<(), Rejection> {
        let asked = || format!("account \"{name}\"");
        let before = self.cluster.accounts.accounts.get(name).cloned();
        let mut account = match (edit.kind, before.clone()) {
            (EditKind::Add, Some(_)) => return Err(wrong(asked(), "it is there already".to_owned())),
            (EditKind::Add, None) => {
                check_name(name.as_str())?;
                Account { name: name.clone(), parent: Some(ROOT.into()), ..Account::default() }
            }
            (_, None) => return Err(wrong(asked(), "there is none".to_owned())),
            (_, Some(account)) => account,
        };
        for setting in &edit.settings {
            match setting.name() {
                "coordinators" => self.set_coordinators(editor, &mut account, setting)?,
                _ => account.set(setting).map_err(not_set)?,
            }
        }
        // Whoever coordinates an account may make others below it, but not set what it has itself.
        let above = |account: &Account| account.parent.as_ref().is_some_and(|above| self.coordinates(editor, above));
        self.allow_accounts(editor, above(&account) && before.as_ref().is_none_or(above))?;
        if edit.kind == EditKind::Remove {
            return self.remove_account(name);
        }
        if name.as_str() == ROOT && account.parent.is_some() {
            return Err(wrong(asked(), "nothing stands above root".to_owned()));
        }
        if let Some(parent) = &account.parent
            && self.cluster.accounts.accounts.get(parent).is_none()
        {
            return Err(wrong(format!("parent={parent} of account \"{name}\""), "there is no such account".to_owned()));
        }
        if account.parent.as_ref().is_some_and(|parent| {
            self.cluster.accounts.accounts.get(parent).is_some()
                && self.cluster.accounts.lineage(parent).any(|above| above.name == *name)
        }) {
            return Err(wrong(asked(), "an account cannot stand below itself".to_owned()));
        }
        self.check_terms(editor, &account.terms, before.as_ref().map(|before| &before.terms), account.parent.as_ref())?;
        let moves = before.as_ref().is_some_and(|before| before.parent != account.parent);
        self.change(AccountsChange::Account(account));
        let accounts = &self.cluster.accounts;
        let is_deep = |name: &&AccountName| accounts.depth(name) + 1 >= MAX_DEPTH;
        // Below one that moves may be many; below a new one is none.
        match if moves { accounts.accounts.keys().find(is_deep) } else { Some(name).filter(is_deep) } {
            Some(deep) => {
                Err(wrong(asked(), format!("\"{deep}\" would stand more than {} accounts below root", MAX_DEPTH - 2)))
            }
            None => Ok(()),
        }
    }

    fn set_coordinators(&self, editor: &Editor<'_>, account: &mut Account, setting: &Setting) -> Result<(), Rejection> {
        if setting.change == Change::Set {
            account.coordinators.clear();
        }
        for name in setting.value.split(',').filter(|name| !name.is_empty()) {
            let uid = self.uid_of(editor, name)?;
            if self.cluster.accounts.users.get(&uid).is_none() {
                let limit = "a coordinator is a user who was added".to_owned();
                return Err(wrong(format!("coordinator \"{name}\""), limit)
                    .try_this(format!("sacctmgr add user {name} account={}", account.name)));
            }
            match setting.change {
                Change::Set | Change::Add => account.coordinators.insert(uid),
                Change::Remove => account.coordinators.remove(&uid),
            };
        }
        Ok(())
    }

    fn remove_account(&mut self, name: &AccountName) -> Result<(), Rejection> {
        let asked = || format!("to remove account \"{name}\"");
        if name.as_str() == ROOT {
            return Err(wrong(asked(), "root is always there".to_owned()));
        }
        let accounts = &self.cluster.accounts;
        if let Some(below) = accounts.accounts.values().find(|account| account.parent.as_ref() == Some(name)) {
            return Err(wrong(asked(), format!("account \"{}\" stands below it: remove that first", below.name)));
        }
        self.no_jobs(asked(), |job| job.account == *name)?;
        let members: Vec<Membership> =
            accounts.members.keys().filter(|member| member.account == *name).cloned().collect();
        members.into_iter().for_each(|member| self.drop_membership(member));
        self.change(AccountsChange::AccountRemoved(name.clone()));
        Ok(())
    }

    /// What jobs stand on is not taken from under them.
    fn no_jobs(&self, asked: String, stands: impl Fn(&KeptSpec) -> bool) -> Result<(), Rejection> {
        let jobs: Vec<String> =
            self.cluster.live_jobs().filter(|job| stands(&job.spec)).map(|job| job.id.to_string()).take(5).collect();
        match jobs.is_empty() {
            true => Ok(()),
            false => Err(Rejection::new("SQ1092", "Job(s) active, cancel job(s) before remove")
                .asked(asked)
                .limit(format!("jobs that have not ended: {}", jobs.join(", ")))
                .try_this("scancel, or wait until they have ended")),
        }
    }

    /// An association is over; the user goes with the last one, unless the user was given something to look after.
    fn drop_membership(&mut self, of: Membership) {
        let uid = of.uid;
        self.change(AccountsChange::AssociationRemoved(of.clone()));
        let Some(mut user) = self.cluster.accounts.users.get(&uid).cloned() else { return };
        let left = self.cluster.accounts.accounts_of(uid);
        let coordinates = |account: &Account| account.coordinators.contains(&uid);
        if left.is_empty()
            && user.admin == AdminLevel::None
            && !self.cluster.accounts.accounts.values().any(coordinates)
        {
            self.change(AccountsChange::UserRemoved(uid));
        } else if user.default_account.as_ref() == Some(&of.account) && !left.contains(&of.account) {
            user.default_account = left.first().map(|account| (*account).clone());
            self.change(AccountsChange::User(user));
        }
    }

    fn edit_association(
        &mut self,
        editor: &Editor<'_>,
        user: &str,
        of: Membership,
        edit: &AccountsEdit,
    ) -> Result<(), Rejection> {
        let place = of.partition.as_ref().map(|name| format!(" for partition \"{name}\"")).unwrap_or_default();
        let asked = || format!("user \"{user}\" in account \"{}\"{place}", of.account);
        self.allow_accounts(editor, self.coordinates(editor, &of.account))?;
        if self.cluster.accounts.accounts.get(&of.account).is_none() {
            let limit = "there is no such account".to_owned();
            return Err(wrong(asked(), limit).try_this(format!("sacctmgr add account {}", of.account)));
        }
        let before = self.cluster.accounts.members.get(&of).cloned();
        let mut row = match (edit.kind, before.clone()) {
            (EditKind::Add, Some(_)) => return Err(wrong(asked(), "it is there already".to_owned())),
            (EditKind::Add, None) => Association { of: of.clone(), terms: Terms::default() },
            (_, None) => return Err(wrong(asked(), "there is no such association".to_owned())),
            (_, Some(row)) => row,
        };
        if edit.kind == EditKind::Remove {
            let only_here =
                |job: &KeptSpec| of.partition.as_ref().is_none_or(|partition| job.partitions.contains(partition));
            self.no_jobs(asked(), |job| job.uid == of.uid && job.account == of.account && only_here(job))?;
            self.drop_membership(of);
            return Ok(());
        }
        if let Some(partition) = &of.partition
            && !self.cluster.config.partitions.contains_key(partition)
        {
            return Err(wrong(asked(), "that partition is not configured".to_owned()));
        }
        for setting in &edit.settings {
            row.set(setting).map_err(not_set)?;
        }
        self.check_terms(editor, &row.terms, before.as_ref().map(|before| &before.terms), Some(&of.account))?;
        self.change(AccountsChange::Association(row));
        if self.cluster.accounts.users.get(&of.uid).is_none() {
            let default_account = Some(of.account.clone());
            let row = AccountUser { uid: of.uid, name: user.to_owned(), default_account, admin: AdminLevel::None };
            self.change(AccountsChange::User(row));
        }
        Ok(())
    }

    /// The qualities of service that are named exist; a coordinator gives no more of them than the account has.
    fn check_terms(
        &self,
        editor: &Editor<'_>,
        terms: &Terms,
        before: Option<&Terms>,
        account: Option<&AccountName>,
    ) -> Result<(), Rejection> {
        let named: BTreeSet<&QosName> = terms.qos.iter().flatten().chain(&terms.default_qos).collect();
        if let Some(unknown) = named.iter().find(|name| self.cluster.accounts.qos.get(name).is_none()) {
            return Err(wrong(format!("qos \"{unknown}\""), "there is none of that name".to_owned())
                .try_this(format!("sacctmgr add qos {unknown}")));
        }
        let changed = before.map_or((&None, &None), |before| (&before.qos, &before.default_qos))
            != (&terms.qos, &terms.default_qos);
        let Some(account) = account.filter(|_| changed && self.allow_accounts(editor, false).is_err()) else {
            return Ok(());
        };
        let allowed = self.cluster.accounts.allowed_qos(account, Uid(u32::MAX), None);
        match named.iter().find(|name| !allowed.contains(name)) {
            Some(name) => {
                let limit =
                    format!("account \"{account}\" may not use it, and a coordinator gives what the account has");
                Err(wrong(format!("qos \"{name}\""), limit).try_this("ask an admin"))
            }
            None => Ok(()),
        }
    }

    fn edit_user(&mut self, editor: &Editor<'_>, name: &str, edit: &AccountsEdit) -> Result<(), Rejection> {
        let asked = || format!("user \"{name}\"");
        let uid = self.uid_of(editor, name)?;
        let of_level = edit.settings.iter().any(|setting| setting.name() == "adminlevel");
        // People choose for themselves which of their accounts is the default.
        let own = editor.caller.uid() == Some(uid) && edit.kind == EditKind::Modify && !of_level;
        self.allow_accounts(editor, own)?;
        let top = editor.caller.is_admin() || self.level(editor) == AdminLevel::Administrator;
        let mut user = match (edit.kind, self.cluster.accounts.users.get(&uid).cloned()) {
            (EditKind::Add, Some(_)) => return Err(wrong(asked(), "the user is there already".to_owned())),
            (EditKind::Add, None) => AccountUser { uid, name: name.to_owned(), ..AccountUser::default() },
            (_, None) => return Err(wrong(asked(), "there is none".to_owned())),
            (_, Some(user)) => user,
        };
        if (of_level || user.admin > AdminLevel::None) && !top {
            let limit = "only an administrator changes users who have a level, or levels".to_owned();
            return Err(wrong(asked(), limit).try_this("ask an admin"));
        }
        if edit.kind == EditKind::Remove {
            return self.remove_user(uid, asked());
        }
        for setting in &edit.settings {
            user.set(setting).map_err(not_set)?;
            if setting.name() == "defaultaccount" {
                let accounts = self.cluster.accounts.accounts_of(uid);
                if !accounts.iter().any(|account| account.as_str() == setting.value) {
                    let list = accounts.iter().map(|account| account.as_str()).collect::<Vec<_>>().join(", ");
                    let limit = format!("{name} is in: {list}");
                    return Err(wrong(format!("defaultaccount={} of {}", setting.value, asked()), limit));
                }
            }
        }
        self.change(AccountsChange::User(user));
        Ok(())
    }

    fn remove_user(&mut self, uid: Uid, asked: String) -> Result<(), Rejection> {
        let accounts = &self.cluster.accounts;
        let members: Vec<Membership> = accounts.members_of(uid).map(|row| row.of.clone()).collect();
        self.no_jobs(asked, |job| job.uid == uid && members.iter().any(|member| member.account == job.account))?;
        let coordinated = accounts.accounts.values().filter(|account| account.coordinators.contains(&uid));
        for mut account in coordinated.cloned().collect::<Vec<_>>() {
            account.coordinators.remove(&uid);
            self.change(AccountsChange::Account(account));
        }
        members.into_iter().for_each(|member| self.change(AccountsChange::AssociationRemoved(member)));
        self.change(AccountsChange::UserRemoved(uid));
        Ok(())
    }

    fn edit_qos(&mut self, editor: &Editor<'_>, name: &QosName, edit: &AccountsEdit) -> Result<(), Rejection> {
        let asked = || format!("qos \"{name}\"");
        self.allow_accounts(editor, false)?;
        let mut qos = match (edit.kind, self.cluster.accounts.qos.get(name).cloned()) {
            (EditKind::Add, Some(_)) => return Err(wrong(asked(), "it is there already".to_owned())),
            (EditKind::Add, None) => {
                check_name(name.as_str())?;
                Qos { name: name.clone(), ..Qos::default() }
            }
            (_, None) => return Err(wrong(asked(), "there is none".to_owned())),
            (_, Some(qos)) => qos,
        };
        if edit.kind == EditKind::Remove {
            return self.remove_qos(name, format!("to remove {}", asked()));
        }
        for setting in &edit.settings {
            qos.set(setting).map_err(not_set)?;
        }
        self.change(AccountsChange::Qos(qos));
        Ok(())
    }

    fn remove_qos(&mut self, name: &QosName, asked: String) -> Result<(), Rejection> {
        if name.as_str() == NORMAL {
            return Err(wrong(asked, "normal is always there".to_owned()));
        }
        let of_partition = |(_, config): &(_, &crate::config::PartitionConfig)| config.qos.as_ref() == Some(name);
        if let Some((partition, _)) = self.cluster.config.partitions.iter().find(of_partition) {
            return Err(wrong(asked, format!("partition \"{partition}\" is configured with it")));
        }
        self.no_jobs(asked, |job| qos_of(job) == *name)?;
        let without = |terms: &Terms| {
            let mut after = terms.clone();
            after.default_qos = after.default_qos.filter(|default| default != name);
            after.qos.iter_mut().for_each(|list| {
                list.remove(name);
            });
            (after != *terms).then_some(after)
        };
        let accounts = self.cluster.accounts.clone();
        for account in accounts.accounts.values() {
            if let Some(terms) = without(&account.terms) {
                self.change(AccountsChange::Account(Account { terms, ..account.clone() }));
            }
        }
        for row in accounts.members.values() {
            if let Some(terms) = without(&row.terms) {
                self.change(AccountsChange::Association(Association { terms, ..row.clone() }));
            }
        }
        self.change(AccountsChange::QosRemoved(name.clone()));
        Ok(())
    }
}

fn wrong(asked: String, limit: String) -> Rejection {
    Rejection::new("SQ1093", "Invalid change of accounts").asked(asked).limit(limit)
}

fn not_set(error: SettingError) -> Rejection {
    Rejection::new("SQ1091", "Invalid setting of accounts").asked(error.to_string())
}

/// Names stand in lists with commas and in paths of tools.
fn check_name(name: &str) -> Result<(), Rejection> {
    let good = |char: char| char.is_alphanumeric() || matches!(char, '_' | '-' | '.' | '@' | '+');
    if !name.is_empty() && name.len() <= MAX_NAME && name.chars().all(good) {
        return Ok(());
    }
    let shown: String = name.chars().take(MAX_NAME).collect();
    let limit = format!("names are letters, digits and any of _-.@+, {MAX_NAME} bytes at most");
    Err(wrong(format!("the name {shown:?}"), limit))
}
