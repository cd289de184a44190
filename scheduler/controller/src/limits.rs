//! Every limit of the controller's shell in one place. What the state and the wire limit is named there.

/// A configuration file.
pub const CONFIG_BYTES: u64 = 4 << 20;
/// A script or an environment: what the wire carries.
pub const BLOB_BYTES: usize = 4 << 20;
