//! What concerns the steps that `srun` starts, and hints that steps inherit from their job.

use super::{ALLOCATES, Opt, SRUN, opt};

pub static ROWS: &[Opt] = &[
    opt("bcast").maybe("dest_path").on(SRUN).env("BCAST").help(
        "copy the program to the nodes of the step first, to this\npath, or into this folder where it ends with /",
    ),
    opt("disable-status").short('X').on(SRUN).env("DISABLE_STATUS").help("Disable Ctrl-C status feature"),
    opt("distribution")
        .short('m')
        .value("type")
        .on(ALLOCATES)
        .env("DISTRIBUTION")
        .help("distribution method for processes to nodes\n(type = block|cyclic)"),
    opt("epilog").value("program").on(SRUN).env("EPILOG").help("run \"program\" here after the job step"),
    opt("het-group")
        .value("value")
        .on(SRUN)
        .help("components of a heterogeneous job to run in,\nas numbers and ranges; the default is the first"),
    opt("jobid").value("id").on(SRUN).env("JOB_ID").help("run under already allocated job"),
    opt("kill-on-bad-exit")
        .short('K')
        .maybe("0|1")
        .on(SRUN)
        .env("KILL_BAD_EXIT")
        .help("kill the step if any task terminates with a\nnon-zero exit code"),
    opt("overlap").on(SRUN).env("OVERLAP").help("allow other steps to overlap this step"),
    opt("prolog").value("program").on(SRUN).env("PROLOG").help("run \"program\" here before the job step"),
    opt("pty").on(SRUN).help("run task zero in pseudo terminal"),
    opt("quit-on-interrupt").on(SRUN).help("quit on single Ctrl-C"),
    opt("relative").short('r').value("n").on(SRUN).help("run job step relative to node n of allocation"),
    opt("wait")
        .short('W')
        .value("sec")
        .on(SRUN)
        .env("WAIT")
        .help("seconds to wait after first task exits\nbefore killing job"),
];
