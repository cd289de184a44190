//! Every command of Squall: `sbatch`, `squeue`, `srun` and the rest are names of one binary.
#![forbid(unsafe_code)]

mod allocate;
mod asked;
mod books;
pub mod command;
pub mod controller;
mod demo;
pub mod dispatch;
mod embedded;
pub mod failure;
pub mod invocation;
mod links;
pub mod moment;
pub mod options;
mod personal;
mod replay;
pub mod request;
mod sacct;
mod sacctmgr;
mod salloc;
mod sattach;
mod sbatch;
mod sbcast;
mod scancel;
mod scontrol;
pub mod script;
pub mod scrontab;
mod sdiag;
mod seff;
pub mod select;
pub mod show;
#[cfg(feature = "embed")]
mod simulate;
mod sinfo;
mod sprio;
mod squall;
mod squeue;
mod sreport;
mod srun;
mod sshare;
mod sstat;
pub mod start;
mod strigger;
mod submission;
pub mod terminal;
mod trace;
mod visit;
