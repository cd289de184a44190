//! The controller: tokio, RPC, TLS, telemetry and provisioners around the engine.
//!
//! The engine decides; this crate reads clocks, disks and sockets for it. One thread owns the engine. Everything that
//! happens reaches it through bounded queues, and nothing that it decides leaves before it is on disk.
//!
//! - [`settings`]: the configuration, from a file and the environment.
//! - [`identity`]: the cluster's CA, join secrets, credentials.
//! - [`shell`]: the threads around engine and journal.
//! - [`rpc`]: what clients and agents ask.
//! - [`pools`]: who sells machines. [`reload`]: a new configuration while it runs.
//! - [`metrics`]: Prometheus, from the published state.
//! - [`telemetry`]: logs and the traces of jobs. [`mail`]: what becomes of jobs, by a mail program.
//! - [`run`]: one controller from start to stop. [`program`]: the command line.
#![forbid(unsafe_code)]

pub mod identity;
pub mod limits;
pub mod mail;
pub mod meters;
pub mod metrics;
mod pace;
pub mod pools;
pub mod program;
pub mod reload;
pub mod rpc;
pub mod run;
pub mod settings;
pub mod shell;
pub mod telemetry;

pub use program::main_with_args;
