//! What is known of accounts and users: the configuration, and who asks.

use super::Asked;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::select;

/// One line of any list.
#[derive(Clone, Debug, Default)]
pub struct Row {
    pub cluster: String,
    pub host: String,
    pub account: String,
    pub default_account: String,
    pub user: String,
    pub admin: &'static str,
    /// Type, name and number.
    pub tres: (&'static str, &'static str, u32),
}

/// What the lists are made of.
pub struct Known {
    cluster: String,
    host: String,
    default_account: String,
    accounts: Vec<String>,
    /// Those that were asked for and exist, else whoever asks.
    users: Vec<String>,
    admins: Vec<String>,
}

/// Trackable resources with the numbers that Slurm gives them.
const TRES: [(&str, &str, u32); 5] =
    [("cpu", "", 1), ("mem", "", 2), ("node", "", 4), ("billing", "", 5), ("gres", "gpu", 1001)];

impl Known {
    /// # Errors
    /// The controller's silence.
    pub fn ask(invocation: &Invocation<'_>, users: &[String]) -> Result<Known, Failure> {
        let failed = |error| Failure::call("sacctmgr", "Problem talking to the database", &error);
        let entries = invocation.controller.configuration().map_err(failed)?;
        let ping = invocation.controller.ping().map_err(failed)?;
        let value = |key: &str| entries.iter().find(|entry| entry.key == key).map(|entry| entry.value.as_str());
        let list = |key: &str| -> Vec<String> {
            let text = value(key).unwrap_or_default().trim_matches(['[', ']']);
            select::names(text)
                .map(|name| name.trim_matches(['"', ' ']).to_owned())
                .filter(|name| !name.is_empty())
                .collect()
        };
        let default_account = value("default_account").unwrap_or("default").trim_matches('"').to_owned();
        let mut accounts = list("accounts");
        if !accounts.contains(&default_account) {
            accounts.insert(0, default_account.clone());
        }
        let users = match users.is_empty() {
            true => vec![invocation.caller.name.clone()],
            false => users.iter().filter(|name| select::user(name).is_some()).cloned().collect(),
        };
        Ok(Known {
            cluster: ping.cluster,
            host: ping.hostname,
            default_account,
            accounts,
            users,
            admins: list("admins"),
        })
    }

    fn row(&self) -> Row {
        Row {
            cluster: self.cluster.clone(),
            host: self.host.clone(),
            default_account: self.default_account.clone(),
            ..Row::default()
        }
    }

    /// The cluster, or anything else of which there is one.
    pub fn itself(&self, _: &Asked) -> Vec<Row> {
        vec![self.row()]
    }

    pub fn accounts(&self, asked: &Asked) -> Vec<Row> {
        self.wanted(asked).map(|account| Row { account: account.clone(), ..self.row() }).collect()
    }

    fn wanted<'k>(&'k self, asked: &'k Asked) -> impl Iterator<Item = &'k String> {
        self.accounts.iter().filter(|account| asked.accounts.is_empty() || asked.accounts.contains(account))
    }

    /// Every user with every account: whoever has a name here may use all of them.
    pub fn associations(&self, asked: &Asked) -> Vec<Row> {
        let of_user = |user: &String| {
            let admin = if user == "root" || self.admins.contains(user) { "Administrator" } else { "None" };
            let row = Row { user: user.clone(), admin, ..self.row() };
            self.wanted(asked).map(move |account| Row { account: account.clone(), ..row.clone() }).collect::<Vec<_>>()
        };
        self.users.iter().flat_map(of_user).collect()
    }

    pub fn users(&self, asked: &Asked) -> Vec<Row> {
        self.associations(asked)
    }

    pub fn tres(&self, _: &Asked) -> Vec<Row> {
        TRES.iter().map(|tres| Row { tres: *tres, ..self.row() }).collect()
    }
}
