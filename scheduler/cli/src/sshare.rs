//! `sshare`: shares of accounts and users, as `sacctmgr` set them. What they used comes from accounting. Jobs are not
//! ordered by it yet, so that no fair share is shown.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::sacct::every_page;
use crate::sacctmgr::Known;
use crate::select;
use crate::show::table::{Column, Style, chosen, left, right};
use crate::terminal::escaped;
use squall_types::accounts::{Account, ROOT};
use squall_types::api::{AccountedJob, AccountingQuery};
use squall_types::{AccountName, Span, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Usage is counted so far back.
const WINDOW: Span = Span::from_hours(30 * 24);
const DEFAULT: &str = "account,user,rawshares,normshares,rawusage,effectvusage,fairshare";

struct Row {
    account: String,
    user: String,
    /// As it was set; `None` for the root, which shares with nobody.
    shares: Option<u32>,
    /// Of the whole, from 0 to 1.
    norm: f64,
    /// CPU seconds.
    usage: u64,
    /// Of everybody's usage, from 0 to 1.
    part: f64,
}

static COLUMNS: [Column<Row>; 7] = [
    left("Account", 20, |row: &Row| row.account.clone()),
    right("User", 10, |row: &Row| row.user.clone()),
    right("RawShares", 10, |row: &Row| row.shares.map(|shares| shares.to_string()).unwrap_or_default()),
    right("NormShares", 11, |row: &Row| format!("{:.6}", row.norm)),
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
    let mut known = Known::ask(invocation)?;
    // Where nobody made accounts, jobs name what they like.
    for job in &jobs {
        let name = job.account.clone();
        let row = Account { name: name.clone(), parent: Some(ROOT.into()), ..Account::default() };
        known.accounts.entry(name.0).or_insert(row);
    }
    let rows = rows(&known, &given, &jobs, now, &invocation.caller.name);
    write!(invocation.out, "{}", Style::of(&given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}

/// Who used how many CPU seconds, by account and user.
type Used = BTreeMap<(String, String), u64>;

fn rows(known: &Known, given: &Given, jobs: &[AccountedJob], now: Timestamp, caller: &str) -> Vec<Row> {
    let mut used = Used::new();
    for job in jobs {
        let wall = job.elapsed(now);
        let seconds = wall.times(i64::from(job.cpus)).as_secs().max(0) as u64;
        *used.entry((job.account.to_string(), job.user.clone())).or_default() += seconds;
    }
    let accounts: Vec<&str> = given.text("accounts").map(select::names).into_iter().flatten().collect();
    let mut users: Vec<&str> = given.text("user").map(select::names).into_iter().flatten().collect();
    // Of everybody else only who is asked for.
    users.extend((users.is_empty() && !given.has("all")).then_some(caller));
    let shown = |list: &[&str], name: &str| list.is_empty() || list.contains(&name);
    let all: u64 = used.values().sum();
    let mut rows = Vec::new();
    // An account stands below those above it that are shown.
    let mut above: Vec<usize> = Vec::new();
    for (account, level) in known.tree() {
        let name = account.name.as_str();
        if !shown(&accounts, name) {
            continue;
        }
        above.retain(|other| *other < level);
        let depth = above.len();
        above.push(level);
        let is_root = account.parent.is_none();
        let norm = norm(known, name);
        let row = |user: &str, shares, norm, usage: u64| Row {
            account: format!("{}{name}", " ".repeat(if user.is_empty() { depth } else { depth + 1 })),
            user: user.to_owned(),
            shares,
            norm,
            usage,
            part: if all == 0 { 0.0 } else { usage as f64 / all as f64 },
        };
        if !given.has("Users") {
            let below = below(known, name);
            let usage = used.iter().filter(|((account, _), _)| below.contains(account.as_str()));
            let shares = (!is_root).then(|| account.terms.shares.unwrap_or(1));
            rows.push(row("", shares, norm, usage.map(|(_, usage)| usage).sum()));
        }
        let mut members = shares_of_members(known, name);
        // Who used it without being in it: by default.
        for (_, user) in used.keys().filter(|(account, _)| account == name) {
            members.entry(user.clone()).or_insert(1);
        }
        let whole: u64 = members.values().map(|shares| u64::from(*shares)).sum::<u64>() + shares_below(known, name);
        for (user, shares) in members.iter().filter(|(user, _)| shown(&users, user)) {
            let usage = used.get(&(name.to_owned(), user.clone())).copied().unwrap_or(0);
            let part = f64::from(*shares) / whole.max(1) as f64;
            let mut row = row(user, Some(*shares), norm * part, usage);
            if given.has("Users") {
                row.account = name.to_owned();
            }
            rows.push(row);
        }
    }
    rows
}

/// Of each user the largest share of her associations with an account.
fn shares_of_members(known: &Known, account: &str) -> BTreeMap<String, u32> {
    let mut shares: BTreeMap<String, u32> = BTreeMap::new();
    for ((name, user, _), row) in &known.members {
        if name == account {
            let own = shares.entry(user.clone()).or_default();
            *own = (*own).max(row.terms.shares.unwrap_or(1));
        }
    }
    shares
}

/// The shares of the accounts right below one.
fn shares_below(known: &Known, account: &str) -> u64 {
    let children = known.accounts.values().filter(|row| row.parent.as_ref().is_some_and(|up| up.as_str() == account));
    children.map(|row| u64::from(row.terms.shares.unwrap_or(1))).sum()
}

/// An account's part of the whole: its share among its siblings, of what the account above has.
fn norm(known: &Known, account: &str) -> f64 {
    let mut norm = 1.0;
    let mut next = known.accounts.get(account);
    for _ in 0..known.accounts.len() {
        let Some((row, above)) = next.and_then(|row| Some((row, row.parent.as_ref()?.as_str()))) else { break };
        let members: u64 = shares_of_members(known, above).values().map(|shares| u64::from(*shares)).sum();
        let whole = shares_below(known, above) + members;
        norm *= f64::from(row.terms.shares.unwrap_or(1)) / whole.max(1) as f64;
        next = known.accounts.get(above);
    }
    norm
}

/// An account and all below it.
fn below<'k>(known: &'k Known, account: &'k str) -> BTreeSet<&'k str> {
    let mut found = BTreeSet::from([account]);
    // As often as the tree is deep, at most.
    for _ in 0..known.accounts.len() {
        let more =
            known.accounts.values().filter(|row| row.parent.as_ref().is_some_and(|up| found.contains(up.as_str())));
        let more: Vec<&str> = more.map(|row| row.name.as_str()).collect();
        let before = found.len();
        found.extend(more);
        if found.len() == before {
            break;
        }
    }
    found
}
