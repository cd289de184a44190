//! `sshare`: shares of accounts and users. All have the same share; what they used comes from accounting.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::sacct::every_page;
use crate::select;
use crate::show::table::{Column, Style, chosen, left, right};
use crate::terminal::escaped;
use squall_types::api::{AccountedJob, AccountingQuery};
use squall_types::{AccountName, Span};
use std::collections::BTreeMap;

/// Usage is counted so far back.
const WINDOW: Span = Span::from_hours(30 * 24);
const DEFAULT: &str = "account,user,rawshares,normshares,rawusage,effectvusage,fairshare";

struct Row {
    account: String,
    user: String,
    /// CPU seconds.
    usage: u64,
    /// Of everybody's usage, from 0 to 1.
    part: f64,
}

static COLUMNS: [Column<Row>; 7] = [
    left("Account", 20, |row: &Row| row.account.clone()),
    right("User", 10, |row: &Row| row.user.clone()),
    right("RawShares", 10, |_: &Row| "1".to_owned()),
    right("NormShares", 11, |_: &Row| String::new()),
    right("RawUsage", 11, |row: &Row| row.usage.to_string()),
    right("EffectvUsage", 13, |row: &Row| format!("{:.6}", row.part)),
    right("FairShare", 10, |_: &Row| String::new()),
];

/// # Errors
/// What cannot be understood, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let columns = chosen(given.text("format").unwrap_or(DEFAULT), &COLUMNS).map_err(|(name, _)| {
        Failure::error("sshare", format_args!("Invalid field requested: \"{}\"", escaped(&name)))
    })?;
    let mut query = AccountingQuery { from: Some(invocation.now() - WINDOW), ..AccountingQuery::default() };
    query.accounts = given.text("accounts").map(select::names).into_iter().flatten().map(AccountName::new).collect();
    for name in given.text("user").map(select::names).into_iter().flatten() {
        let unknown = || Failure::error("sshare", format_args!("Invalid user id: {}", escaped(name)));
        query.users.push(select::user(name).ok_or_else(unknown)?);
    }
    if given.has("Users") && query.users.is_empty() {
        query.users = vec![invocation.caller.uid];
    }
    let now = invocation.now();
    let jobs = every_page(invocation.controller, query)
        .map_err(|error| Failure::call("sshare", "Problem talking to the database", &error))?;
    let rows = rows(invocation, &given, &jobs, now);
    write!(invocation.out, "{}", Style::of(&given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}

fn rows(invocation: &Invocation<'_>, given: &Given, jobs: &[AccountedJob], now: squall_types::Timestamp) -> Vec<Row> {
    let mut used: BTreeMap<(String, String), u64> = BTreeMap::new();
    for job in jobs {
        let wall = job.started_at.map_or(Span::ZERO, |start| job.ended_at.unwrap_or(now).since(start));
        let seconds = wall.times(i64::from(job.cpus)).as_secs().max(0) as u64;
        *used.entry((job.account.to_string(), job.user.clone())).or_default() += seconds;
    }
    if used.is_empty() {
        let entries = invocation.controller.configuration().unwrap_or_default();
        let account = entries.iter().find(|entry| entry.key == "default_account");
        let account = account.map_or("default", |entry| entry.value.trim_matches('"')).to_owned();
        used.insert((account, invocation.caller.name.clone()), 0);
    }
    let all: u64 = used.values().sum();
    let part = |usage: u64| if all == 0 { 0.0 } else { usage as f64 / all as f64 };
    let row = |account: &str, user: &str, usage| Row {
        account: account.to_owned(),
        user: user.to_owned(),
        usage,
        part: part(usage),
    };
    if given.has("Users") {
        return used.iter().map(|((account, user), usage)| row(account, user, *usage)).collect();
    }
    let mut rows = vec![row("root", "", all)];
    let accounts: std::collections::BTreeSet<&String> = used.keys().map(|(account, _)| account).collect();
    for account in accounts {
        let of_it = || used.iter().filter(|((name, _), _)| name == account);
        rows.push(row(&format!(" {account}"), "", of_it().map(|(_, usage)| usage).sum()));
        rows.extend(of_it().map(|((_, user), usage)| row(&format!("  {account}"), user, *usage)));
    }
    rows
}
