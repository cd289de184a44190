//! What a file says of users as such, of coordinators, and by its silence: what needs to know all of its lines.

use super::Wrong;
use super::merge::{Member, Merge, entity};
use super::terms::{Change, settings};
use crate::sacctmgr::change::{account as account_of, edit};
use crate::sacctmgr::known::Row;
use crate::sacctmgr::telling::association;
use crate::select;
use squall_types::AccountName;
use squall_types::accounts::{AccountUser, AccountsEdit, AdminLevel, Change as Sign, EditKind, Entity, ROOT, Setting};
use std::collections::{BTreeMap, BTreeSet};

/// What the lines say of a user, in whatever account.
#[derive(Debug, Default)]
pub(super) struct Wish {
    pub(super) line: u32,
    /// The account of the first line.
    first: String,
    default_account: Option<String>,
    admin: Option<AdminLevel>,
    coordinates: BTreeSet<String>,
}

impl Wish {
    pub(super) fn take(&mut self, line: u32, account: &str, settings: &[&Setting]) -> Result<(), String> {
        if self.line == 0 {
            (self.line, self.first) = (line, account.to_owned());
        }
        let mut given = AccountUser::default();
        for setting in settings {
            match setting.name() {
                "coordinators" => self.coordinates.extend(select::names(&setting.value).map(str::to_owned)),
                "defaultaccount" | "adminlevel" => given.set(setting).map_err(|error| error.to_string())?,
                _ => {}
            }
        }
        let first = self.line;
        let twice = |what: &str| format!("{what} of this user is another one on line {first}");
        if let Some(account) = given.default_account {
            let account = account.0;
            if self.default_account.get_or_insert_with(|| account.clone()) != &account {
                return Err(twice("DefaultAccount"));
            }
        }
        let has_level = settings.iter().any(|setting| setting.name() == "adminlevel");
        if has_level && *self.admin.get_or_insert(given.admin) != given.admin {
            return Err(twice("AdminLevel"));
        }
        Ok(())
    }
}

impl Merge<'_> {
    /// What needs to know all lines: users as such, coordinators, and what goes.
    pub(super) fn finish(&mut self) {
        let mut of_users = Vec::new();
        let wishes = std::mem::take(&mut self.wishes);
        for (user, wish) in &wishes {
            match self.of_user(user, wish) {
                Ok(edits) => of_users.extend(edits),
                Err(what) => self.wrong.push(Wrong { line: wish.line, what }),
            }
        }
        let of_coordinators = self.coordinators(&wishes);
        self.plan.edits.append(&mut self.of_members);
        self.plan.edits.extend(of_coordinators);
        if self.from_scratch {
            self.remove(&wishes, of_users);
        } else {
            self.plan.edits.extend(of_users);
        }
        self.wrong.sort_by_key(|wrong| wrong.line);
    }

    fn of_user(&mut self, user: &str, wish: &Wish) -> Result<Option<AccountsEdit>, String> {
        if let Some(lost) = wish.coordinates.iter().find(|account| !self.accounts.contains_key(*account)) {
            return Err(format!("Coordinator={lost}: there is no such account"));
        }
        let row = self.known.users.get(user);
        let mut changes = Vec::new();
        if let Some(account) = &wish.default_account {
            // In any partition: the first that could be.
            let from = (account.clone(), user.to_owned(), String::new());
            let is_it = |(name, member, _): &Member| name == account && member == user;
            let named = self.members_at.range(from.clone()..).next().is_some_and(|(key, _)| is_it(key));
            let kept = || self.known.members.range(from..).next().is_some_and(|(key, _)| is_it(key));
            if !named && (self.from_scratch || !kept()) {
                return Err(format!("DefaultAccount={account}: {user} is not in that account"));
            }
            let before = row.map_or_else(|| wish.first.clone(), |_| self.known.default_of(user));
            changes.extend(Change::of("defaultaccount", &before, account));
        }
        let own = row.map_or(AdminLevel::None, |row| row.admin);
        changes.extend(match wish.admin {
            Some(level) => Change::of("adminlevel", self.known.admin_of(user).word(), level.word()),
            None if self.from_scratch => Change::of("adminlevel", own.word(), AdminLevel::None.word()),
            None => None,
        });
        if row.is_some() {
            self.plan.changed.extend(changes.iter().map(|change| change.told("User", user)));
        } else {
            self.plan.users.push(Row {
                user: user.to_owned(),
                default_account: wish.default_account.clone().unwrap_or_else(|| wish.first.clone()),
                admin: wish.admin.map_or("Not Set", AdminLevel::word).to_owned(),
                coordinators: wish.coordinates.iter().cloned().collect::<Vec<_>>().join(","),
                ..Row::default()
            });
        }
        let entity = Entity::User(user.to_owned());
        Ok((!changes.is_empty()).then(|| edit(EditKind::Modify, entity, settings(&changes))))
    }

    fn coordinators(&mut self, wishes: &BTreeMap<String, Wish>) -> Vec<AccountsEdit> {
        let mut wanted: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (user, wish) in wishes {
            wish.coordinates.iter().for_each(|account| _ = wanted.entry(account).or_default().insert(user));
            let before = self.known.coordinated_by(user);
            let more: Vec<&str> =
                wish.coordinates.iter().map(String::as_str).filter(|account| !before.contains(account)).collect();
            if self.known.users.contains_key(user) && !more.is_empty() {
                let list = more.join(",");
                self.plan.changed.push(format!(" Making User '{user}' coordinator for account(s) {list}"));
            }
        }
        if self.from_scratch {
            self.accounts_at.keys().for_each(|account| _ = wanted.entry(account).or_default());
        }
        let (mut edits, mut removed) = (Vec::new(), Vec::new());
        for (account, users) in wanted {
            let before: BTreeSet<&str> = self.known.coordinators_of(&AccountName::new(account)).into_iter().collect();
            let more: Vec<&str> = users.difference(&before).copied().collect();
            let kept = users.clone();
            let (change, value) = match self.from_scratch {
                true if users != before => (Sign::Set, users.into_iter().collect::<Vec<_>>().join(",")),
                false if !more.is_empty() => (Sign::Add, more.join(",")),
                _ => continue,
            };
            let setting = Setting { key: "coordinators".to_owned(), change, value };
            edits.push(edit(EditKind::Modify, account_of(account), vec![setting]));
            let gone = before.into_iter().filter(|user| self.from_scratch && !kept.contains(user));
            removed.extend(gone.map(|user| format!("  U = {user:<9} A = {account:<10}")));
        }
        self.tell_removed("Removing Coordinators...", removed);
        for edit in &edits {
            if let Entity::Account(name) = &edit.entity {
                self.make(name.as_str());
            }
        }
        edits
    }

    fn tell_removed(&mut self, title: &str, lines: Vec<String>) {
        self.plan.removed.extend((!lines.is_empty()).then(|| format!(" {title}")));
        self.plan.removed.extend(lines);
    }

    /// What no line names goes: associations and users before the accounts that they are in, and what is below first.
    fn remove(&mut self, wishes: &BTreeMap<String, Wish>, of_users: Vec<AccountsEdit>) {
        let known = self.known;
        let gone = |entity| edit(EditKind::Remove, entity, Vec::new());
        let members: Vec<&Member> = known
            .members
            .keys()
            .filter(|key| !self.members_at.contains_key(*key) && wishes.contains_key(&key.1))
            .collect();
        let lines = members.iter().map(|key| association(known, 10, key));
        self.tell_removed("Deleting user associations...", lines.collect());
        let users: Vec<&String> = known.users.keys().filter(|user| !wishes.contains_key(*user)).collect();
        self.tell_removed("Deleting users...", users.iter().map(|user| format!("  {user}")).collect());
        let mut accounts: Vec<&str> = known.tree().iter().map(|(account, _)| account.name.as_str()).collect();
        accounts
            .retain(|name| *name != ROOT && !known.configured.contains(*name) && !self.accounts_at.contains_key(*name));
        // The tree is told from above.
        accounts.reverse();
        self.tell_removed("Deleting accounts...", accounts.iter().map(|name| format!("  {name}")).collect());
        // A user without a level would go with the last association; whoever may do this by a level of her own has it until
        // the end.
        let has_level = |user: &&String| known.users.get(*user).is_some_and(|row| row.admin > AdminLevel::None);
        let (last, first): (Vec<&String>, Vec<&String>) = users.into_iter().partition(has_level);
        let edits = &mut self.plan.edits;
        edits.extend(members.into_iter().map(|key| gone(entity(key))));
        edits.extend(first.into_iter().map(|user| gone(Entity::User(user.clone()))));
        edits.extend(accounts.into_iter().map(|name| gone(account_of(name))));
        edits.extend(of_users);
        edits.extend(last.into_iter().map(|user| gone(Entity::User(user.clone()))));
    }
}
