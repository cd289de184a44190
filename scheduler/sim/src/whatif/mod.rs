//! What if: the jobs of a trace under one configuration, on the real engine, virtual time and a simulated cloud that
//! does what it is asked. No faults, no chance but how long machines boot; the same inputs give the same outcome.
//!
//! [`simulate`] plays the engine. [`baseline`] plays the classics (FIFO, EASY, shortest job first) on machines that
//! are always on. Both end in an [`Outcome`], whose figures are measured where jobs execute and where machines are
//! billed, not in the engine's own records.

mod agent;
mod asks;
mod baseline;
mod bounds;
mod cloud;
mod figures;
mod fleet;
mod fragments;
mod limits;
mod meter;
mod shadow;
mod work;
mod world;

pub use baseline::{Discipline, baseline};
pub use bounds::Bounds;
pub use figures::{Effort, Ends, Fragmentation, GpuTime, Nodes, Outcome, Slowdown, Spread};
pub use fleet::{Fleet, Template};
pub use limits::LimitModel;
pub use meter::{Gauge, Series};
pub use squall_core::ClusterConfig;
pub use work::{Demand, Progress, Setup, Work};
pub use world::simulate;

#[cfg(test)]
mod tests;
