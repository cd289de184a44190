//! What a job is: its name, who pays, when it may start and end, and what happens beside it.

use super::{ALLOCATES, Opt, RUNS, SALLOC, SBATCH, WAITS, opt};
use crate::command::Command::{Salloc, Sbatch, Srun};

pub static ROWS: &[Opt] = &[
    opt("array").short('a').value("indexes").on(SBATCH).env("ARRAY_INX").help("job array index values"),
    opt("account").short('A').value("name").on(ALLOCATES).env("ACCOUNT").help("charge job to specified account"),
    opt("begin").short('b').value("time").on(ALLOCATES).help("defer job until HH:MM MM/DD/YY"),
    opt("comment").value("text").on(ALLOCATES).help("arbitrary comment"),
    opt("deadline").value("time").on(ALLOCATES).help("remove the job if it cannot end before this time"),
    opt("dependency")
        .short('d')
        .value("type:jobid[:time]")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_DEPENDENCY")])
        .help("defer job until condition on jobid is satisfied"),
    opt("hold").short('H').on(ALLOCATES).help("submit job in held state"),
    opt("job-name").short('J').value("jobname").on(ALLOCATES).env("JOB_NAME").help("name of job"),
    opt("kill-on-invalid-dep").value("yes|no").on(SBATCH).help("end the job if its dependency can never be satisfied"),
    opt("mail-type").value("type").on(ALLOCATES).help("notify on state change: BEGIN, END, FAIL or ALL"),
    opt("mail-user").value("user").on(ALLOCATES).help("who is notified of state changes"),
    opt("nice").maybe("value").on(ALLOCATES).help("decrease scheduling priority by value"),
    opt("no-kill").short('k').maybe("off").on(ALLOCATES).env("NO_KILL").help("do not kill job on node failure"),
    opt("no-requeue").on(SBATCH).env("NO_REQUEUE").help("if set, do not permit the job to be requeued"),
    opt("partition").short('p').value("partition").on(ALLOCATES).env("PARTITION").help("partition requested"),
    opt("priority").value("value").on(ALLOCATES).help("set the priority of the job to value"),
    opt("qos").short('q').value("qos").on(ALLOCATES).env("QOS").help("quality of service"),
    opt("requeue").on(SBATCH).env("REQUEUE").help("if set, permit the job to be requeued"),
    opt("signal")
        .value("[B:]sig[@time]")
        .on(ALLOCATES)
        .env("SIGNAL")
        .help("send signal when time limit within time seconds"),
    opt("time").short('t').value("minutes").on(ALLOCATES).env("TIMELIMIT").help("time limit"),
    opt("wckey").value("wckey").on(ALLOCATES).env("WCKEY").help("wckey to run job under"),
];

pub static MONEY: &[Opt] = &[
    opt("max-cost")
        .value("usd")
        .on(ALLOCATES)
        .env_named(&[(Sbatch, "SQUALL_MAX_COST"), (Srun, "SQUALL_MAX_COST"), (Salloc, "SQUALL_MAX_COST")])
        .help("buy nothing that could cost more over the time limit"),
    opt("max-price")
        .value("usd/h")
        .on(ALLOCATES)
        .env_named(&[(Sbatch, "SQUALL_MAX_PRICE"), (Srun, "SQUALL_MAX_PRICE"), (Salloc, "SQUALL_MAX_PRICE")])
        .help("use no node that costs more an hour"),
    opt("spot")
        .on(ALLOCATES)
        .env_named(&[(Sbatch, "SQUALL_SPOT"), (Srun, "SQUALL_SPOT"), (Salloc, "SQUALL_SPOT")])
        .help("capacity that can be taken away may be used"),
];

pub static OTHER: &[Opt] = &[
    opt("bell").on(SALLOC).env("BELL").help("ring the terminal bell when the job is allocated"),
    opt("no-bell").on(SALLOC).env("NO_BELL").help("do NOT ring the terminal bell"),
    opt("clusters")
        .short('M')
        .value("names")
        .on(ALLOCATES)
        .env_named(&[
            (Sbatch, "SBATCH_CLUSTERS"),
            (Sbatch, "SLURM_CLUSTERS"),
            (Srun, "SLURM_CLUSTERS"),
            (Salloc, "SALLOC_CLUSTERS"),
            (Salloc, "SLURM_CLUSTERS"),
        ])
        .help("the cluster to submit to: this one's name, or \"all\""),
    opt("immediate")
        .short('I')
        .maybe("secs")
        .on(WAITS)
        .env("IMMEDIATE")
        .help("exit if resources not available in \"secs\""),
    opt("kill-command").short('K').maybe("signal").on(SALLOC).env("KILL_CMD").help("signal to send terminating job"),
    opt("no-shell").on(SALLOC).help("allocate, and exit without running a command"),
    opt("parsable")
        .on(SBATCH)
        .help("outputs only the jobid and cluster name (if -M was used),\nseparated by semicolon"),
    opt("quiet").short('Q').on(ALLOCATES).help("quiet mode (suppress informational messages)"),
    opt("test-only").on(RUNS).help("say when and where the job would start, submit nothing"),
    opt("verbose").short('v').on(ALLOCATES).env("DEBUG").help("verbose mode (multiple -v's increase verbosity)"),
    opt("wait").short('W').on(SBATCH).env("WAIT").help("wait for completion of submitted job"),
    opt("wrap").value("command string").on(SBATCH).help("wrap command string in a sh script and submit"),
    opt("help").short('h').on(ALLOCATES).help("show this help message"),
    opt("usage").on(ALLOCATES).help("display brief usage message"),
    opt("version").short('V').on(ALLOCATES).help("output version information and exit"),
];
