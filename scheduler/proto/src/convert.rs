//! The conversions, one file for each `.proto` file, and the envelopes around arguments.

mod accounts;
mod client;
pub(crate) mod envelope;
mod node;
pub(crate) mod provisioner;
mod spec;
mod step;
mod values;
