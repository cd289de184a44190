//! Options that are accepted and change nothing: hints about hardware and daemons that a job runs as well without.

use super::{ALLOCATES, Opt, RUNS, SBATCH, SRUN, opt};
use crate::command::Command::{self, Salloc, Sbatch, Srun};

const NOT_SRUN: &[Command] = &[Sbatch, Salloc];

const LAYOUT: &str = "sockets, cores and threads are not laid out: tasks get the CPUs that they ask for";
const BINDING: &str = "tasks are not bound to parts of their node";
const FREQUENCY: &str = "clock frequencies are left as they are";
const SAMPLING: &str = "usage is measured in totals, not sampled";
const NETWORK: &str = "the network needs no setting up";
const SPREAD: &str = "the planner places jobs where they start soonest and cost least";
const LIMITS: &str = "jobs have the resource limits of their node's agent";
const BCAST: &str = "no shared objects are sent along that could be left out";

pub static ROWS: &[Opt] = &[
    opt("acctg-freq").value("list").on(ALLOCATES).env("ACCTG_FREQ").ignored(SAMPLING),
    opt("bcast-exclude").value("paths").on(SRUN).env("BCAST_EXCLUDE").ignored(BCAST),
    opt("compress").maybe("library").on(SRUN).env("COMPRESS").ignored("a program that is copied travels as it is"),
    opt("contiguous").on(ALLOCATES).ignored("node numbers say nothing about where nodes are"),
    opt("core-spec").short('S').value("cores").on(ALLOCATES).env("CORE_SPEC").ignored(LAYOUT),
    opt("cores-per-socket").value("C").on(ALLOCATES).ignored(LAYOUT),
    opt("cpu-bind").value("type").on(SRUN).env("CPU_BIND").ignored(BINDING),
    opt("cpu-freq")
        .value("min[-max[:gov]]")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_CPU_FREQ_REQ")])
        .ignored(FREQUENCY),
    opt("delay-boot").value("mins").on(ALLOCATES).env("DELAY_BOOT").ignored("booting is the planner's decision"),
    opt("exact").on(SRUN).env("EXACT").ignored("steps share what their job has"),
    opt("extra").value("text").on(ALLOCATES).ignored("nothing reads it"),
    opt("extra-node-info").short('B').value("S[:C[:T]]").on(ALLOCATES).ignored(LAYOUT),
    opt("gpu-bind").value("type").on(ALLOCATES).env("GPU_BIND").ignored("each task sees the GPUs that it was given"),
    opt("gpu-freq").value("type").on(ALLOCATES).env("GPU_FREQ").ignored(FREQUENCY),
    opt("gres-flags").value("opts").on(ALLOCATES).env("GRES_FLAGS").ignored(BINDING),
    opt("hint").value("type").on(ALLOCATES).env("HINT").ignored(LAYOUT),
    opt("ignore-pbs").on(SBATCH).env("IGNORE_PBS").ignored("directives of other batch systems are never read"),
    opt("interactive").on(SRUN).ignored("every step can be interactive"),
    opt("mcs-label").value("mcs").on(ALLOCATES).ignored("users never share a node's data through labels"),
    opt("mem-bind").value("type").on(ALLOCATES).env("MEM_BIND").ignored(BINDING),
    opt("mpi")
        .value("type")
        .on(SRUN)
        .env("MPI_TYPE")
        .ignored("ranks find each other by the environment; PMI is not served"),
    opt("msg-timeout").value("sec").on(SRUN).ignored("messages have time limits of their own"),
    opt("network").value("type").on(ALLOCATES).env("NETWORK").ignored(NETWORK),
    opt("ntasks-per-core").value("n").on(ALLOCATES).env_named(&[(Srun, "SLURM_NTASKS_PER_CORE")]).ignored(LAYOUT),
    opt("ntasks-per-socket").value("n").on(ALLOCATES).env_named(&[(Srun, "SLURM_NTASKS_PER_SOCKET")]).ignored(LAYOUT),
    opt("oom-kill-step").maybe("0|1").on(ALLOCATES).ignored("a job out of memory ends as a whole"),
    opt("overcommit").short('O').on(ALLOCATES).env("OVERCOMMIT").ignored("each task keeps the CPUs that it asked for"),
    opt("oversubscribe").short('s').on(ALLOCATES).ignored("resources are given to one job at a time"),
    opt("share").on(ALLOCATES).same_as("oversubscribe"),
    opt("power").value("flags").on(ALLOCATES).env("POWER").ignored(FREQUENCY),
    opt("preserve-env").short('E').on(SRUN).ignored("what is typed always counts for more than the environment"),
    opt("profile").value("value").on(ALLOCATES).env("PROFILE").ignored(SAMPLING),
    opt("propagate").maybe("rlimits").on(RUNS).env("PROPAGATE").ignored(LIMITS),
    opt("resv-ports").maybe("count").on(ALLOCATES).env("RESV_PORTS").ignored(NETWORK),
    opt("segment").value("n").on(ALLOCATES).ignored(SPREAD),
    opt("slurmd-debug")
        .value("level")
        .on(SRUN)
        .env_named(&[(Srun, "SLURMD_DEBUG")])
        .ignored("agents log as they are configured"),
    opt("sockets-per-node").value("S").on(ALLOCATES).ignored(LAYOUT),
    opt("spread-job").on(ALLOCATES).env("SPREAD_JOB").ignored(SPREAD),
    opt("stepmgr").on(ALLOCATES).ignored("steps are always managed by the controller"),
    opt("switches")
        .value("max{@time}")
        .on(ALLOCATES)
        .env("REQ_SWITCH")
        .ignored("after its time to wait Slurm, too, ignores it"),
    opt("thread-spec").value("threads").on(ALLOCATES).env("THREAD_SPEC").ignored(LAYOUT),
    opt("threads").short('T').value("threads").on(SRUN).env("THREADS").ignored("all nodes are reached at once"),
    opt("threads-per-core").value("T").on(ALLOCATES).env("THREADS_PER_CORE").ignored(LAYOUT),
    opt("time-min").value("minutes").on(ALLOCATES).ignored("the job gets its whole time limit"),
    opt("tres-bind").value("type").on(ALLOCATES).ignored(BINDING),
    opt("use-min-nodes").on(ALLOCATES).env("USE_MIN_NODES").ignored(SPREAD),
    opt("wait-all-nodes")
        .value("0|1")
        .on(NOT_SRUN)
        .env("WAIT_ALL_NODES")
        .ignored("a job always waits for all of its nodes"),
];
