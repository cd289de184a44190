//! Options that cannot be kept: running on as if they had not been given would run something else.

use super::{ALLOCATES, Opt, RUNS, SBATCH, SRUN, opt};

const BUFFER: &str = "there are no burst buffers: data would not be where the job looks for it";
const CONTAINER: &str = "jobs run on the node itself: the program would see another file system";
const TASKS: &str = "nothing is run around single tasks";

pub static ROWS: &[Opt] = &[
    opt("batch").value("list").on(SBATCH).env("BATCH").refused(
        "the script runs on the job's first node, which cannot be chosen by feature",
        "--constraint for all nodes of the job",
    ),
    opt("bb").value("spec").on(ALLOCATES).refused(BUFFER, "copying the data in the script"),
    opt("bbf").value("file_name").on(ALLOCATES).refused(BUFFER, "copying the data in the script"),
    opt("cluster-constraint")
        .value("list")
        .on(ALLOCATES)
        .refused("there is one cluster, and it has no features of its own", "--constraint"),
    opt("container")
        .value("path")
        .on(ALLOCATES)
        .env("CONTAINER")
        .refused(CONTAINER, "starting the container in the script (apptainer, podman, enroot)"),
    opt("container-id").value("id").on(ALLOCATES).refused(CONTAINER, "starting the container in the script"),
    opt("external-launcher").on(SRUN).refused("a step has tasks of its own", "srun with the program to run"),
    opt("gid").value("group_id").on(ALLOCATES).refused(
        "a job runs with the groups of the user who submits it",
        "submitting under that group: sg GROUP -c 'sbatch ...'",
    ),
    opt("gpus-per-socket")
        .value("n")
        .on(ALLOCATES)
        .refused("GPUs are counted by node, task or job, not by socket", "--gpus-per-node"),
    opt("multi-prog").on(SRUN).refused("all tasks of a step run one program", "a script that chooses by $SLURM_PROCID"),
    opt("no-allocate").short('Z').on(SRUN).refused("nothing runs outside a job", "srun without -Z"),
    opt("reboot").on(ALLOCATES).refused("nodes are not rebooted for a job", ""),
    opt("send-libs").maybe("yes|no").on(SRUN).env("SEND_LIBS").refused(
        "shared objects are not sent along: the program would find the node's own",
        "srun without it, and sbcast for each of them",
    ),
    opt("task-epilog").value("program").on(SRUN).env("TASK_EPILOG").refused(TASKS, "a script around the program"),
    opt("task-prolog").value("program").on(SRUN).env("TASK_PROLOG").refused(TASKS, "a script around the program"),
    opt("tmp").value("MB").on(ALLOCATES).refused(
        "the size of nodes' temporary disks is not known, so it cannot be promised",
        "--constraint with a feature that the site gives such nodes",
    ),
    opt("uid")
        .value("user_id")
        .on(ALLOCATES)
        .refused("a job belongs to the user who submits it", "submitting as that user"),
    opt("x11").maybe("all|first").on(RUNS).refused("displays are not forwarded", "ssh -X to a login host"),
];
