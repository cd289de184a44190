//! Every limit of the controller's shell in one place. What the state and the wire limit is named there.

use std::time::Duration;

/// A configuration file.
pub const CONFIG_BYTES: u64 = 4 << 20;

/// Messages of each lane that may wait for the engine; whoever brings one more waits itself.
pub const LANE_ROOM: usize = 8_192;
/// Taken from the lanes at once, so that urgent news never waits long behind a flood.
pub const TAKEN_AT_ONCE: usize = 256;
/// Orders that wait for a slow agent; one more ends its connection, and a new one starts from the full set.
pub const ORDERS_PER_AGENT: usize = 1_024;
/// The engine is woken at least so often: a bound on what a wrong wake-up could cost.
pub const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// A provider's call that has not answered by then has an unknown outcome, whatever becomes of it.
pub const PROVIDER_PATIENCE: Duration = Duration::from_secs(120);
/// Events that accounting may be behind the log, and how long it may be where nothing more is written.
pub const ARREARS: usize = 256;
pub const ACCOUNT_AFTER: Duration = Duration::from_millis(50);
/// How often the journal is tended.
pub const TEND_EVERY: Duration = Duration::from_secs(1);
/// How often the free space of the disk is looked at.
pub const DISK_EVERY: Duration = Duration::from_secs(2);
/// How long a request may take until it is on disk; then the client is told that the outcome is not known.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(25);
/// How long a stop waits for what is under way.
pub const STOP_WITHIN: Duration = Duration::from_secs(10);

/// How long an agent may take for its first word.
pub const HELLO_WITHIN: Duration = Duration::from_secs(30);
/// News of one agent in a second; what is above waits in its connection.
pub const REPORTS_PER_SECOND: u32 = 5_000;
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
/// Submit hooks that run at once.
pub const HOOKS: usize = 16;
/// Longest answer of a submit hook, in bytes.
pub const HOOK_ANSWER: usize = 64 << 10;
/// Users that one change of accounts may name: each is looked up.
pub const NAMES_PER_CHANGE: usize = 10_000;
/// How often agents of local nodes are looked after.
pub const REVIVE_EVERY: Duration = Duration::from_secs(1);
/// Longest pause before a local agent that keeps dying is started again.
pub const REVIVE_PAUSE: Duration = Duration::from_secs(30);

/// Jobs whose traces are open at the same time; further ones have none.
pub const TRACED_JOBS: usize = 200_000;
