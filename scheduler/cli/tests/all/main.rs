//! Commands as people and programs see them: transcripts against a controller with canned answers.

mod accounts;
mod agent;
mod canned;
mod flat;
mod fuzz;
mod options;
mod refusals;
mod sacct;
mod sample;
mod sbatch;
mod scancel;
mod scontrol;
mod scrontab;
mod shapes;
#[cfg(feature = "embed")]
mod simulate;
mod sinfo;
mod site;
mod squall;
mod squeue;
mod srun;
mod transcript;
mod visits;
