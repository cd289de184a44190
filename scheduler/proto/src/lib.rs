//! The only protobuf in the house: services, conversions, and adaptors in plain values.
//!
//! - [`server`]: traits in plain values, and the gRPC services that wrap an implementation of one.
//! - [`client`], [`node_client`], [`step_client`], [`provisioner_client`]: their counterparts.
//! - [`connect`]: where a server is and how it is recognised.
//! - [`credential`]: what the controller signs for jobs and steps.
//! - [`limits`]: every limit of the wire.
#![forbid(unsafe_code)]

mod carrier;
mod channel;
pub mod client;
mod codec;
pub mod connect;
mod convert;
pub mod credential;
mod failure;
pub mod limits;
mod link;
pub mod node_client;
mod page;
pub mod provisioner_client;
#[cfg(test)]
mod sample;
pub mod server;
pub mod step_client;
#[cfg(test)]
mod tests;
mod trust;
mod version;
mod wire;

pub use failure::ClientError;
pub use page::{Pages, gather};
pub use version::{VERSION, compatible};
pub use wire::{Problem, WireError};

/// Generated from `proto/`. Private: nothing outside this crate handles protobuf types.
#[allow(clippy::all, dead_code, reason = "generated code")]
mod pb {
    tonic::include_proto!("squall.v1");
}
