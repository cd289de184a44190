//! Options of the commands about accounts, shares and the controller: sacctmgr, sreport, sshare, sprio, sdiag, seff.

use super::{Opt, Section, opt};
use crate::command::Command::{self, Sacctmgr, Sdiag, Seff, Sprio, Sreport, Sshare};

const MGR: &[Command] = &[Sacctmgr];
const REPORT: &[Command] = &[Sreport];
const SHARE: &[Command] = &[Sshare];
const PRIO: &[Command] = &[Sprio];
const DIAG: &[Command] = &[Sdiag];
const EFF: &[Command] = &[Seff];
const TABLES: &[Command] = &[Sacctmgr, Sreport, Sshare];

const ONE_CLUSTER: &str = "there is one cluster and no federation of several";

static HELP: &[Opt] = &[
    Opt { short: Some('h'), ..opt("help").on(&[Sacctmgr, Sreport, Sdiag, Seff]).help("show this help message") },
    opt("usage").on(&[Sacctmgr, Sreport, Sshare, Sprio, Sdiag]).help("display brief usage message"),
    opt("version")
        .short('V')
        .on(&[Sacctmgr, Sreport, Sshare, Sprio, Sdiag, Seff])
        .help("output version information and exit"),
];
/// Where `-h` means something else.
static LONG_HELP: &[Opt] = &[opt("help").on(&[Sshare, Sprio]).help("show this help message")];

pub static SECTIONS: &[Section] = &[
    Section { title: "", rows: ROWS },
    Section { title: "Help options", rows: HELP },
    Section { title: "", rows: LONG_HELP },
];

static ROWS: &[Opt] = &[
    opt("associations").short('s').on(MGR).help("users and accounts with what joins them"),
    opt("immediate").short('i').on(MGR).help("change without asking whether to"),
    opt("readonly").short('r').on(MGR).help("refuse to change anything"),
    opt("oneliner").short('o').on(MGR).ignored("every record has one line"),
    opt("quiet").short('Q').on(MGR).help("no messages but errors"),
    opt("noheader").short('n').on(TABLES).help("no header"),
    opt("parsable").short('p').on(TABLES).help("fields with a '|' after each"),
    opt("parsable2").short('P').on(TABLES).help("fields with a '|' between them"),
    opt("verbose").short('v').on(&[Sacctmgr, Sreport, Sshare, Sprio]).help("say more"),
    opt("format").value("fields").on(MGR).help("comma separated list of fields"),
    opt("all_clusters").short('a').on(REPORT).ignored(ONE_CLUSTER),
    opt("cluster").short('M').value("names").on(REPORT).ignored(ONE_CLUSTER),
    opt("quiet").short('Q').on(REPORT).ignored("nothing is said but the report"),
    opt("group").on(REPORT).help("all accounts of a user together (user TopUsage)"),
    opt("time").short('t').value("unit").on(REPORT).help("seconds, minutes, hours, percent, secper, minper, hourper"),
    opt("tres")
        .short('T')
        .value("names")
        .on(REPORT)
        .help("resources to report: cpu, mem, node, billing, gres/gpu, all"),
    opt("accounts").short('A').value("names").on(SHARE).help("only these accounts"),
    opt("all").short('a').on(SHARE).help("everybody, and not only who asks"),
    opt("format").short('o').value("fields").on(SHARE).help("comma separated list of fields"),
    opt("long").short('l').on(SHARE).ignored("there is nothing more to show"),
    opt("clusters").short('M').value("names").on(&[Sshare, Sprio, Sdiag]).ignored(ONE_CLUSTER),
    opt("partition").short('m').on(SHARE).ignored("shares are the same in all partitions"),
    opt("user").short('u').value("names").on(SHARE).help("only these users"),
    opt("Users").short('U').on(SHARE).help("users without their accounts"),
    opt("noheader").short('h').on(PRIO).help("no header"),
    opt("jobs").short('j').value("jobs").on(PRIO).help("only these jobs"),
    opt("long").short('l').on(PRIO).help("more fields"),
    opt("norm").short('n').on(PRIO).refused("priorities are not made of weighted factors", "sprio without -n"),
    opt("format").short('o').value("format").on(PRIO).help("format specification with letters"),
    opt("partition").short('p').value("names").on(PRIO).help("only these partitions"),
    opt("user").short('u').value("names").on(PRIO).help("only jobs of these users"),
    opt("weights").short('w').on(PRIO).refused("priorities are not made of weighted factors", "squall why JOB"),
    opt("all").short('a').on(DIAG).ignored("everything is shown in any case"),
    opt("reset").short('r').on(DIAG).refused("what has happened stays counted", "sdiag twice, and the difference"),
    opt("sort-by-id").short('i').on(DIAG).ignored("nothing is listed by number"),
    opt("sort-by-time").short('t').on(DIAG).ignored("nothing is listed by time"),
    opt("sort-by-time2").short('T').on(DIAG).ignored("nothing is listed by time"),
    opt("json").maybe("version").on(DIAG).help("print JSON; =list names the versions of its shape"),
    opt("yaml").maybe("version").on(DIAG).help("print YAML; =list names the versions of its shape"),
    opt("debug").short('d').on(EFF).ignored("nothing is left to say"),
];
