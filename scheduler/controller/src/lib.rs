//! The controller: tokio, RPC, TLS, telemetry and provisioners around the engine.
//!
//! The engine decides; this crate reads clocks, disks and sockets for it. One thread owns the engine. Everything that
//! happens reaches it through bounded queues, and nothing that it decides leaves before it is on disk.
#![forbid(unsafe_code)]

pub mod identity;
pub mod limits;
pub mod settings;
pub mod shell;
