//! Commands as people and programs see them: transcripts against a controller with canned answers.

mod canned;
mod refusals;
mod sample;
mod sbatch;
mod scancel;
mod squeue;
mod transcript;
