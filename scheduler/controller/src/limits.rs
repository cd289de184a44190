//! Every limit of the controller's shell in one place. What the state and the wire limit is named there.

use std::time::Duration;

/// A configuration file.
pub const CONFIG_BYTES: u64 = 4 << 20;

/// News of agents, answers of providers and cancels that wait for the engine.
pub const URGENT_QUEUE: usize = 4_096;
/// Other requests that wait for the engine; above it a client is told to come again.
pub const REQUEST_QUEUE: usize = 16_384;
/// Urgent inputs in a row while a request waits.
pub const URGENT_IN_A_ROW: u32 = 64;
/// Orders that wait for one agent's connection; an agent that is slower is cut off and connects anew.
pub const ORDERS_PER_AGENT: usize = 1_024;
/// Committed batches that wait for telemetry; more are left out of it.
pub const OBSERVED_BATCHES: usize = 1_024;
/// How long a request may take until it is on disk; then the client is told that the outcome is not known.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// How often the journal is tended and the disk measured.
pub const TEND_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits for what is under way.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How fast the cluster's clock follows the wall clock: parts per thousand.
pub const SLEW_PER_MILLE: i64 = 50;

/// How long an agent may take for its first word.
pub const HELLO_WITHIN: Duration = Duration::from_secs(30);
/// How long a join waits for the provider's answer about its order.
pub const JOIN_WAITS: Duration = Duration::from_secs(15);
/// Joins and renewals at once.
pub const JOINS: usize = 64;
/// Queries at once that walk the state or the accounting.
pub const QUERIES: usize = 32;
/// Jobs, nodes or results in one part of a streamed answer.
pub const CHUNK: usize = 500;
/// Parts that wait for a slow reader …
pub const CHUNKS_AHEAD: usize = 4;
/// … who is given up after so long without taking one.
pub const SLOW_READER: Duration = Duration::from_secs(30);
/// Users whose request rate is remembered.
pub const METERED_USERS: usize = 100_000;
/// Users' names that are remembered, and for how long.
pub const NAMED_USERS: usize = 10_000;
pub const NAMED_FOR: Duration = Duration::from_secs(300);
/// Nodes that one command may name.
pub const NODES_PER_COMMAND: usize = 10_000;
/// Jobs whose traces are open at the same time; further ones have none.
pub const TRACED_JOBS: usize = 200_000;

/// How long a provider's call may take before its outcome counts as unknown.
pub const LAUNCH_WITHIN_SECS: i64 = 120;
/// How often agents of local nodes are looked after.
pub const REVIVE_EVERY: Duration = Duration::from_secs(1);
/// Longest pause before a local agent that keeps dying is started again.
pub const REVIVE_PAUSE: Duration = Duration::from_secs(30);
