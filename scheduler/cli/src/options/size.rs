//! How large a job is, and where it may run.

use super::{ALLOCATES, Opt, opt};
use crate::command::Command::{self, Salloc, Sbatch, Srun};

const NOT_SRUN: &[Command] = &[Sbatch, Salloc];

pub static ROWS: &[Opt] = &[
    opt("cpus-per-gpu").value("n").on(ALLOCATES).env("CPUS_PER_GPU").help("number of CPUs required per allocated GPU"),
    opt("cpus-per-task")
        .short('c')
        .value("ncpus")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SRUN_CPUS_PER_TASK"), (Srun, "SLURM_CPUS_PER_TASK")])
        .help("number of cpus required per task"),
    opt("gpus").short('G').value("n").on(ALLOCATES).env("GPUS").help("count of GPUs required for the job"),
    opt("gpus-per-node")
        .value("n")
        .on(ALLOCATES)
        .env("GPUS_PER_NODE")
        .help("number of GPUs required per allocated node"),
    opt("gpus-per-task").value("n").on(ALLOCATES).env("GPUS_PER_TASK").help("number of GPUs required per spawned task"),
    opt("gres").value("list").on(ALLOCATES).env("GRES").help("required generic resources per node"),
    opt("mem").value("MB").on(ALLOCATES).env("MEM_PER_NODE").help("amount of real memory per node"),
    opt("mem-per-cpu").value("MB").on(ALLOCATES).env("MEM_PER_CPU").help("amount of real memory per allocated cpu"),
    opt("mem-per-gpu").value("MB").on(ALLOCATES).env("MEM_PER_GPU").help("real memory required per allocated GPU"),
    opt("mincpus").value("n").on(ALLOCATES).help("minimum number of logical processors (threads)\nper node"),
    opt("nodes")
        .short('N')
        .value("N")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_JOB_NUM_NODES"), (Srun, "SLURM_NNODES")])
        .help("number of nodes on which to run (N = min[-max])"),
    opt("ntasks")
        .short('n')
        .value("ntasks")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_NTASKS"), (Srun, "SLURM_NPROCS")])
        .help("number of tasks to run"),
    opt("ntasks-per-gpu")
        .value("n")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_NTASKS_PER_GPU")])
        .help("number of tasks for each GPU"),
    opt("ntasks-per-node")
        .value("n")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_NTASKS_PER_NODE")])
        .help("number of tasks to invoke on each node"),
    opt("tasks-per-node").value("n").on(ALLOCATES).same_as("ntasks-per-node"),
    opt("tres-per-task").value("list").on(ALLOCATES).help("resources of each task: cpu=n, gres/gpu[:model]=n"),
];

pub static PLACE: &[Opt] = &[
    opt("constraint")
        .short('C')
        .value("list")
        .on(ALLOCATES)
        .env("CONSTRAINT")
        .help("features that the nodes must have"),
    opt("exclude").short('x').value("hosts...").on(ALLOCATES).help("exclude a specific list of hosts"),
    opt("exclusive").maybe("user").on(ALLOCATES).env("EXCLUSIVE").help("whole nodes, shared with no other job"),
    opt("licenses").short('L').value("names").on(ALLOCATES).help("required license, comma separated"),
    opt("nodefile").short('F').value("filename").on(NOT_SRUN).help("request the hosts that a file lists"),
    opt("nodelist").short('w').value("hosts...").on(ALLOCATES).help("request a specific list of hosts"),
    opt("prefer").value("list").on(ALLOCATES).help("features that are tried first, in place of those of --constraint"),
    opt("reservation").value("name").on(ALLOCATES).env("RESERVATION").help("allocate resources from named reservation"),
];
