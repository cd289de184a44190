//! `sacctmgr`: accounts, the users in them and qualities of service are listed, added, changed and removed.

mod add;
mod change;
mod columns;
mod commit;
pub mod flat;
mod known;
mod telling;
mod words;

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::show::table::{Style, chosen};
use crate::terminal::escaped;
use columns::{COLUMNS, headings};
pub use known::Known;
use known::Row;
use squall_types::accounts::EditKind;
use words::{Asked, Kind};

const ACCOUNT: &str = "account,descr,org";
const ASSOCIATION: &str = "cluster,account,user,partition,share,priority,grpjobs,grptres,grpsubmit,grpwall,grptresmins,\
                           maxjobs,maxtres,maxtrespernode,maxsubmit,maxwall,maxtresmins,qos,def qos,grptresrunmin";
const OF_ACCOUNT: &str = "account,descr,org,cluster,par name,user,share,priority,grpjobs,grptres,grpsubmit,grpwall,\
                          grptresmins,maxjobs,maxtres,maxtrespernode,maxsubmit,maxwall,maxtresmins,qos,def qos";
const OF_USER: &str = "user,def acct,admin,cluster,account,partition,share,priority,maxjobs,maxtres,maxsubmit,maxwall,\
                       maxtresmins,qos,def qos";
const QUALITY: &str = "name,priority,gracetime,preempt,preemptexempttime,preemptmode,flags%40,usagethres,usagefactor,\
                       grptres,grptresmins,grptresrunmin,grpjobs,grpsubmit,grpwall,maxtres,maxtrespernode,maxtresmins,\
                       maxwall,maxtrespu,maxjobspu,maxsubmitpu,maxtrespa,maxjobspa,maxsubmitpa,mintres";

/// # Errors
/// What cannot be understood, what the controller refuses, or its silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let Some((verb, words)) = parsed.rest.split_first() else {
        return Err(Failure::plain("sacctmgr: nothing to do").advising(Advice {
            try_this: "sacctmgr show associations, sacctmgr list user NAME, sacctmgr add account NAME".to_owned(),
            ..Advice::default()
        }));
    };
    let verb = verb.to_ascii_lowercase();
    let begins = |full: &str, least: usize| verb.len() >= least && full.starts_with(&verb);
    let change = match () {
        () if begins("add", 3) || begins("create", 3) => Some(EditKind::Add),
        () if begins("modify", 3) || verb == "update" => Some(EditKind::Modify),
        () if begins("delete", 3) || begins("remove", 3) => Some(EditKind::Remove),
        () if begins("list", 1) || begins("show", 1) => None,
        () if begins("dump", 3) => return flat::dump(invocation, words),
        () if begins("load", 3) => {
            not_readonly(&given)?;
            return flat::load(invocation, words, given.has("immediate"), given.has("quiet"));
        }
        () if ["archive", "clear", "reconfigure", "shutdown"].iter().any(|full| begins(full, 3)) => {
            return Err(unsupported(&verb, &parsed.rest));
        }
        () => return Err(Failure::plain(format!("invalid keyword: {}", escaped(&verb)))),
    };
    let Some((name, words)) = words.split_first() else {
        return Err(words::no_entity(change));
    };
    let kind = Kind::parse(name).ok_or_else(|| words::no_entity(change))?;
    let asked = Asked::parse(words, kind, change == Some(EditKind::Add))?;
    match change {
        Some(change) => {
            not_readonly(&given)?;
            change::run(invocation, change, kind, &asked, given.has("immediate"), given.has("quiet"))
        }
        None => list(invocation, &given, kind, asked),
    }
}

fn not_readonly(given: &Given) -> Result<(), Failure> {
    match given.has("readonly") {
        true => Err(Failure::error("sacctmgr", "Can't run this command in readonly mode.")
            .advising(Advice { try_this: "the same without --readonly".to_owned(), ..Advice::default() })),
        false => Ok(()),
    }
}

fn unsupported(verb: &str, words: &[String]) -> Failure {
    Failure::error("sacctmgr", format_args!("{verb} is not supported")).advising(Advice {
        asked: words.join(" "),
        limit: "accounts are in the controller's journal: there is no database beside it".to_owned(),
        try_this: "sacctmgr dump CLUSTER, or a backup of the journal: squallctld journal backup".to_owned(),
        code: "SQ0002",
        ..Advice::default()
    })
}

fn list(invocation: &mut Invocation<'_>, given: &Given, kind: Kind, mut asked: Asked) -> Result<i32, Failure> {
    asked.with_associations |= given.has("associations");
    let shown = match (kind, asked.with_associations) {
        (Kind::Account, false) => ACCOUNT,
        (Kind::Account, true) => OF_ACCOUNT,
        (Kind::Association, _) => ASSOCIATION,
        (Kind::Cluster, _) => "cluster,controlhost,qos,def qos",
        (Kind::Qos, _) => QUALITY,
        (Kind::Tres, _) => "type,name%15,id",
        (Kind::User | Kind::Coordinator, false) => "user,def acct,admin",
        (Kind::User | Kind::Coordinator, true) => OF_USER,
    };
    let mut text = asked.format.as_deref().or_else(|| given.text("format")).unwrap_or(shown).to_owned();
    if asked.with_coordinators && asked.format.is_none() {
        text.push_str(",coordinators");
    }
    let columns = chosen(&headings(&text, kind.word()), &COLUMNS).map_err(|(name, near)| {
        let first = Failure::plain(format!("Unknown field '{}'", escaped(&name)));
        match near {
            Some(near) => first.and_line(format!("sacctmgr: did you mean '{near}'?")),
            None => first,
        }
    })?;
    let known = Known::ask(invocation)?;
    let mut rows = match kind {
        Kind::Account => known.accounts(&asked),
        Kind::Association => known.associations(&asked),
        Kind::Cluster => known.itself(&asked),
        Kind::Qos => known.qos(&asked),
        Kind::Tres => known.tres(&asked),
        Kind::User | Kind::Coordinator => known.users(&asked),
    };
    let tree = asked.tree && kind == Kind::Association;
    rows.iter_mut().filter(|_| !tree).for_each(|row: &mut Row| row.depth = 0);
    write!(invocation.out, "{}", Style::of(given).table(&columns, &rows, !given.has("noheader")))?;
    Ok(0)
}
