//! One binary, many names: which command an invocation means.

use std::fmt;

/// A command of Slurm's, or `squall` itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Command {
    Sbatch,
    Srun,
    Salloc,
    Squeue,
    Sinfo,
    Scancel,
    Sacct,
    Scontrol,
    Sacctmgr,
    Sreport,
    Sshare,
    Sprio,
    Sdiag,
    Seff,
    Sattach,
    Sbcast,
    Sstat,
    Strigger,
    Scrontab,
    Squall,
}

impl Command {
    /// All that are links to the one binary.
    pub const LINKED: [Command; 19] = [
        Command::Sbatch,
        Command::Srun,
        Command::Salloc,
        Command::Squeue,
        Command::Sinfo,
        Command::Scancel,
        Command::Sacct,
        Command::Scontrol,
        Command::Sacctmgr,
        Command::Sreport,
        Command::Sshare,
        Command::Sprio,
        Command::Sdiag,
        Command::Seff,
        Command::Sattach,
        Command::Sbcast,
        Command::Sstat,
        Command::Strigger,
        Command::Scrontab,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Command::Sbatch => "sbatch",
            Command::Srun => "srun",
            Command::Salloc => "salloc",
            Command::Squeue => "squeue",
            Command::Sinfo => "sinfo",
            Command::Scancel => "scancel",
            Command::Sacct => "sacct",
            Command::Scontrol => "scontrol",
            Command::Sacctmgr => "sacctmgr",
            Command::Sreport => "sreport",
            Command::Sshare => "sshare",
            Command::Sprio => "sprio",
            Command::Sdiag => "sdiag",
            Command::Seff => "seff",
            Command::Sattach => "sattach",
            Command::Sbcast => "sbcast",
            Command::Sstat => "sstat",
            Command::Strigger => "strigger",
            Command::Scrontab => "scrontab",
            Command::Squall => "squall",
        }
    }

    /// By the name that a link bears.
    pub fn linked(name: &str) -> Option<Command> {
        Command::LINKED.into_iter().find(|command| command.name() == name)
    }

    /// Whether options may stand after the first word that is none.
    pub const fn permutes(self) -> bool {
        !matches!(self, Command::Sbatch | Command::Srun | Command::Salloc | Command::Squall)
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
