//! Provisioners in processes of their own, over gRPC on a Unix socket. Protobuf stays inside `squall-proto`.
//!
//! [`Bridged`] is the controller's end. [`program::main`] is a whole program around any provisioner, [`serve`] its server
//! alone. Others may serve the same contract in any language: it stands in `provisioner.proto`.

mod client;
mod contract;
pub mod program;
mod server;

pub use client::{Bridged, ConnectError, is_unheard};
pub use contract::{About, CONTRACT, MARK, MAX_START_BYTES, OLDEST_CONTRACT, Start};
pub use server::{ServeError, serve};
