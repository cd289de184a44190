//! Options of the commands that look and change: squeue, sinfo, scancel, sacct, scontrol, squall.

use super::{Opt, Section, opt};
use crate::command::Command::{self, Sacct, Scancel, Scontrol, Sinfo, Squall, Squeue};

const SQ: &[Command] = &[Squeue];
const SI: &[Command] = &[Sinfo];
const SC: &[Command] = &[Scancel];
const SA: &[Command] = &[Sacct];
const CTL: &[Command] = &[Scontrol];

const ONE_CLUSTER: &str = "there is one cluster and no federation of several";
const FILLED_IN: &str = "patterns in names of files are always filled in";
const NO_HIDDEN: &str = "no partition is hidden";

macro_rules! help_rows {
    ($on:expr, $short:expr) => {
        &[
            Opt { short: $short, ..opt("help").on($on).help("show this help message") },
            opt("usage").on($on).help("display brief usage message"),
            opt("version").short('V').on($on).help("output version information and exit"),
        ]
    };
}

pub static SQUEUE: &[Section] =
    &[Section { title: "", rows: SQUEUE_ROWS }, Section { title: "Help options", rows: help_rows!(SQ, None) }];

static SQUEUE_ROWS: &[Opt] = &[
    opt("account")
        .short('A')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_ACCOUNT")])
        .help("only these accounts"),
    opt("accounts").value("names").on(SQ).same_as("account"),
    opt("all").short('a').on(SQ).env_named(&[(Squeue, "SQUEUE_ALL")]).ignored(NO_HIDDEN),
    opt("array")
        .short('r')
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_ARRAY")])
        .help("display one job array element per line"),
    opt("array-unique")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_ARRAY_UNIQUE")])
        .help("display one unique pending job array\nelement per line"),
    opt("clusters").short('M').value("names").on(SQ).env_named(&[(Squeue, "SQUEUE_CLUSTERS")]).ignored(ONE_CLUSTER),
    opt("expand-patterns").on(SQ).ignored(FILLED_IN),
    opt("federation").on(SQ).ignored(ONE_CLUSTER),
    opt("Format")
        .short('O')
        .value("format")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_FORMAT2")])
        .help("format specification with long names"),
    opt("format")
        .short('o')
        .value("format")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_FORMAT")])
        .help("format specification with letters"),
    opt("hide").on(SQ).ignored(NO_HIDDEN),
    opt("iterate").short('i').value("seconds").on(SQ).help("print again and again, so often"),
    opt("job").short('j').loose("jobs").on(SQ).help("only these jobs, comma separated"),
    opt("jobs").loose("jobs").on(SQ).same_as("job"),
    opt("json").maybe("version").on(SQ).help("print JSON; =list names the versions of its shape"),
    opt("licenses")
        .short('L')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_LICENSES")])
        .refused("the list of jobs does not say their licenses", "scontrol show job JOB"),
    opt("local").on(SQ).ignored(ONE_CLUSTER),
    opt("long").short('l').on(SQ).help("long report"),
    opt("me").on(SQ).help("only my jobs"),
    opt("name")
        .short('n')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_NAMES")])
        .help("only jobs of these names"),
    opt("noconvert").on(SQ).help("don't convert units from their original type"),
    opt("nodelist").short('w').value("hosts").on(SQ).help("only jobs on these nodes"),
    opt("noheader").short('h').on(SQ).help("no headers on output"),
    opt("only-job-state").on(SQ).help("only ids and states"),
    opt("partition")
        .short('p')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_PARTITION")])
        .help("only these partitions"),
    opt("priority")
        .short('P')
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_PRIORITY")])
        .help("pending jobs once for each of their partitions"),
    opt("qos")
        .short('q')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_QOS")])
        .help("only these qualities of service"),
    opt("reservation").short('R').value("name").on(SQ).help("only jobs of this reservation"),
    opt("sibling").on(SQ).ignored(ONE_CLUSTER),
    opt("sort")
        .short('S')
        .value("fields")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_SORT")])
        .help("letters of fields to sort by, - turns one round"),
    opt("start").on(SQ).help("expected start times of pending jobs"),
    opt("states")
        .short('t')
        .value("states")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_STATES")])
        .help("only these states; all: also jobs that ended lately"),
    opt("steps").short('s').loose("steps").on(SQ).help("steps instead of jobs"),
    opt("user")
        .short('u')
        .value("names")
        .on(SQ)
        .env_named(&[(Squeue, "SQUEUE_USERS")])
        .help("only jobs of these users"),
    opt("users").value("names").on(SQ).same_as("user"),
    opt("verbose").short('v').on(SQ).help("say more"),
    opt("yaml").maybe("version").on(SQ).help("print YAML; =list names the versions of its shape"),
];

pub static SINFO: &[Section] =
    &[Section { title: "", rows: SINFO_ROWS }, Section { title: "Help options", rows: help_rows!(SI, None) }];

static SINFO_ROWS: &[Opt] = &[
    opt("all").short('a').on(SI).env_named(&[(Sinfo, "SINFO_ALL")]).ignored(NO_HIDDEN),
    opt("clusters").short('M').value("names").on(SI).ignored(ONE_CLUSTER),
    opt("dead").short('d').on(SI).help("only nodes without contact"),
    opt("exact").short('e').on(SI).help("group nodes only on exact match of configuration"),
    opt("federation").on(SI).ignored(ONE_CLUSTER),
    opt("Format")
        .short('O')
        .value("format")
        .on(SI)
        .env_named(&[(Sinfo, "SINFO_FORMAT2")])
        .help("format specification with long names"),
    opt("format")
        .short('o')
        .value("format")
        .on(SI)
        .env_named(&[(Sinfo, "SINFO_FORMAT")])
        .help("format specification with letters"),
    opt("future").short('F').on(SI).ignored("no node is only planned"),
    opt("hide").on(SI).ignored(NO_HIDDEN),
    opt("iterate").short('i').value("seconds").on(SI).help("print again and again, so often"),
    opt("json").maybe("version").on(SI).help("print JSON; =list names the versions of its shape"),
    opt("list-reasons").short('R').on(SI).help("why nodes are down, drained or closed"),
    opt("local").on(SI).ignored(ONE_CLUSTER),
    opt("long").short('l').on(SI).help("long output - displays more information"),
    opt("Node").short('N').on(SI).help("one line for each node and partition"),
    opt("nodes").short('n').value("nodes").on(SI).help("only these nodes"),
    opt("noconvert").on(SI).help("don't convert units from their original type"),
    opt("noheader").short('h').on(SI).help("no headers on output"),
    opt("partition")
        .short('p')
        .value("names")
        .on(SI)
        .env_named(&[(Sinfo, "SINFO_PARTITION")])
        .help("only these partitions"),
    opt("reservation").short('T').on(SI).help("reservations instead of nodes"),
    opt("responding").short('r').on(SI).help("only nodes with contact"),
    opt("sort")
        .short('S')
        .value("fields")
        .on(SI)
        .env_named(&[(Sinfo, "SINFO_SORT")])
        .help("letters of fields to sort by, - turns one round"),
    opt("states").short('t').value("states").on(SI).help("only nodes in these states"),
    opt("summarize").short('s').on(SI).help("one line for each partition"),
    opt("verbose").short('v').on(SI).help("say more"),
    opt("yaml").maybe("version").on(SI).help("print YAML; =list names the versions of its shape"),
];

pub static SCANCEL: &[Section] =
    &[Section { title: "", rows: SCANCEL_ROWS }, Section { title: "Help options", rows: help_rows!(SC, None) }];

static SCANCEL_ROWS: &[Opt] = &[
    opt("account")
        .short('A')
        .value("account")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_ACCOUNT")])
        .help("act only on jobs charging this account"),
    opt("batch")
        .short('b')
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_BATCH")])
        .help("signal batch shell for specified job"),
    opt("clusters").short('M').value("names").on(SC).ignored(ONE_CLUSTER),
    opt("ctld").on(SC).env_named(&[(Scancel, "SCANCEL_CTLD")]).ignored("signals always go by the controller"),
    opt("full").short('f').on(SC).env_named(&[(Scancel, "SCANCEL_FULL")]).help("signal batch shell and all steps"),
    opt("hurry")
        .short('H')
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_HURRY")])
        .ignored("there are no burst buffers to empty first"),
    opt("interactive").short('i').on(SC).env_named(&[(Scancel, "SCANCEL_INTERACTIVE")]).help("ask before each job"),
    opt("me").on(SC).help("act only on my jobs"),
    opt("name")
        .short('n')
        .value("job_name")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_NAME")])
        .help("act only on jobs with this name"),
    opt("jobname").value("job_name").on(SC).same_as("name"),
    opt("nodelist").short('w').value("hosts").on(SC).help("act only on jobs on these nodes"),
    opt("partition")
        .short('p')
        .value("partition")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_PARTITION")])
        .help("act only on jobs in this partition"),
    opt("qos")
        .short('q')
        .value("qos")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_QOS")])
        .help("act only on jobs with this quality of service"),
    opt("quiet").short('Q').on(SC).help("disable warnings"),
    opt("reservation").short('R').value("reservation").on(SC).help("act only on jobs with this reservation"),
    opt("sibling").value("cluster_name").on(SC).ignored(ONE_CLUSTER),
    opt("signal").short('s').value("name | integer").on(SC).help("signal to send to job instead of ending it"),
    opt("state")
        .short('t')
        .value("states")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_STATE")])
        .help("act only on jobs in this state: PENDING, RUNNING\nor SUSPENDED"),
    opt("user")
        .short('u')
        .value("user_name")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_USER")])
        .help("act only on jobs of this user"),
    opt("cron").on(SC).help("jobs of crontabs as well: their lines there\nbecome comments"),
    opt("verbose").short('v').on(SC).env_named(&[(Scancel, "SCANCEL_VERBOSE")]).help("say what is done"),
    opt("wckey")
        .value("wckey")
        .on(SC)
        .env_named(&[(Scancel, "SCANCEL_WCKEY")])
        .refused("jobs are not found by their workload key", "--name or --account"),
];

pub static SACCT: &[Section] =
    &[Section { title: "", rows: SACCT_ROWS }, Section { title: "Help options", rows: help_rows!(SA, Some('h')) }];

static SACCT_ROWS: &[Opt] = &[
    opt("accounts").short('A').value("names").on(SA).help("only these accounts"),
    opt("allclusters").short('L').on(SA).ignored(ONE_CLUSTER),
    opt("allocations").short('X').on(SA).help("jobs without their steps"),
    opt("allusers").short('a').on(SA).help("jobs of all users"),
    opt("array").on(SA).ignored("every element that ran has a line of its own"),
    opt("associations").short('x').value("ids").on(SA).refused("associations have no numbers", "--accounts and --user"),
    opt("batch-script")
        .short('B')
        .on(SA)
        .refused("scripts are not shown by accounting", "scontrol write batch_script JOB"),
    opt("brief").short('b').on(SA).help("the same as --format=jobid,state,exitcode"),
    opt("clusters").short('M').value("names").on(SA).ignored(ONE_CLUSTER),
    opt("completion").short('c').on(SA).ignored("accounting holds what completion records hold"),
    opt("delimiter").value("text").on(SA).help("between the fields of -p and -P"),
    opt("duplicates").short('D').on(SA).help("earlier attempts of requeued jobs, too"),
    opt("endtime").short('E').value("time").on(SA).help("jobs that were there before this time"),
    opt("env-vars").on(SA).refused("environments are not shown by accounting", ""),
    opt("expand-patterns").on(SA).help("names of files with their patterns filled in, in StdErr, StdIn and StdOut"),
    opt("federation").on(SA).ignored(ONE_CLUSTER),
    opt("file")
        .short('f')
        .value("file")
        .on(SA)
        .refused("accounting is not read from files", "the cluster's own accounting"),
    opt("flags").short('F').value("list").on(SA).ignored("jobs carry no scheduler flags"),
    opt("format")
        .short('o')
        .value("fields")
        .on(SA)
        .env_named(&[(Sacct, "SACCT_FORMAT")])
        .help("comma separated list of fields (see --helpformat)"),
    opt("fields").value("fields").on(SA).same_as("format"),
    opt("gid").short('g').value("groups").on(SA).help("only jobs of these groups"),
    opt("group").value("groups").on(SA).same_as("gid"),
    opt("helpformat").short('e').on(SA).help("print the fields that --format knows"),
    opt("jobs").short('j').value("jobs").on(SA).help("only these jobs or steps"),
    opt("json").maybe("version").on(SA).help("print JSON; =list names the versions of its shape"),
    opt("local").on(SA).ignored(ONE_CLUSTER),
    opt("long").short('l').on(SA).help("many fields"),
    opt("name").value("names").on(SA).help("only jobs of these names"),
    opt("ncpus").short('I').value("min[-max]").on(SA).help("only jobs with so many CPUs"),
    opt("nnodes").short('i').value("min[-max]").on(SA).help("only jobs with so many nodes"),
    opt("noconvert").on(SA).help("don't convert units from their original type"),
    opt("nodelist").short('N').value("hosts").on(SA).help("only jobs that ran on any of these nodes"),
    opt("noheader").short('n').on(SA).help("no header"),
    opt("parsable").short('p').on(SA).help("fields with a '|' after each"),
    opt("parsable2").short('P').on(SA).help("fields with a '|' between them"),
    opt("partition").short('r').value("names").on(SA).help("only these partitions"),
    opt("qos").short('q').value("names").on(SA).help("only these qualities of service"),
    opt("starttime")
        .short('S')
        .value("time")
        .on(SA)
        .help("jobs that were there after this time; the default is\nmidnight, or the beginning where jobs are named"),
    opt("state").short('s').value("states").on(SA).help("only jobs in these states"),
    opt("timelimit-max").short('K').value("minutes").on(SA).help("with -k: jobs with at most this time limit"),
    opt("timelimit-min").short('k').value("minutes").on(SA).help("only jobs with this time limit"),
    opt("truncate").short('T').on(SA).help("cut start and end to the time asked for"),
    opt("units").value("KMGTP").on(SA).help("the unit of memory"),
    opt("user").short('u').value("users").on(SA).help("only jobs of these users"),
    opt("uid").value("users").on(SA).same_as("user"),
    opt("verbose").short('v').on(SA).help("say more"),
    opt("wckeys").short('W').value("wckeys").on(SA).help("only jobs of these workload keys"),
    opt("whole-hetjob")
        .maybe("yes|no")
        .on(SA)
        .help("all components of a heterogeneous job where one\nis named, or only those that are"),
    opt("yaml").maybe("version").on(SA).help("print YAML; =list names the versions of its shape"),
];

pub static SCONTROL: &[Section] =
    &[Section { title: "", rows: SCONTROL_ROWS }, Section { title: "Help options", rows: help_rows!(CTL, Some('h')) }];

static SCONTROL_ROWS: &[Opt] = &[
    opt("all").short('a').on(CTL).env_named(&[(Scontrol, "SCONTROL_ALL")]).ignored(NO_HIDDEN),
    opt("cluster").value("name").on(CTL).ignored(ONE_CLUSTER),
    opt("clusters").short('M').value("name").on(CTL).ignored(ONE_CLUSTER),
    opt("details").short('d').on(CTL).help("show more of a job"),
    opt("expand-patterns").on(CTL).ignored(FILLED_IN),
    opt("federation").on(CTL).ignored(ONE_CLUSTER),
    opt("future").short('F').on(CTL).ignored("no node is only planned"),
    opt("hide").on(CTL).ignored(NO_HIDDEN),
    opt("json")
        .maybe("version")
        .on(CTL)
        .help("print JSON: show job, node, partition or step;\n=list names the versions of its shape"),
    opt("local").on(CTL).ignored(ONE_CLUSTER),
    opt("oneliner").short('o').on(CTL).help("one line for each record"),
    opt("quiet").short('Q').on(CTL).help("no messages but errors"),
    opt("sibling").on(CTL).ignored(ONE_CLUSTER),
    opt("uid")
        .short('u')
        .value("uid")
        .on(CTL)
        .refused("changes are made as the user who asks for them", "sudo -u USER scontrol ..."),
    opt("verbose").short('v').on(CTL).help("say more"),
    opt("yaml")
        .maybe("version")
        .on(CTL)
        .help("print YAML: show job, node, partition or step;\n=list names the versions of its shape"),
];

pub static SQUALL: &[Section] = &[Section { title: "Help options", rows: help_rows!(&[Squall], Some('h')) }];
