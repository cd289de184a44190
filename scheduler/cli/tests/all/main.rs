//! Commands as people and programs see them: transcripts against a controller with canned answers.

mod agent;
mod canned;
mod options;
mod refusals;
mod sacct;
mod sample;
mod sbatch;
mod scancel;
mod scontrol;
#[cfg(feature = "embed")]
mod simulate;
mod sinfo;
mod squall;
mod squeue;
mod srun;
mod transcript;
