//! Every command of Squall: `sbatch`, `squeue`, `srun` and the rest are names of one binary.
#![forbid(unsafe_code)]

pub mod command;
pub mod controller;
pub mod dispatch;
pub mod failure;
pub mod invocation;
pub mod moment;
pub mod options;
pub mod request;
mod sacct;
mod sbatch;
mod scancel;
pub mod script;
pub mod select;
pub mod show;
mod squeue;
pub mod start;
pub mod terminal;
