//! The words after the verb: an entity, conditions behind `where`, settings behind `set`.

use crate::failure::Failure;
use crate::select;
use crate::terminal::escaped;
use squall_types::accounts::{Change, EditKind, Setting};

/// What a command is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Account,
    Association,
    Cluster,
    Coordinator,
    Qos,
    Tres,
    User,
}

const KINDS: [(Kind, &[&str]); 7] = [
    (Kind::Account, &["account", "accounts", "acct"]),
    (Kind::Association, &["association", "associations", "assoc", "assocs"]),
    (Kind::Cluster, &["cluster", "clusters"]),
    (Kind::Coordinator, &["coordinator", "coordinators"]),
    (Kind::Qos, &["qos"]),
    (Kind::Tres, &["tres"]),
    (Kind::User, &["user", "users"]),
];

impl Kind {
    /// `None` for a word that is none.
    pub fn parse(word: &str) -> Option<Kind> {
        let word = word.to_ascii_lowercase();
        let exact = KINDS.iter().find(|(_, names)| names.contains(&word.as_str()));
        let begun = || KINDS.iter().find(|(_, names)| word.len() > 1 && names[0].starts_with(&word));
        exact.or_else(begun).map(|(kind, _)| *kind)
    }

    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, names)| names[0])
    }
}

/// What a verb needs, in Slurm's words.
pub fn no_entity(change: Option<EditKind>) -> Failure {
    let (verb, entities) = match change {
        None => ("list", "\"Account\", \"Association\", \"Cluster\", \"Coordinator\", \"QOS\", \"TRES\", or \"User\""),
        Some(EditKind::Add) => ("add", "\"Account\", \"Coordinator\", \"QOS\", or \"User\""),
        Some(EditKind::Modify) => ("modify", "\"Account\", \"QOS\", or \"User\""),
        Some(EditKind::Remove) => ("delete", "\"Account\", \"Coordinator\", \"QOS\", or \"User\""),
    };
    Failure::plain(format!("No valid entity in {verb} command")).and_line(format!("Input line must include {entities}"))
}

/// Conditions, wishes and settings. An empty list is no condition.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub users: Vec<String>,
    pub accounts: Vec<String>,
    pub partitions: Vec<String>,
    /// Of qualities of service.
    pub names: Vec<String>,
    pub format: Option<String>,
    pub with_associations: bool,
    pub with_coordinators: bool,
    pub tree: bool,
    pub settings: Vec<Setting>,
}

/// Which half a word stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Half {
    Where,
    Set,
}

impl Asked {
    /// Reads `where user=ann format=account%256 set maxjobs=3`; a word alone is a name of `kind`. Where something is
    /// added, everything that is no name is a setting.
    ///
    /// # Errors
    /// A word that means nothing where it stands.
    pub fn parse(words: &[String], kind: Kind, adds: bool) -> Result<Asked, Failure> {
        let (mut asked, mut half) = (Asked::default(), Half::Where);
        for word in words {
            let low = word.to_ascii_lowercase();
            match low.as_str() {
                "where" => half = Half::Where,
                "set" => half = Half::Set,
                "withassoc" | "withassocs" => asked.with_associations = true,
                "withcoord" | "withcoordinators" => asked.with_coordinators = true,
                "tree" => asked.tree = true,
                // There is one cluster, and nothing that was deleted is kept.
                "with" | "withdeleted" | "withclusters" | "withrawqoslevel" | "wopinfo" | "wolimits" | "wopids" => {}
                _ => asked.take(word, kind, half, adds)?,
            }
        }
        Ok(asked)
    }

    fn take(&mut self, word: &str, kind: Kind, half: Half, adds: bool) -> Result<(), Failure> {
        let Some(setting) = Setting::parse(word) else {
            let names = select::names(word).map(str::to_owned);
            match (kind, half) {
                (_, Half::Set) => {
                    return Err(Failure::plain(format!(" Unknown option: {}", escaped(word)))
                        .and_line("sacctmgr: settings are NAME=VALUE".to_owned()));
                }
                (Kind::User | Kind::Coordinator, _) => self.users.extend(names),
                (Kind::Account | Kind::Association, _) => self.accounts.extend(names),
                _ => self.names.extend(names),
            }
            return Ok(());
        };
        let names = || select::names(&setting.value).map(str::to_owned).collect::<Vec<_>>();
        let is_condition = half == Half::Where && setting.change == Change::Set;
        match (setting.key.as_str(), kind) {
            ("format", _) => self.format = Some(setting.value.clone()),
            ("cluster" | "clusters", _) => {}
            ("user" | "users", _) if is_condition => self.users.extend(names()),
            ("account" | "accounts" | "acct" | "accts", _) if is_condition => self.accounts.extend(names()),
            ("partition" | "partitions", _) if is_condition => self.partitions.extend(names()),
            ("name" | "names", Kind::User | Kind::Coordinator) if is_condition => self.users.extend(names()),
            ("name" | "names", Kind::Account) if is_condition => self.accounts.extend(names()),
            ("name" | "names" | "qos", Kind::Qos) if is_condition => self.names.extend(names()),
            _ if half == Half::Set || adds => self.settings.push(setting),
            // Conditions on what everything has in common: one cluster, one kind of everything.
            _ => {
                return Err(Failure::plain(format!(" Unknown condition: {}", escaped(word)))
                    .and_line("sacctmgr: conditions are name=, user=, account=, partition= and qos names"));
            }
        }
        Ok(())
    }

    pub fn wants_user(&self, name: &str) -> bool {
        wants(&self.users, name)
    }

    pub fn wants_account(&self, name: &str) -> bool {
        wants(&self.accounts, name)
    }

    pub fn wants_partition(&self, name: &str) -> bool {
        wants(&self.partitions, name)
    }

    pub fn wants_name(&self, name: &str) -> bool {
        wants(&self.names, name)
    }
}

fn wants(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|wanted| wanted == name)
}
