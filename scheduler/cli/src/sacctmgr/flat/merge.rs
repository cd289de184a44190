//! What loading a file changes: its lines, one after the other, against everything that there is.

use super::terms::{Given, differences, settings};
use super::users::Wish;
use super::{Line, Title, Wrong};
use crate::sacctmgr::change::{account as account_of, edit};
use crate::sacctmgr::known::{Known, Row, described, joined};
use squall_types::accounts::{Account, AccountsEdit, Association, EditKind, Entity, NORMAL, ROOT, Setting};
use squall_types::{AccountName, PartitionName, QosName};
use std::collections::{BTreeMap, BTreeSet};

/// What is to be done, and how it is told beforehand.
#[derive(Debug, Default)]
pub struct Plan {
    /// What is there already and becomes otherwise.
    pub changed: Vec<String>,
    /// What is new.
    pub accounts: Vec<Row>,
    pub users: Vec<Row>,
    pub members: Vec<Row>,
    /// What is in no line of the file and goes.
    pub removed: Vec<String>,
    pub edits: Vec<AccountsEdit>,
}

/// By account, user and partition.
pub(super) type Member = (String, String, String);

pub(super) struct Merge<'a> {
    pub(super) known: &'a Known,
    pub(super) from_scratch: bool,
    /// As they will be, with those that no line names unless everything begins anew.
    pub(super) accounts: BTreeMap<String, Account>,
    /// On which line each stands.
    pub(super) accounts_at: BTreeMap<String, u32>,
    pub(super) members_at: BTreeMap<Member, u32>,
    pub(super) wishes: BTreeMap<String, Wish>,
    /// Accounts of the configuration that get a row.
    pub(super) made: BTreeSet<String>,
    pub(super) cluster_at: Option<u32>,
    /// Below what the next line stands; nothing where that account is not there.
    pub(super) below: Option<String>,
    pub(super) parent_named: bool,
    pub(super) of_members: Vec<AccountsEdit>,
    pub(super) plan: Plan,
    pub(super) wrong: Vec<Wrong>,
}

/// What the lines change. With `from_scratch` nothing is left that the file does not name. `other_name` is whether the
/// file may call the cluster as it likes.
///
/// # Errors
/// Every line that cannot be.
pub fn plan(known: &Known, lines: &[Line], other_name: bool, from_scratch: bool) -> Result<Plan, Vec<Wrong>> {
    let stays = |name: &String| !from_scratch || name == ROOT || known.configured.contains(name);
    let accounts = known.accounts.iter().filter(|(name, _)| stays(name));
    let mut merge = Merge {
        known,
        from_scratch,
        accounts: accounts.map(|(name, row)| (name.clone(), row.clone())).collect(),
        accounts_at: BTreeMap::new(),
        members_at: BTreeMap::new(),
        wishes: BTreeMap::new(),
        made: BTreeSet::new(),
        cluster_at: None,
        below: Some(ROOT.to_owned()),
        parent_named: false,
        of_members: Vec::new(),
        plan: Plan::default(),
        wrong: Vec::new(),
    };
    for line in lines {
        let taken = match line.title {
            Title::Cluster => merge.cluster(line, other_name),
            _ if merge.cluster_at.is_none() => {
                let what = "the name of the cluster comes first, as in: Cluster - NAME".to_owned();
                return Err(vec![Wrong { line: line.number, what }]);
            }
            Title::Parent => merge.parent(&line.name),
            Title::Account => merge.below(line, Merge::account),
            Title::User => merge.below(line, Merge::user),
        };
        merge.wrong.extend(taken.err().map(|what| Wrong { line: line.number, what }));
    }
    merge.finish();
    if merge.wrong.is_empty() { Ok(merge.plan) } else { Err(merge.wrong) }
}

impl Merge<'_> {
    fn cluster(&mut self, line: &Line, other_name: bool) -> Result<(), String> {
        if let Some(first) = self.cluster_at.replace(line.number) {
            return Err(format!("a file is about one cluster, and that stands on line {first}"));
        }
        if line.name != self.known.cluster && !other_name {
            let here = &self.known.cluster;
            return Err(format!("this is cluster {here:?}: cluster={here} loads a file about {:?} here", line.name));
        }
        self.settle_account(ROOT, None, line)
    }

    fn parent(&mut self, name: &str) -> Result<(), String> {
        self.parent_named = true;
        self.below = Some(name.to_owned()).filter(|name| self.accounts.contains_key(name));
        match self.below {
            Some(_) => Ok(()),
            None => Err(format!("there is no account {name:?}: its own line comes before those of what is below it")),
        }
    }

    fn below(
        &mut self,
        line: &Line,
        take: impl FnOnce(&mut Self, String, &Line) -> Result<(), String>,
    ) -> Result<(), String> {
        if !self.parent_named {
            self.parent_named = true;
            let note = " No parent given creating off root, If incorrect specify 'Parent - name' before any children \
                        in your file";
            self.plan.changed.push(note.to_owned());
        }
        // What stands below an account that is not there has been told once.
        let Some(parent) = self.below.clone() else { return Ok(()) };
        take(self, parent, line)
    }

    fn account(&mut self, parent: String, line: &Line) -> Result<(), String> {
        if line.name == ROOT {
            return Err("root is above all others: its settings stand on the line of the cluster".to_owned());
        }
        if line.settings.iter().any(|setting| setting.name() == "parent") {
            return Err("an account stands below the parent whose line comes before it".to_owned());
        }
        self.settle_account(&line.name, Some(parent), line)
    }

    fn settle_account(&mut self, name: &str, parent: Option<String>, line: &Line) -> Result<(), String> {
        if let Some(first) = self.accounts_at.insert(name.to_owned(), line.number) {
            return Err(format!("account {name:?} stands on line {first} already"));
        }
        let above = parent.as_ref().map_or_else(|| [NORMAL.into()].into(), |parent| self.qos_of(parent));
        let before = self.known.accounts.get(name).map(|row| {
            let (description, organization) = described(row);
            Account { description, organization, ..row.clone() }
        });
        let mut row = before.clone().filter(|_| !self.from_scratch).unwrap_or_else(|| fresh(name, parent.as_deref()));
        row.parent = parent.as_ref().map(AccountName::new);
        if let Some(root) = before.as_ref().filter(|_| parent.is_none()) {
            // No line says what root is called.
            (row.description, row.organization) = (root.description.clone(), root.organization.clone());
        }
        let given = Given::new(&line.settings, &above).and_then(|given| {
            given.apply(|setting| row.set(setting))?;
            given.settle(&mut row.terms, before.as_ref().map(|row| &row.terms), parent.is_none());
            given.check(&row.terms, self.known)
        });
        // Lines below it are judged whatever is wrong with this one.
        self.accounts.insert(name.to_owned(), row.clone());
        given?;
        parent.iter().for_each(|parent| self.make(parent));
        let Some(before) = before else {
            self.plan.edits.push(edit(EditKind::Add, account_of(name), row.settings()));
            self.plan.accounts.push(new_row(self.known, &row, &line.settings));
            return Ok(());
        };
        let changes = differences(&before.settings(), &row.settings());
        if changes.is_empty() {
            return Ok(());
        }
        let (kind, told) = if parent.is_some() { ("Account", name) } else { ("Cluster", self.known.cluster.as_str()) };
        self.plan.changed.extend(changes.iter().map(|change| change.told(kind, told)));
        if self.known.configured.contains(name) {
            self.make(name);
        } else {
            self.plan.edits.push(edit(EditKind::Modify, account_of(name), settings(&changes)));
        }
        Ok(())
    }

    /// An account that only the configuration names gets its row before anything is set of it.
    pub(super) fn make(&mut self, name: &str) {
        if self.known.configured.contains(name) && self.made.insert(name.to_owned()) {
            let mut row = self.accounts.get(name).cloned().unwrap_or_default();
            (row.description, row.organization) = described(&row);
            self.plan.edits.push(edit(EditKind::Add, account_of(name), row.settings()));
        }
    }

    /// What an account passes on to those below it.
    fn qos_of(&self, account: &str) -> BTreeSet<QosName> {
        let mut next = self.accounts.get(account);
        for _ in 0..self.accounts.len() {
            let Some(row) = next else { break };
            if let Some(qos) = &row.terms.qos {
                return qos.clone();
            }
            next = row.parent.as_ref().and_then(|parent| self.accounts.get(parent.as_str()));
        }
        [NORMAL.into()].into()
    }

    fn user(&mut self, account: String, line: &Line) -> Result<(), String> {
        let of_user = |setting: &&Setting| {
            setting.key == "partition" || matches!(setting.name(), "defaultaccount" | "adminlevel" | "coordinators")
        };
        let (own, of_member): (Vec<&Setting>, Vec<&Setting>) = line.settings.iter().partition(of_user);
        let of_member: Vec<Setting> = of_member.into_iter().cloned().collect();
        let partition = own.iter().find(|setting| setting.key == "partition").map(|setting| setting.value.clone());
        let key = (account.clone(), line.name.clone(), partition.unwrap_or_default());
        if let Some(first) = self.members_at.insert(key.clone(), line.number) {
            return Err(format!("user {:?} in this account stands on line {first} already", line.name));
        }
        let wish = self.wishes.entry(line.name.clone()).or_default();
        wish.take(line.number, &account, &own)?;
        let above = self.qos_of(&account);
        let before = self.known.members.get(&key);
        let mut row: Association = before.filter(|_| !self.from_scratch).cloned().unwrap_or_default();
        let given = Given::new(&of_member, &above)?;
        given.apply(|setting| row.set(setting))?;
        given.settle(&mut row.terms, before.map(|row| &row.terms), false);
        given.check(&row.terms, self.known)?;
        self.make(&account);
        let Some(before) = before else {
            self.of_members.push(edit(EditKind::Add, entity(&key), row.terms.settings()));
            let shown = Account { name: AccountName::new(&account), terms: row.terms, ..Account::default() };
            let shown = Row { user: line.name.clone(), ..new_row(self.known, &shown, &of_member) };
            self.plan.members.push(shown);
            return Ok(());
        };
        let changes = differences(&before.terms.settings(), &row.terms.settings());
        if !changes.is_empty() {
            self.plan.changed.extend(changes.iter().map(|change| change.told("User", &line.name)));
            self.of_members.push(edit(EditKind::Modify, entity(&key), settings(&changes)));
        }
        Ok(())
    }
}

/// An account as it is where nothing is said of it.
fn fresh(name: &str, parent: Option<&str>) -> Account {
    let organization = parent.filter(|parent| *parent != ROOT).unwrap_or(name).to_owned();
    Account { name: AccountName::new(name), description: name.to_owned(), organization, ..Account::default() }
}

pub(super) fn entity((account, user, partition): &Member) -> Entity {
    let partition = (!partition.is_empty()).then(|| PartitionName::new(partition));
    Entity::Association { account: AccountName::new(account), user: user.clone(), partition }
}

/// What is new, as it is shown: what was said of it and nothing that it will inherit.
fn new_row(known: &Known, row: &Account, given: &[Setting]) -> Row {
    let qos = given.iter().rev().find(|setting| setting.name() == "qos").map(|setting| setting.value.clone());
    Row {
        cluster: known.cluster.clone(),
        account: row.name.to_string(),
        parent: row.parent.as_ref().map(AccountName::to_string).unwrap_or_default(),
        description: row.description.clone(),
        organization: row.organization.clone(),
        shares: row.terms.shares,
        limits: row.terms.limits,
        qos: qos.or_else(|| row.terms.qos.as_ref().map(joined)).unwrap_or_default(),
        default_qos: row.terms.default_qos.as_ref().map(QosName::to_string).unwrap_or_default(),
        ..Row::default()
    }
}
