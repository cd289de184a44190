//! `sacctmgr dump`: all associations as a file that `sacctmgr load` reads, here or at another cluster.

use super::{Line, Title, write};
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::sacctmgr::known::{Known, described};
use crate::terminal::{self, escaped};
use squall_types::accounts::{AdminLevel, ROOT, Setting, Terms};
use squall_types::span_text::clock;
use squall_types::{AccountName, Span};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// # Errors
/// No cluster is named, or one that is not this one; the file cannot be written, or the controller is silent.
pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let (mut cluster, mut file) = (None, None);
    for word in words {
        match Setting::parse(word) {
            Some(setting) if setting.key == "file" => file = Some(setting.value),
            Some(setting) if setting.key != "cluster" => {
                return Err(Failure::plain(format!(" Unknown option: {}", escaped(word)))
                    .and_line(" We need a cluster to dump.")
                    .advising(try_this("sacctmgr dump CLUSTER file=FILE")));
            }
            named => {
                let name = named.map_or_else(|| word.clone(), |setting| setting.value);
                if let Some(first) = cluster.replace(name) {
                    let first = escaped(&first);
                    return Err(Failure::plain(format!(" Can only do one cluster at a time.  Already doing {first}")));
                }
            }
        }
    }
    let cluster = cluster.ok_or_else(|| {
        Failure::plain(" We need a cluster to dump.").advising(try_this("sacctmgr dump CLUSTER file=FILE"))
    })?;
    let known = Known::ask(invocation)?;
    if cluster != known.cluster {
        return Err(no_such_cluster(&cluster, &known));
    }
    let file = match file {
        Some(file) => file,
        None => {
            writeln!(invocation.out, " No filename given, using ./{}.cfg.", escaped(&cluster))?;
            format!("{cluster}.cfg")
        }
    };
    let path: PathBuf = invocation.directory.join(&file);
    std::fs::write(&path, text(&known))
        .map_err(|error| Failure::plain(format!("Can't open file {}, {}", escaped(&file), terminal::plain(&error))))?;
    Ok(0)
}

fn try_this(what: &str) -> Advice<'_> {
    Advice { try_this: what.to_owned(), ..Advice::default() }
}

pub(super) fn no_such_cluster(name: &str, known: &Known) -> Failure {
    Failure::plain(format!(" Cluster {} doesn't exist.", escaped(name)))
        .advising(Advice { limit: format!("the cluster here is {}", known.cluster), ..Advice::default() })
}

fn text(known: &Known) -> String {
    let head = format!(
        "# The associations of cluster {}, for sacctmgr load. Each line is TITLE - NAME with settings behind colons;\n\
         # what follows a parent stands below it, and an account stands here before it is a parent.\n",
        known.cluster
    );
    head + &write(&lines(known))
}

fn line(title: Title, name: &str, settings: Vec<Setting>) -> Line {
    Line { number: 0, title, name: name.to_owned(), settings }
}

fn lines(known: &Known) -> Vec<Line> {
    let root = known.accounts.get(ROOT).map(|root| root.terms.clone()).unwrap_or_default();
    let mut settings = terms(&root);
    if root.qos.is_none() {
        settings.push(Setting::new("qos", known.qos_of(ROOT).0));
    }
    let mut lines = vec![line(Title::Cluster, &known.cluster, settings)];
    for (account, _) in known.tree() {
        let parent = &account.name;
        let mut below = users(known, parent);
        let children = known.accounts.values().filter(|child| child.parent.as_ref() == Some(parent));
        below.extend(children.map(|child| {
            let (description, organization) = described(child);
            let mut settings =
                vec![Setting::new("description", description), Setting::new("organization", organization)];
            settings.extend(terms(&child.terms));
            line(Title::Account, child.name.as_str(), settings)
        }));
        if !below.is_empty() {
            lines.push(line(Title::Parent, parent.as_str(), Vec::new()));
            lines.append(&mut below);
        }
    }
    lines
}

/// The users in an account. Those who are in none count for the default one.
fn users(known: &Known, account: &AccountName) -> Vec<Line> {
    let from = (account.0.clone(), String::new(), String::new());
    let inside = known.members.range(from..).take_while(|((name, ..), _)| *name == account.0);
    let mut lines: Vec<Line> = inside
        .map(|((_, user, partition), row)| {
            let place = (!partition.is_empty()).then(|| Setting::new("partition", partition));
            line(Title::User, user, place.into_iter().chain(of_user(known, user)).chain(terms(&row.terms)).collect())
        })
        .collect();
    if account.0 == known.default_account {
        let members: BTreeSet<&String> = known.members.keys().map(|(_, member, _)| member).collect();
        let in_none = known.users.keys().filter(|user| !members.contains(user));
        lines.extend(
            in_none.map(|user| line(Title::User, user, of_user(known, user).chain(terms(&Terms::default())).collect())),
        );
    }
    lines
}

/// What a user is, whatever account she is in.
fn of_user<'k>(known: &'k Known, user: &'k str) -> impl Iterator<Item = Setting> + 'k {
    let coordinated: Vec<&str> = known.coordinated_by(user).into_iter().collect();
    let level = known.admin_of(user);
    let default = Setting::new("defaultaccount", known.default_of(user));
    let level = (level > AdminLevel::None).then(|| Setting::new("adminlevel", level.word()));
    let coordinated = (!coordinated.is_empty()).then(|| Setting::new("coordinators", coordinated.join(",")));
    [Some(default), level, coordinated].into_iter().flatten()
}

/// Limits as they stand, none that are only passed on from above.
fn terms(terms: &Terms) -> Vec<Setting> {
    let mut settings = terms.settings();
    if terms.shares.is_none() {
        settings.push(Setting::new("fairshare", 1));
    }
    for setting in settings.iter_mut().filter(|setting| setting.name() == "maxwall") {
        setting.value = terms.limits.wall.map(wall).unwrap_or_default();
    }
    settings
}

/// In minutes, as Slurm has it, where nothing is lost.
pub(super) fn wall(span: Span) -> String {
    let minutes = span.0 / Span::from_mins(1).0;
    if Span::from_mins(1).times(minutes) == span { minutes.to_string() } else { clock(span) }
}
