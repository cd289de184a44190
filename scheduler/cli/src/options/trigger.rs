//! Options of strigger.

use super::{Opt, Section, opt};
use crate::command::Command::{self, Strigger};

const ON: &[Command] = &[Strigger];

const NONE: &str = "nothing runs programs of users when something happens";
const NOTICE: &str = "--mail-type of the job, or a job with --dependency";
const NO_SUCH: &str = "this cannot happen here, so there is no trigger for it";

pub static SECTIONS: &[Section] = &[Section { title: "", rows: ROWS }, Section { title: "Help options", rows: HELP }];

static HELP: &[Opt] = &[
    opt("help").on(ON).help("show this help message"),
    opt("usage").on(ON).help("display brief usage message"),
    opt("version").short('V').on(ON).help("output version information and exit"),
];

static ROWS: &[Opt] = &[
    opt("get").on(ON).help("get trigger information"),
    opt("set").on(ON).refused(NONE, NOTICE),
    opt("clear").on(ON).help("clear triggers, of which there are none"),
    opt("id").short('i').value("id").on(ON).help("only the trigger of this number"),
    opt("jobid").short('j').value("job").on(ON).help("only triggers for this job"),
    opt("node").short('n').maybe("host").on(ON).help("only triggers for these nodes"),
    opt("user").value("user").on(ON).help("only triggers of this user"),
    opt("noheader").short('N').on(ON).help("no header"),
    opt("quiet").short('Q').on(ON).help("no messages but errors"),
    opt("verbose").short('v').on(ON).help("say more"),
    opt("cluster").short('M').value("name").on(ON).ignored("there is one cluster and no federation of several"),
    opt("flags").value("perm").on(ON).ignored(NONE),
    opt("offset").short('o').value("seconds").on(ON).ignored(NONE),
    opt("program").short('p').value("path").on(ON).ignored(NONE),
    opt("down").short('d').on(ON).ignored(NONE),
    opt("drained").short('D').on(ON).ignored(NONE),
    opt("fail").short('F').on(ON).ignored(NONE),
    opt("fini").short('f').on(ON).ignored(NONE),
    opt("idle").short('I').on(ON).ignored(NONE),
    opt("reconfig").short('r').on(ON).ignored(NONE),
    opt("time").short('t').on(ON).ignored(NONE),
    opt("up").short('u').on(ON).ignored(NONE),
    opt("burst_buffer").on(ON).ignored(NO_SUCH),
    opt("front_end").on(ON).ignored(NO_SUCH),
    opt("primary_slurmctld_failure").short('a').on(ON).ignored(NO_SUCH),
    opt("primary_slurmctld_resumed_operation").short('A').on(ON).ignored(NO_SUCH),
    opt("primary_slurmctld_resumed_control").short('b').on(ON).ignored(NO_SUCH),
    opt("primary_slurmctld_acct_buffer_full").short('e').on(ON).ignored(NO_SUCH),
    opt("backup_slurmctld_failure").short('B').on(ON).ignored(NO_SUCH),
    opt("backup_slurmctld_resumed_operation").short('c').on(ON).ignored(NO_SUCH),
    opt("backup_slurmctld_assumed_control").short('C').on(ON).ignored(NO_SUCH),
    opt("primary_slurmdbd_failure").short('g').on(ON).ignored(NO_SUCH),
    opt("primary_slurmdbd_resumed_operation").short('G').on(ON).ignored(NO_SUCH),
    opt("primary_database_failure").short('h').on(ON).ignored(NO_SUCH),
    opt("primary_database_resumed_operation").short('H').on(ON).ignored(NO_SUCH),
];
