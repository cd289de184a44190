//! `sacctmgr`: who may use which account. Here that is configuration, so this lists and changes nothing.

mod known;

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::select;
use crate::show::table::{Column, Style, chosen, left, right};
use crate::terminal::escaped;
use known::{Known, Row};

/// What can be listed: names, columns, those that are shown without `format=`, and the rows.
struct Entity {
    names: &'static [&'static str],
    columns: &'static [Column<Row>],
    shown: &'static str,
    rows: fn(&Known, &Asked) -> Vec<Row>,
}

/// Conditions: `user=ann`, `account=research`, `name=…`, `format=…`.
#[derive(Debug, Default)]
struct Asked {
    users: Vec<String>,
    accounts: Vec<String>,
    format: Option<String>,
}

static ASSOCIATION: [Column<Row>; 10] = [
    right("Cluster", 10, |row: &Row| row.cluster.clone()),
    right("Account", 20, |row: &Row| row.account.clone()),
    right("User", 10, |row: &Row| row.user.clone()),
    right("Partition", 10, |_: &Row| String::new()),
    right("Share", 9, |_: &Row| "1".to_owned()),
    right("Priority", 10, |_: &Row| String::new()),
    right("MaxJobs", 7, |_: &Row| String::new()),
    right("MaxSubmit", 9, |_: &Row| String::new()),
    right("QOS", 20, |_: &Row| QOS.to_owned()),
    right("DefaultQOS", 11, |_: &Row| QOS.to_owned()),
];
static USER: [Column<Row>; 7] = [
    right("User", 10, |row: &Row| row.user.clone()),
    right("DefaultAccount", 14, |row: &Row| row.default_account.clone()),
    right("Def Acct", 10, |row: &Row| row.default_account.clone()),
    right("AdminLevel", 9, |row: &Row| row.admin.to_owned()),
    right("Admin", 9, |row: &Row| row.admin.to_owned()),
    right("Account", 10, |row: &Row| row.account.clone()),
    right("Cluster", 10, |row: &Row| row.cluster.clone()),
];
static ACCOUNT: [Column<Row>; 3] = [
    right("Account", 10, |row: &Row| row.account.clone()),
    right("Descr", 20, |row: &Row| row.account.clone()),
    right("Org", 20, |row: &Row| row.cluster.clone()),
];
static CLUSTER: [Column<Row>; 4] = [
    right("Cluster", 10, |row: &Row| row.cluster.clone()),
    right("ControlHost", 15, |row: &Row| row.host.clone()),
    right("QOS", 20, |_: &Row| QOS.to_owned()),
    right("Def QOS", 9, |_: &Row| QOS.to_owned()),
];
static QUALITY: [Column<Row>; 3] = [
    right("Name", 10, |_: &Row| QOS.to_owned()),
    right("Priority", 10, |_: &Row| "0".to_owned()),
    right("MaxWall", 11, |_: &Row| String::new()),
];
static TRES: [Column<Row>; 3] = [
    right("Type", 8, |row: &Row| row.tres.0.to_owned()),
    right("Name", 15, |row: &Row| row.tres.1.to_owned()),
    left("ID", 6, |row: &Row| row.tres.2.to_string()),
];

/// The one quality of service that jobs have.
const QOS: &str = "normal";

static ENTITIES: [Entity; 6] = [
    Entity {
        names: &["account", "accounts", "acct"],
        columns: &ACCOUNT,
        shown: "account,descr,org",
        rows: Known::accounts,
    },
    Entity {
        names: &["association", "associations", "assoc", "assocs"],
        columns: &ASSOCIATION,
        shown: "cluster,account,user,partition,share,priority,maxjobs,maxsubmit,qos,defaultqos",
        rows: Known::associations,
    },
    Entity {
        names: &["cluster", "clusters"],
        columns: &CLUSTER,
        shown: "cluster,controlhost,qos,def qos",
        rows: Known::itself,
    },
    Entity { names: &["qos"], columns: &QUALITY, shown: "name,priority,maxwall", rows: Known::itself },
    Entity { names: &["tres"], columns: &TRES, shown: "type,name,id", rows: Known::tres },
    Entity { names: &["user", "users"], columns: &USER, shown: "user,def acct,admin", rows: Known::users },
];

const CHANGES: [&str; 9] = ["add", "create", "delete", "remove", "modify", "archive", "load", "dump", "reconfigure"];

/// # Errors
/// A change, an entity or a column that is unknown, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let Some((verb, words)) = parsed.rest.split_first() else {
        return Err(Failure::plain("sacctmgr: nothing to do").advising(Advice {
            try_this: "sacctmgr show associations, sacctmgr list user NAME".to_owned(),
            ..Advice::default()
        }));
    };
    let verb = verb.to_ascii_lowercase();
    if CHANGES.iter().any(|change| verb.len() > 2 && change.starts_with(&verb)) {
        return Err(Failure::error("sacctmgr", format_args!("{verb} is not supported")).advising(Advice {
            asked: parsed.rest.join(" "),
            limit: "accounts and who may use them are configuration here, and any user may submit".to_owned(),
            try_this: "accounts = [...] and allow_accounts of a partition, then scontrol reconfigure".to_owned(),
            code: "SQ0002",
            ..Advice::default()
        }));
    }
    if !["list", "show"].iter().any(|known| known.starts_with(&verb)) {
        return Err(Failure::plain(format!("invalid keyword: {}", escaped(&verb))));
    }
    let Some((name, words)) = words.split_first() else {
        return Err(Failure::plain("too few arguments for keyword:list"));
    };
    let name = name.to_ascii_lowercase();
    let entity = ENTITIES.iter().find(|entity| entity.names.contains(&name.as_str()));
    let entity = entity.or_else(|| ENTITIES.iter().find(|entity| entity.names[0].starts_with(&name)));
    let Some(entity) = entity else {
        let valid: Vec<&str> = ENTITIES.iter().map(|entity| entity.names[0]).collect();
        return Err(Failure::plain(format!("invalid entity: {}", escaped(&name)))
            .and_line(format!("sacctmgr: entities: {}", valid.join(", "))));
    };
    let asked = asked(words, entity.names[0]);
    let text = asked.format.as_deref().or_else(|| given.text("format")).unwrap_or(entity.shown);
    let columns = chosen(text, entity.columns).map_err(|(name, near)| {
        let first = Failure::plain(format!("Unknown field '{}'", escaped(&name)));
        match near {
            Some(near) => first.and_line(format!("sacctmgr: did you mean '{near}'?")),
            None => first,
        }
    })?;
    let known = Known::ask(invocation, &asked.users)?;
    let mut rows = (entity.rows)(&known, &asked);
    if !given.has("associations") && entity.names[0] == "user" {
        rows.dedup_by(|one, other| one.user == other.user);
    }
    write!(invocation.out, "{}", Style::of(&given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}

/// Reads `where user=ann format=account%256`; a word alone is the name of an entity of that kind.
fn asked(words: &[String], entity: &str) -> Asked {
    let mut asked = Asked::default();
    for word in
        words.iter().filter(|word| !matches!(word.to_ascii_lowercase().as_str(), "where" | "withassoc" | "with"))
    {
        let (key, value) = word.split_once('=').unwrap_or((entity, word));
        let values = || select::names(value).map(str::to_owned);
        match key.to_ascii_lowercase().as_str() {
            "user" | "users" | "name" | "names" if entity == "user" || key.starts_with('u') => {
                asked.users.extend(values())
            }
            "account" | "accounts" | "acct" | "name" | "names" => asked.accounts.extend(values()),
            "format" => asked.format = Some(value.to_owned()),
            // Other conditions hold for everything that there is: one cluster, one quality of service.
            _ => {}
        }
    }
    asked
}
