//! What a provisioner's program is told when it is started. The whole contract stands in `provisioner.proto`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use squall_types::{Offer, PoolName};
use std::path::PathBuf;

/// The edition of the contract that this build keeps.
pub const CONTRACT: u32 = 1;
/// The oldest edition that a provisioner may keep.
pub const OLDEST_CONTRACT: u32 = 1;

/// The variable in the environment of everything that a supervisor started: its value is the program's folder.
pub const MARK: &str = "SQUALL_PROVISIONER";

/// The first line on a program's standard input is longer by no means.
pub const MAX_START_BYTES: u64 = 16 << 20;

/// The first line on a program's standard input, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Start {
    /// The newest edition of the contract that the controller keeps.
    pub contract: u32,
    /// Where to serve.
    pub socket: PathBuf,
    /// The cluster's name.
    pub cluster: String,
    pub pool: PoolName,
    /// What the configuration lets the pool buy.
    pub offers: Vec<Offer>,
    /// The pool's own settings of the program, as they stand in the configuration.
    pub settings: Map<String, Value>,
}

/// A program as it introduces itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub program: String,
    pub version: String,
}

impl About {
    pub fn new(program: impl Into<String>, version: impl Into<String>) -> About {
        About { program: program.into(), version: version.into() }
    }
}
