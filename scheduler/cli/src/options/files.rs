//! Where a job's input and output lead, and what surrounds it.

use super::{ALLOCATES, Opt, RUNS, SBATCH, SRUN, opt};
use crate::command::Command::{self, Salloc, Sbatch, Srun};

const NOT_SRUN: &[Command] = &[Sbatch, Salloc];

pub static ROWS: &[Opt] = &[
    opt("chdir")
        .short('D')
        .value("directory")
        .on(ALLOCATES)
        .env_named(&[(Srun, "SLURM_REMOTE_CWD"), (Srun, "SLURM_WORKING_DIR")])
        .help("set working directory"),
    opt("error")
        .short('e')
        .value("err")
        .on(RUNS)
        .env_named(&[(Sbatch, "SBATCH_ERROR"), (Srun, "SLURM_STDERRMODE")])
        .help("file for standard error"),
    opt("export")
        .value("names")
        .on(RUNS)
        .env_named(&[(Sbatch, "SBATCH_EXPORT"), (Srun, "SRUN_EXPORT_ENV"), (Srun, "SLURM_EXPORT_ENV")])
        .help("environment variables that the job sees:\nALL, NONE, NIL, or [ALL,]NAME[=value],..."),
    opt("export-file")
        .value("file|fd")
        .on(SBATCH)
        .help("environment as NAME=value strings, each ended by NUL,\nfrom a file or file descriptor"),
    opt("get-user-env")
        .maybe("timeout[mode]")
        .on(NOT_SRUN)
        .env("GET_USER_ENV")
        .help("load environment as a login shell has it"),
    opt("input")
        .short('i')
        .value("in")
        .on(RUNS)
        .env_named(&[(Sbatch, "SBATCH_INPUT"), (Srun, "SLURM_STDINMODE")])
        .help("file for standard input"),
    opt("open-mode").value("append|truncate").on(RUNS).env("OPEN_MODE").help("how output files are opened"),
    opt("output")
        .short('o')
        .value("out")
        .on(RUNS)
        .env_named(&[(Sbatch, "SBATCH_OUTPUT"), (Srun, "SLURM_STDOUTMODE")])
        .help("file for standard output"),
    opt("label").short('l').on(SRUN).env("LABELIO").help("prepend task number to lines of stdout/err"),
    opt("unbuffered").short('u').on(SRUN).env("UNBUFFEREDIO").help("do not line-buffer stdout/err"),
];
