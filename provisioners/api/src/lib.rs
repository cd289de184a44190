//! How machines are bought and given back: four idempotent verbs, a closed set of errors, the
//! decorators that every provisioner is wrapped in, and the suite that every provisioner passes.
//!
//! Nothing here knows a cloud. A provisioner depends on this crate and on `squall-types`, and on
//! nothing else of ours. With the feature `bridge` a provisioner can be a process of its own, with `supervise` such
//! processes are kept up.
#![forbid(unsafe_code)]

#[cfg(feature = "bridge")]
pub mod bridge;
pub mod clock;
pub mod conformance;
mod error;
pub mod metering;
mod provisioner;
pub mod rate_limit;
#[cfg(feature = "supervise")]
pub mod supervise;
mod time_limit;
mod verb;

pub use clock::{Clock, ProcessClock};
pub use error::{BoxError, ProvisionError};
pub use metering::{Meter, Metered};
pub use provisioner::Provisioner;
pub use rate_limit::{Rate, RateLimited, Rates};
pub use squall_types::Capabilities;
pub use time_limit::{TimeLimited, TimeLimits, TimedOut};
pub use verb::Verb;
