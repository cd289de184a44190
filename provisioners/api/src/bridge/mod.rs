//! A provisioner in a process of its own, reached over a Unix socket.
//!
//! The controller starts and supervises the process; that one alone holds the cloud's credentials, and when it crashes,
//! hangs or is replaced, the controller sees calls whose outcome is unknown and repeats them.

mod client;
mod server;

pub use client::{Bridged, ConnectError};
pub use server::{ServeError, serve};
