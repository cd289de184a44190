//! Everything that there is: what the controller keeps of accounts, and what its configuration says without them.

use super::words::Asked;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select;
use squall_types::accounts::{
    Account, AccountUser, AccountsEntry, AccountsQuery, AdminLevel, Association, Entity, Limits, Membership, NORMAL,
    Qos, ROOT,
};
use squall_types::{AccountName, QosName, Uid};
use std::collections::{BTreeMap, BTreeSet};

/// One line of any list.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub cluster: String,
    pub host: String,
    pub account: String,
    pub parent: String,
    pub description: String,
    pub organization: String,
    pub coordinators: String,
    pub user: String,
    pub default_account: String,
    pub admin: String,
    pub partition: String,
    pub shares: Option<u32>,
    pub qos: String,
    pub default_qos: String,
    pub name: String,
    pub priority: String,
    pub flags: String,
    pub limits: Limits,
    /// Type, name and number.
    pub tres: (&'static str, &'static str, u32),
    /// How far below root, for the tree.
    pub depth: usize,
}

/// What the lists are made of.
pub struct Known {
    pub cluster: String,
    host: String,
    pub default_account: String,
    pub accounts: BTreeMap<String, Account>,
    coordinators: BTreeMap<String, String>,
    pub users: BTreeMap<String, AccountUser>,
    /// By account, user and partition.
    pub members: BTreeMap<(String, String, String), Association>,
    pub qos: BTreeMap<QosName, Qos>,
    /// Accounts that only the configuration names: the controller has no rows of them.
    pub configured: BTreeSet<String>,
    /// Users who may do everything, by the configuration.
    admins: Vec<String>,
    /// Who asks.
    caller: String,
}

/// Trackable resources with the numbers that Slurm gives them.
const TRES: [(&str, &str, u32); 5] =
    [("cpu", "", 1), ("mem", "", 2), ("node", "", 4), ("billing", "", 5), ("gres", "gpu", 1001)];

impl Known {
    /// Users who coordinate an account, by name.
    pub fn coordinators_of(&self, account: &AccountName) -> Vec<&str> {
        self.coordinators.get(account.as_str()).map(|names| select::names(names).collect()).unwrap_or_default()
    }

    /// Accounts that a user coordinates.
    pub fn coordinated_by(&self, user: &str) -> BTreeSet<&str> {
        let of_user = self.coordinators.iter().filter(|(_, names)| select::names(names).any(|name| name == user));
        of_user.map(|(account, _)| account.as_str()).collect()
    }

    /// # Errors
    /// The controller's silence.
    pub fn ask(invocation: &Invocation<'_>) -> Result<Known, Failure> {
        let failed = |error| Failure::call(invocation.name(), "Problem talking to the database", &error);
        let entries = invocation.controller.configuration().map_err(failed)?;
        let ping = invocation.controller.ping().map_err(failed)?;
        let rows = invocation.controller.accounts(&AccountsQuery::default()).map_err(failed)?;
        let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let list = |key: &str| -> Vec<String> {
            let text = value(key).unwrap_or_default().trim_matches(['[', ']']);
            let names = select::names(text).map(|name| name.trim_matches(['"', ' ']).to_owned());
            names.filter(|name| !name.is_empty()).collect()
        };
        let mut known = Known {
            cluster: ping.cluster,
            host: ping.hostname,
            default_account: value("default_account").unwrap_or("default").trim_matches('"').to_owned(),
            accounts: BTreeMap::new(),
            coordinators: BTreeMap::new(),
            users: BTreeMap::new(),
            members: BTreeMap::new(),
            qos: BTreeMap::new(),
            configured: BTreeSet::new(),
            admins: list("admins"),
            caller: invocation.caller.name.clone(),
        };
        // What is always there, whatever anybody made.
        known.accounts.insert(ROOT.to_owned(), Account { name: ROOT.into(), ..Account::default() });
        known.qos.insert(NORMAL.into(), Qos { name: NORMAL.into(), ..Qos::default() });
        for name in list("accounts").into_iter().chain([known.default_account.clone()]) {
            let row = Account { name: AccountName(name.clone()), parent: Some(ROOT.into()), ..Account::default() };
            known.configured.insert(name.clone());
            known.accounts.insert(name, row);
        }
        rows.into_iter().for_each(|row| known.take(row));
        Ok(known)
    }

    /// A row of the controller; what this release does not know of it is left out.
    fn take(&mut self, entry: AccountsEntry) {
        let uid = entry.uid.unwrap_or(Uid(u32::MAX));
        match entry.entity {
            Entity::Account(name) => {
                let mut account = Account { name: name.clone(), ..Account::default() };
                for setting in &entry.settings {
                    if setting.name() == "coordinators" {
                        self.coordinators.insert(name.0.clone(), setting.value.clone());
                    } else {
                        account.set(setting).unwrap_or_default();
                    }
                }
                self.configured.remove(name.as_str());
                self.accounts.insert(name.0, account);
            }
            Entity::User(name) => {
                let mut user = AccountUser { uid, name: name.clone(), ..AccountUser::default() };
                entry.settings.iter().for_each(|setting| user.set(setting).unwrap_or_default());
                self.users.insert(name, user);
            }
            Entity::Association { account, user, partition } => {
                let key = (account.0.clone(), user, partition.as_ref().map(|name| name.0.clone()).unwrap_or_default());
                let of = Membership { account, uid, partition };
                let mut row = Association { of, ..Association::default() };
                entry.settings.iter().for_each(|setting| row.set(setting).unwrap_or_default());
                self.members.insert(key, row);
            }
            Entity::Qos(name) => {
                let mut qos = Qos { name: name.clone(), ..Qos::default() };
                entry.settings.iter().for_each(|setting| qos.set(setting).unwrap_or_default());
                self.qos.insert(name, qos);
            }
        }
    }

    fn row(&self) -> Row {
        Row { cluster: self.cluster.clone(), host: self.host.clone(), ..Row::default() }
    }

    /// What an account passes on to those below that say nothing.
    pub fn qos_of(&self, account: &str) -> (String, String) {
        let mut line = Vec::new();
        let mut next = self.accounts.get(account);
        while let Some(row) = next.filter(|_| line.len() < self.accounts.len()) {
            line.push(row);
            next = row.parent.as_ref().and_then(|parent| self.accounts.get(parent.as_str()));
        }
        let qos = line.iter().find_map(|row| row.terms.qos.as_ref()).map_or_else(|| NORMAL.to_owned(), joined);
        let default = line.iter().find_map(|row| row.terms.default_qos.as_ref());
        (qos, default.map(QosName::to_string).unwrap_or_default())
    }

    /// The limits on each user and each job that hold where nothing is said below: those of the nearest that says any.
    fn inherited(&self, account: &str, own: &Limits) -> Limits {
        let mut limits = *own;
        let mut next = self.accounts.get(account);
        for _ in 0..self.accounts.len() {
            let Some(row) = next else { break };
            limits.inherit(&row.terms.limits);
            next = row.parent.as_ref().and_then(|parent| self.accounts.get(parent.as_str()));
        }
        limits
    }

    fn account_row(&self, account: &Account, depth: usize) -> Row {
        let (qos, default_qos) = self.qos_of(account.name.as_str());
        let name = account.name.to_string();
        let (description, organization) = described(account);
        Row {
            description,
            organization,
            coordinators: self.coordinators.get(&name).cloned().unwrap_or_default(),
            shares: Some(account.terms.shares.unwrap_or(1)),
            limits: self.inherited(&name, &account.terms.limits),
            account: name,
            parent: account.parent.as_ref().map(AccountName::to_string).unwrap_or_default(),
            qos,
            default_qos,
            depth,
            ..self.row()
        }
    }

    /// Who the configuration says may do everything does.
    pub fn admin_of(&self, user: &str) -> AdminLevel {
        let everything = user == "root" || self.admins.iter().any(|admin| admin == user);
        let own = self.users.get(user).map_or(AdminLevel::None, |row| row.admin);
        if everything { AdminLevel::Administrator } else { own }
    }

    pub fn default_of(&self, user: &str) -> String {
        let own = self.users.get(user).and_then(|row| row.default_account.as_ref());
        own.map_or_else(|| self.default_account.clone(), AccountName::to_string)
    }

    /// A user as such.
    fn user_row(&self, user: &str) -> Row {
        Row {
            user: user.to_owned(),
            default_account: self.default_of(user),
            admin: self.admin_of(user).word().to_owned(),
            ..self.row()
        }
    }

    fn member_row(&self, (account, user, partition): &(String, String, String), of: &Association, depth: usize) -> Row {
        let (qos, default_qos) = self.qos_of(account);
        Row {
            account: account.clone(),
            partition: partition.clone(),
            shares: Some(of.terms.shares.unwrap_or(1)),
            qos: of.terms.qos.as_ref().map_or(qos, joined),
            default_qos: of.terms.default_qos.as_ref().map_or(default_qos, QosName::to_string),
            limits: self.inherited(account, &of.terms.limits),
            depth,
            ..self.user_row(user)
        }
    }

    /// A user who is in no account counts for the default one.
    fn by_default(&self, user: &str) -> Row {
        let (qos, default_qos) = self.qos_of(&self.default_account);
        let account = self.default_account.clone();
        Row { account, shares: Some(1), qos, default_qos, depth: 2, ..self.user_row(user) }
    }

    /// Accounts from the root down, with the depth of each.
    pub fn tree(&self) -> Vec<(&Account, usize)> {
        let mut below: BTreeMap<&str, Vec<&Account>> = BTreeMap::new();
        for account in self.accounts.values() {
            below.entry(account.parent.as_ref().map_or("", |parent| parent.as_str())).or_default().push(account);
        }
        let mut found = Vec::new();
        let roots = below.remove("").unwrap_or_default();
        let mut left: Vec<(&Account, usize)> = roots.into_iter().map(|root| (root, 0)).collect();
        left.reverse();
        while let Some((account, depth)) = left.pop() {
            found.push((account, depth));
            let children = below.remove(account.name.as_str()).unwrap_or_default();
            left.extend(children.into_iter().rev().map(|child| (child, depth + 1)));
        }
        found
    }

    /// The cluster, or anything else of which there is one.
    pub fn itself(&self, _: &Asked) -> Vec<Row> {
        let (qos, default_qos) = self.qos_of(ROOT);
        vec![Row { qos, default_qos, ..self.row() }]
    }

    pub fn accounts(&self, asked: &Asked) -> Vec<Row> {
        let wanted = |name: &str| asked.wants_account(name);
        let mut rows = Vec::new();
        for account in self.accounts.values().filter(|account| wanted(account.name.as_str())) {
            let row = self.account_row(account, 0);
            rows.push(row.clone());
            if asked.with_associations {
                let inside = self.members.iter().filter(|((name, ..), _)| *name == account.name.0);
                rows.extend(inside.map(|(key, of)| Row {
                    description: row.description.clone(),
                    organization: row.organization.clone(),
                    parent: String::new(),
                    ..self.member_row(key, of, 0)
                }));
            }
        }
        rows
    }

    pub fn associations(&self, asked: &Asked) -> Vec<Row> {
        let mut rows = Vec::new();
        let special = |partition: &str| asked.partitions.is_empty() || asked.wants_partition(partition);
        // An account stands below those above it that are shown.
        let mut shown: Vec<usize> = Vec::new();
        for (account, level) in self.tree() {
            shown.retain(|above| *above < level);
            let depth = shown.len();
            if asked.wants_account(account.name.as_str()) {
                shown.push(level);
            }
            if !asked.wants_account(account.name.as_str()) {
                continue;
            }
            if asked.users.is_empty() && asked.partitions.is_empty() {
                rows.push(self.account_row(account, depth));
            }
            let inside = self.members.iter().filter(|((name, user, partition), _)| {
                *name == account.name.0 && asked.wants_user(user) && special(partition)
            });
            rows.extend(inside.map(|(key, of)| self.member_row(key, of, depth + 1)));
            if account.name.as_str() == self.default_account {
                rows.extend(self.in_no_account(asked).iter().map(|user| self.by_default(user)));
            }
        }
        rows
    }

    /// Those who are asked for, or who ask, exist, and are in no account.
    fn in_no_account(&self, asked: &Asked) -> BTreeSet<String> {
        let is_member = |name: &String| self.members.keys().any(|(_, user, _)| user == name);
        let exists = |name: &String| *name == self.caller || select::user(name).is_some();
        let wanted = if asked.users.is_empty() { std::slice::from_ref(&self.caller) } else { &asked.users };
        wanted.iter().filter(|name| !is_member(name) && exists(name)).cloned().collect()
    }

    pub fn users(&self, asked: &Asked) -> Vec<Row> {
        let mut rows = Vec::new();
        let named = self.users.keys().filter(|user| asked.wants_user(user)).cloned();
        let wanted: BTreeSet<String> = named.chain(self.in_no_account(asked)).collect();
        for user in wanted {
            let own: Vec<_> = self
                .members
                .iter()
                .filter(|((account, name, _), _)| *name == user && asked.wants_account(account))
                .collect();
            if asked.with_associations && !own.is_empty() {
                rows.extend(own.into_iter().map(|(key, of)| self.member_row(key, of, 0)));
            } else if asked.with_associations {
                rows.push(self.by_default(&user));
            } else if asked.accounts.is_empty() || !own.is_empty() || asked.wants_account(&self.default_account) {
                let account =
                    own.first().map_or_else(|| self.default_account.clone(), |((account, ..), _)| account.clone());
                rows.push(Row { account, ..self.user_row(&user) });
            }
        }
        rows
    }

    pub fn qos(&self, asked: &Asked) -> Vec<Row> {
        let wanted = self.qos.values().filter(|qos| asked.wants_name(qos.name.as_str()));
        let row = |qos: &Qos| Row {
            name: qos.name.to_string(),
            description: qos.description.clone(),
            priority: qos.priority.to_string(),
            flags: qos.flags.iter().cloned().collect::<Vec<_>>().join(","),
            limits: qos.limits,
            ..self.row()
        };
        wanted.map(row).collect()
    }

    pub fn tres(&self, _: &Asked) -> Vec<Row> {
        TRES.iter().map(|tres| Row { tres: *tres, name: tres.1.to_owned(), ..self.row() }).collect()
    }
}

/// Description and organization, as they stand where nobody has said anything.
pub fn described(account: &Account) -> (String, String) {
    let name = account.name.as_str();
    let text = |text: &str, other: &str| if text.is_empty() { other.to_owned() } else { text.to_owned() };
    let above = account.parent.as_ref().map_or(name, AccountName::as_str);
    (text(&account.description, name), text(&account.organization, above))
}

pub fn joined(qos: &BTreeSet<QosName>) -> String {
    qos.iter().map(QosName::to_string).collect::<Vec<_>>().join(",")
}
