//! The fault simulator: the real engine, the agent's real duties and a simulated cloud on virtual time, from one seed.
//!
//! A [`Scenario`](scenario::Scenario) is drawn from the seed: a cluster, its users' work, and everything that goes
//! wrong. The world plays it: a controller whose journal loses what was not synced, agents that are killed between any
//! two things that they do, connections that break one way, clouds that lose replies. What must hold is judged by an
//! oracle that believes nobody: it folds the durable events by rules of its own, counts executions where they happen,
//! remembers what clients were told, and reads the cloud's own bill. After the healing everything has to end.
//!
//! One seed gives one history: the same hash every time.
#![forbid(unsafe_code)]

mod agent;
pub mod canaries;
mod chaos;
pub mod cli;
mod controller;
mod describe;
mod dice;
mod disk;
mod durable;
mod ending;
mod execution;
mod happening;
mod machine;
mod network;
mod oracle;
mod people;
mod points;
pub mod report;
mod rpc;
mod run;
pub mod scenario;
mod site;
mod tally;
mod trace;
pub mod whatif;
mod world;

pub use run::{Outcome, run, run_with_trace};
pub use tally::{Fault, Tally};
