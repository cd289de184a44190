//! Options of the commands about what runs: sattach, sbcast, sstat.

use super::{Opt, Section, opt};
use crate::command::Command::{self, Sattach, Sbcast, Sstat};

const ATTACH: &[Command] = &[Sattach];
const BCAST: &[Command] = &[Sbcast];
const STAT: &[Command] = &[Sstat];

pub static SECTIONS: &[Section] = &[Section { title: "", rows: ROWS }, Section { title: "Help options", rows: HELP }];

static HELP: &[Opt] = &[
    Opt { short: Some('h'), ..opt("help").on(&[Sattach, Sstat]).help("show this help message") },
    opt("help").on(BCAST).help("show this help message"),
    Opt { short: Some('u'), ..opt("usage").on(ATTACH).help("display brief usage message") },
    opt("usage").on(&[Sbcast, Sstat]).help("display brief usage message"),
    opt("version").short('V').on(&[Sattach, Sbcast, Sstat]).help("output version information and exit"),
];

static ROWS: &[Opt] = &[
    opt("input-filter").value("taskid").on(ATTACH).help("send standard input to this task alone"),
    opt("output-filter").value("taskid").on(ATTACH).help("print standard output of this task alone"),
    opt("error-filter").value("taskid").on(ATTACH).help("print standard error of this task alone"),
    opt("label").short('l').on(ATTACH).help("prepend task number to lines of output"),
    opt("layout").on(ATTACH).help("print which task runs where, and exit"),
    opt("pty").on(ATTACH).refused(
        "a step's terminal belongs to the srun that started it",
        "sattach without --pty, or srun --pty --overlap --jobid=JOB",
    ),
    opt("quiet").short('Q').on(ATTACH).help("no messages but errors"),
    opt("compress").short('C').maybe("lib").on(BCAST).ignored("a file travels as it is, over connections of its own"),
    opt("exclude").value("paths").on(BCAST).ignored("no libraries are sent along that could be left out"),
    opt("force").short('f').on(BCAST).env_named(&[(Sbcast, "SBCAST_FORCE")]).help("replace a file that is there"),
    opt("fanout")
        .short('F')
        .value("n")
        .on(BCAST)
        .env_named(&[(Sbcast, "SBCAST_FANOUT")])
        .help("nodes at the same time"),
    opt("jobid")
        .short('j')
        .value("job[.step]")
        .on(BCAST)
        .help("the job whose nodes get the file; with a step, its nodes"),
    opt("preserve")
        .short('p')
        .on(BCAST)
        .env_named(&[(Sbcast, "SBCAST_PRESERVE")])
        .help("preserve times of source file, too"),
    opt("send-libs").maybe("yes|no").on(BCAST).env_named(&[(Sbcast, "SBCAST_SEND_LIBS")]).refused(
        "shared objects are not sent along: the program would find the node's own",
        "sbcast without it, once for each file",
    ),
    opt("size").short('s').value("bytes").on(BCAST).env_named(&[(Sbcast, "SBCAST_SIZE")]).help("size of one message"),
    opt("timeout")
        .short('t')
        .value("seconds")
        .on(BCAST)
        .env_named(&[(Sbcast, "SBCAST_TIMEOUT")])
        .help("how long a node may take for one message"),
    opt("allsteps").short('a').on(STAT).help("all steps that run, where no step is named"),
    opt("format").short('o').value("fields").on(STAT).help("comma separated list of fields (see --helpformat)"),
    opt("fields").value("fields").on(STAT).same_as("format"),
    opt("helpformat").short('e').on(STAT).help("print the fields that --format knows"),
    opt("jobs").short('j').value("jobs").on(STAT).help("jobs or steps, comma separated"),
    opt("noconvert").on(STAT).help("don't convert units from their original type"),
    opt("noheader").short('n').on(STAT).help("no header"),
    opt("parsable").short('p').on(STAT).help("fields with a '|' after each"),
    opt("parsable2").short('P').on(STAT).help("fields with a '|' between them"),
    opt("pidformat").short('i').on(STAT).help("the processes of each step on each node"),
    opt("verbose").short('v').on(&[Sattach, Sbcast, Sstat]).help("say more"),
];
