//! Every command of Squall: `sbatch`, `squeue`, `srun` and the rest are names of one binary.
#![forbid(unsafe_code)]

mod allocate;
mod asked;
#[cfg(feature = "embed")]
mod books;
pub mod command;
mod components;
pub mod controller;
#[cfg(feature = "embed")]
mod demo;
pub mod dispatch;
mod embedded;
pub mod failure;
mod inside;
pub mod invocation;
mod links;
pub mod moment;
pub mod options;
mod people;
#[cfg(feature = "embed")]
mod personal;
#[cfg(feature = "embed")]
mod replay;
pub mod request;
mod sacct;
pub mod sacctmgr;
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
#[cfg(feature = "embed")]
mod trace;
mod visit;
