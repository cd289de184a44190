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
mod sinfo;
mod squall;
mod squeue;
mod srun;
mod transcript;
