//! `sreport`: who used how much, over a stretch of time. Everything comes from accounting, in pages.

mod usage;

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::moment::{self, Past};
use crate::options::{Given, Parsed};
use crate::select;
use crate::show::moments::Moments;
use crate::show::table::{Column, Style, chosen, right};
use crate::terminal::escaped;
use jiff::Zoned;
use squall_types::{Span, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write;
use usage::{Capacity, Ran, Tres, Window, capacity, ran};

/// Users that `user TopUsage` lists without TopCount.
const TOP: usize = 10;
/// Sizes of jobs, in CPUs: below each of these, and above the last.
const SIZES: [u32; 4] = [50, 250, 500, 1000];
const RULE: usize = 80;

/// One line of any report.
#[derive(Clone, Debug, Default)]
struct Row {
    cluster: String,
    tres: &'static str,
    account: String,
    user: String,
    used: String,
    /// Of the cluster: allocated, down, idle, planned, reported. Of sizes: the five classes.
    parts: [String; 5],
    share: String,
}

static COLUMNS: [Column<Row>; 20] = [
    right("Cluster", 9, |row| row.cluster.clone()),
    right("TRES Name", 14, |row| row.tres.to_owned()),
    right("Account", 15, |row| row.account.clone()),
    right("Login", 9, |row| row.user.clone()),
    right("Proper Name", 15, |_| String::new()),
    right("Used", 8, |row| row.used.clone()),
    right("Energy", 8, |_| "0".to_owned()),
    right("Allocated", 12, |row| row.parts[0].clone()),
    right("Down", 12, |row| row.parts[1].clone()),
    right("PLND Down", 12, |_| "0".to_owned()),
    right("Idle", 12, |row| row.parts[2].clone()),
    right("Planned", 12, |row| row.parts[3].clone()),
    right("Reported", 12, |row| row.parts[4].clone()),
    right("0-49 CPUs", 13, |row| row.parts[0].clone()),
    right("50-249 CPUs", 13, |row| row.parts[1].clone()),
    right("250-499 CPUs", 13, |row| row.parts[2].clone()),
    right("500-999 CPUs", 13, |row| row.parts[3].clone()),
    right(">= 1000 CPUs", 13, |row| row.parts[4].clone()),
    right("% of cluster", 12, |row| row.share.clone()),
    right("Comment", 20, |_| String::new()),
];

/// `-t`: how usage is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unit {
    word: &'static str,
    /// Milliseconds of one; `None` prints no amount.
    millis: Option<u128>,
    percent: bool,
}

const UNITS: [(&str, Unit); 7] = [
    ("seconds", Unit { word: "Seconds", millis: Some(1_000), percent: false }),
    ("minutes", Unit { word: "Minutes", millis: Some(60_000), percent: false }),
    ("hours", Unit { word: "Hours", millis: Some(3_600_000), percent: false }),
    ("percent", Unit { word: "Percentage of Total", millis: None, percent: true }),
    ("secper", Unit { word: "Seconds/Percentage of Total", millis: Some(1_000), percent: true }),
    ("minper", Unit { word: "Minutes/Percentage of Total", millis: Some(60_000), percent: true }),
    ("hourper", Unit { word: "Hours/Percentage of Total", millis: Some(3_600_000), percent: true }),
];

impl Unit {
    fn parse(text: &str) -> Option<Unit> {
        let text = text.to_ascii_lowercase();
        let begun = |(name, _): &&(&str, Unit)| !text.is_empty() && name.starts_with(&text);
        UNITS.iter().find(|(name, _)| *name == text).or_else(|| UNITS.iter().find(begun)).map(|(_, unit)| *unit)
    }

    /// An amount times milliseconds, of so much in all.
    fn show(self, used: u128, all: u128) -> String {
        let amount = self.millis.map(|millis| (used + millis / 2) / millis);
        let share = || percent(used, all);
        match (amount, self.percent) {
            (Some(amount), false) => amount.to_string(),
            (Some(amount), true) => format!("{amount}({})", share()),
            (None, _) => share(),
        }
    }
}

fn percent(part: u128, all: u128) -> String {
    let hundredths = (part * 10_000 + all / 2).checked_div(all).unwrap_or(0);
    format!("{}.{:02}%", hundredths / 100, hundredths % 100)
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Utilization,
    UsersOfAccounts,
    AccountsOfUsers,
    Sizes,
    Top,
}

const REPORTS: [(&str, &str, Report); 5] = [
    ("cluster", "utilization", Report::Utilization),
    ("cluster", "accountutilizationbyuser", Report::UsersOfAccounts),
    ("cluster", "userutilizationbyaccount", Report::AccountsOfUsers),
    ("job", "sizesbyaccount", Report::Sizes),
    ("user", "topusage", Report::Top),
];

impl Report {
    fn parse(words: &[String]) -> Result<Report, Failure> {
        let word = |at: usize| words.get(at).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
        let (kind, name) = (word(0), word(1));
        let fits = |(of, full, _): &&(&str, &str, Report)| {
            !kind.is_empty() && of.starts_with(&kind) && !name.is_empty() && full.starts_with(&name)
        };
        REPORTS.iter().find(fits).map(|(.., report)| *report).ok_or_else(|| {
            let known = "cluster Utilization, cluster AccountUtilizationByUser, cluster UserUtilizationByAccount, \
                         job SizesByAccount, user TopUsage";
            let wrong = if name.is_empty() { &kind } else { &name };
            Failure::plain(format!("Not valid report {}", escaped(wrong))).advising(Advice {
                try_this: known.to_owned(),
                code: "SQ0002",
                ..Advice::default()
            })
        })
    }

    fn title(self) -> &'static str {
        match self {
            Report::Utilization => "Cluster Utilization",
            Report::UsersOfAccounts => "Cluster/Account/User Utilization",
            Report::AccountsOfUsers => "Cluster/User/Account Utilization",
            Report::Sizes => "Job Sizes",
            Report::Top => "Top",
        }
    }

    fn shown(self) -> &'static str {
        match self {
            Report::Utilization => "Cluster,Allocated,Down,PLND Down,Idle,Planned,Reported",
            Report::UsersOfAccounts => "Cluster,Account,Login,Proper Name,Used,Energy",
            Report::AccountsOfUsers => "Cluster,Login,Proper Name,Account,Used,Energy",
            Report::Sizes => {
                "Cluster,Account%9,0-49 CPUs,50-249 CPUs,250-499 CPUs,500-999 CPUs,>= 1000 CPUs,% of cluster"
            }
            Report::Top => "Cluster,Login,Proper Name,Account,Used,Energy",
        }
    }
}

/// What the words behind the report say.
#[derive(Debug)]
struct Asked {
    window: Window,
    accounts: Vec<String>,
    users: Vec<String>,
    format: Option<String>,
    top: usize,
    /// Each user's accounts apart.
    group: bool,
}

/// # Errors
/// What cannot be understood, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let report = Report::parse(&parsed.rest)?;
    let asked = asked(invocation, &given, parsed.rest.get(2..).unwrap_or_default())?;
    let unit_text = given.text("time").unwrap_or("minutes");
    let unit = Unit::parse(unit_text).ok_or_else(|| {
        Failure::error("sreport", format_args!("Invalid time format: {}", escaped(unit_text))).advising(Advice {
            try_this: "seconds, minutes, hours, percent, secper, minper, hourper".into(),
            ..Advice::default()
        })
    })?;
    let kinds = kinds(given.text("tres").unwrap_or("cpu"))?;
    let mut text = asked.format.clone().unwrap_or_else(|| report.shown().to_owned());
    if given.has("tres") && asked.format.is_none() {
        text = text.replacen("Cluster,", "Cluster,TRES Name,", 1);
    }
    let columns = chosen(&headings(&text), &COLUMNS).map_err(|(name, near)| {
        let first = Failure::error("sreport", format_args!("Unknown field '{}'", escaped(&name)));
        match near {
            Some(near) => first.and_line(format!("sreport: did you mean '{near}'?")),
            None => first,
        }
    })?;
    let cluster = invocation.controller.ping().map(|reply| reply.cluster).unwrap_or_default();
    let jobs: Vec<Ran> = ran(invocation, asked.window)?
        .into_iter()
        .filter(|ran| wanted(&asked.accounts, &ran.account) && wanted(&asked.users, &ran.user))
        .collect();
    let needs_capacity = report == Report::Utilization || unit.percent;
    let there_was = if needs_capacity { capacity(invocation, asked.window)? } else { Capacity::default() };
    if there_was.unknown > 0 {
        let unknown = there_was.unknown;
        writeln!(
            invocation.err,
            "sreport: {unknown} nodes are gone whose shape is not known any more: they are not in it"
        )?;
    }
    let mut rows = Vec::new();
    for tres in kinds {
        let page = Page { cluster: &cluster, tres, unit, all: there_was.reported(tres), jobs: &jobs };
        rows.extend(page.rows(report, &asked));
    }
    if !given.has("noheader") {
        let heading = heading(invocation, report, &asked, unit, given.text("tres"));
        write!(invocation.out, "{heading}")?;
    }
    write!(invocation.out, "{}", Style::of(&given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}

fn wanted(list: &[String], name: &str) -> bool {
    list.is_empty() || list.iter().any(|wanted| wanted == name)
}

fn kinds(text: &str) -> Result<Vec<Tres>, Failure> {
    let one = |name: &str| {
        Tres::parse(name).ok_or_else(|| {
            Failure::error("sreport", format_args!("TRES '{}' is not reported", escaped(name)))
                .advising(Advice { try_this: "cpu, mem, node, billing, gres/gpu".into(), ..Advice::default() })
        })
    };
    if text.eq_ignore_ascii_case("all") {
        return Ok(vec![Tres::Cpu, Tres::Memory, Tres::Node, Tres::Billing, Tres::Gpu]);
    }
    select::names(text).map(one).collect()
}

/// Names of columns as people shorten them.
fn headings(text: &str) -> String {
    let one = |item: &str| {
        let (name, width) = item.split_once('%').map_or((item, ""), |(name, width)| (name, width));
        let low = name.to_ascii_lowercase();
        let known = COLUMNS.iter().find(|column| {
            let heading = column.name.to_ascii_lowercase();
            heading == low || (low.len() > 2 && heading.replace(' ', "").starts_with(&low))
        });
        let heading = known.map_or(if low == "accounts" { "Account" } else { name }, |column| column.name);
        if width.is_empty() { heading.to_owned() } else { format!("{heading}%{width}") }
    };
    select::names(text).map(one).collect::<Vec<_>>().join(",")
}

fn heading(invocation: &Invocation<'_>, report: Report, asked: &Asked, unit: Unit, tres: Option<&str>) -> String {
    let mut text = format!("{}\n", "-".repeat(RULE));
    let moments = Moments::of(invocation).standard();
    let Window { from, to } = asked.window;
    let title = if report == Report::Top { format!("Top {} Users", asked.top) } else { report.title().to_owned() };
    let secs = asked.window.length().as_secs();
    // As Slurm, which tells the last second and not the one after.
    writeln!(text, "{title} {} - {} ({secs} secs)", moments.at(from), moments.at(to - Span::from_secs(1))).ok();
    match (report, tres) {
        (Report::Sizes, _) => writeln!(text, "Time reported in {}", unit.word).ok(),
        (_, None) => writeln!(text, "Usage reported in CPU {}", unit.word).ok(),
        (_, Some(_)) => writeln!(text, "Usage reported in TRES {}", unit.word).ok(),
    };
    text.push_str(&format!("{}\n", "-".repeat(RULE)));
    text
}

/// The words behind the report: `start=2024-01-01 end=now accounts=lab`.
fn asked(invocation: &Invocation<'_>, given: &Given, words: &[String]) -> Result<Asked, Failure> {
    let (yesterday, today) = midnights(invocation);
    let mut asked = Asked {
        window: Window { from: yesterday, to: today },
        accounts: Vec::new(),
        users: Vec::new(),
        format: None,
        top: TOP,
        group: given.has("group"),
    };
    let moment = |text: &str| {
        moment::parse(text, invocation.now(), &invocation.zone, Past::Allowed)
            .map_err(|error| Failure::error("sreport", error))
    };
    for word in words {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        let names = || select::names(value).map(str::to_owned).collect::<Vec<_>>();
        match key.to_ascii_lowercase().as_str() {
            "start" => asked.window.from = moment(value)?,
            "end" => asked.window.to = moment(value)?,
            "account" | "accounts" => asked.accounts = names(),
            "user" | "users" => asked.users = names(),
            "format" => asked.format = Some(value.to_owned()),
            "topcount" => {
                let wrong = || Failure::error("sreport", format_args!("Invalid TopCount: {}", escaped(value)));
                asked.top = value.parse().map_err(|_| wrong())?;
            }
            "group" => asked.group = true,
            // There is one cluster, and it is all there is.
            "cluster" | "clusters" | "all_clusters" | "tree" | "where" => {}
            _ => return Err(Failure::error("sreport", format_args!("Unknown condition: {}", escaped(word)))),
        }
    }
    if asked.window.to <= asked.window.from {
        return Err(Failure::error("sreport", "the report ends before it begins").advising(Advice {
            asked: words.join(" "),
            try_this: "start=YYYY-MM-DD end=YYYY-MM-DD, or end=now".to_owned(),
            ..Advice::default()
        }));
    }
    Ok(asked)
}

/// The day before this one, which is reported where nothing is asked.
fn midnights(invocation: &Invocation<'_>) -> (Timestamp, Timestamp) {
    let now = invocation.now();
    let here = jiff::Timestamp::from_millisecond(now.0).map(|now| now.to_zoned(invocation.zone.clone()));
    let midnight = here.and_then(|here| here.start_of_day());
    let millis = |at: &Zoned| Timestamp(at.timestamp().as_millisecond());
    match midnight {
        Ok(today) => {
            (today.yesterday().map_or(millis(&today) - Span::from_hours(24), |day| millis(&day)), millis(&today))
        }
        Err(_) => (now - Span::from_hours(24), now),
    }
}

/// A report about one kind of resource.
struct Page<'a> {
    cluster: &'a str,
    tres: Tres,
    unit: Unit,
    /// What there was.
    all: u128,
    jobs: &'a [Ran],
}

impl Page<'_> {
    fn row(&self) -> Row {
        Row { cluster: self.cluster.to_owned(), tres: self.tres.name(), ..Row::default() }
    }

    fn show(&self, used: u128) -> String {
        self.unit.show(used, self.all)
    }

    fn sums<K: Ord>(&self, key: impl Fn(&Ran) -> K) -> BTreeMap<K, u128> {
        let mut sums = BTreeMap::new();
        for ran in self.jobs {
            *sums.entry(key(ran)).or_default() += ran.used(self.tres);
        }
        sums
    }

    fn rows(&self, report: Report, asked: &Asked) -> Vec<Row> {
        match report {
            Report::Utilization => self.utilization(),
            Report::UsersOfAccounts => self.users_of_accounts(),
            Report::AccountsOfUsers => self.accounts_of_users(),
            Report::Sizes => self.sizes(),
            Report::Top => self.top(asked),
        }
    }

    fn utilization(&self) -> Vec<Row> {
        let used: u128 = self.jobs.iter().map(|ran| ran.used(self.tres)).sum();
        let idle = self.all.saturating_sub(used);
        let parts = [used, 0, idle, 0, self.all].map(|part| self.show(part));
        vec![Row { parts, ..self.row() }]
    }

    fn users_of_accounts(&self) -> Vec<Row> {
        let by_account = self.sums(|ran| ran.account.clone());
        let by_user = self.sums(|ran| (ran.account.clone(), ran.user.clone()));
        let all = by_account.values().sum();
        let mut rows = Vec::new();
        if !by_account.is_empty() {
            rows.push(Row { account: "root".to_owned(), used: self.show(all), ..self.row() });
        }
        for (account, used) in &by_account {
            rows.push(Row { account: account.clone(), used: self.show(*used), ..self.row() });
            for ((_, user), used) in by_user.iter().filter(|((name, _), _)| name == account) {
                rows.push(Row { account: account.clone(), user: user.clone(), used: self.show(*used), ..self.row() });
            }
        }
        rows
    }

    fn accounts_of_users(&self) -> Vec<Row> {
        let row = |((user, account), used): (&(String, String), &u128)| Row {
            user: user.clone(),
            account: account.clone(),
            used: self.show(*used),
            ..self.row()
        };
        self.sums(|ran| (ran.user.clone(), ran.account.clone())).iter().map(row).collect()
    }

    fn sizes(&self) -> Vec<Row> {
        let class = |cpus: u32| SIZES.iter().filter(|size| cpus >= **size).count();
        let by_class = self.sums(|ran| (ran.account.clone(), class(ran.cpus)));
        let by_account = self.sums(|ran| ran.account.clone());
        let all: u128 = by_account.values().sum();
        let row = |(account, used): (&String, &u128)| {
            let part = |class: usize| by_class.get(&(account.clone(), class)).copied().unwrap_or(0);
            let parts = [0, 1, 2, 3, 4].map(|class| self.show(part(class)));
            Row { account: account.clone(), parts, share: percent(*used, all), ..self.row() }
        };
        by_account.iter().map(row).collect()
    }

    /// Whoever used most comes first.
    fn top(&self, asked: &Asked) -> Vec<Row> {
        let key = |ran: &Ran| (ran.user.clone(), if asked.group { String::new() } else { ran.account.clone() });
        let mut sums: Vec<((String, String), u128)> = self.sums(key).into_iter().collect();
        sums.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        let row = |((user, account), used)| Row { user, account, used: self.show(used), ..self.row() };
        sums.into_iter().take(asked.top).map(row).collect()
    }
}
