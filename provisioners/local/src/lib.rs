//! Nodes are agent processes on this machine: for a personal cluster, for the demo, and for end-to-end tests.
//!
//! An instance is a folder under the root, made before its agent is started, and everything is found again from
//! disk: the controller may be killed at any moment, and a repeated launch meets the same instances.
//!
//! ```text
//! ROOT/identity                what makes instance ids of two roots differ
//! ROOT/lock                    held by whoever changes something
//! ROOT/orders/KEY.json         an order, its instances, and which of them have ended
//! ROOT/orders/closed/KEY.json  the same once all have, kept as long as a token lives
//! ROOT/nodes/ID/instance.json  what an agent is started with
//! ROOT/nodes/ID/shape.json     what the node is declared to have
//! ROOT/nodes/ID/join-secret    readable by its owner alone
//! ROOT/nodes/ID/agent.pid      the agent: boot id, and its line of /proc/PID/stat
//! ROOT/nodes/ID/agent.log      its output
//! ROOT/nodes/ID/state/         its own
//! ROOT/logs/NODE.log           the last output of nodes that are gone
//! ```
//!
//! # What the agent is asked to keep
//!
//! It is started, in a session of its own and with `/dev/null` as its input, as
//! `PROGRAM ARGS… run --node NAME --state-dir DIR --controller ADDR --ca-pin HEX --order N --instance ID
//! --join-secret-file FILE --shape-file FILE`, where `ADDR` is `https://host:port` or `unix:/path`.
//!
//! 1. Before anything else it takes an exclusive `flock` on `DIR/agent.lock`, keeps it as long as it lives, lets
//!    no child inherit it, and exits with 17 if it is taken.
//! 2. Everything that it starts has `SQUALL_INSTANCE=ID` in its environment, as the agent itself has: that is how
//!    the remains of an instance are found when it is retired. `SQUALL_DIE_AT_MS` is the instance's die-at.
//! 3. If it puts processes into cgroups, `DIR/cgroup` holds their folders, one a line (one for each controller under
//!    version 1), each with the instance's id as one of its components.
//! 4. When the node's life is over (its die-at, a boot that found no controller) it makes the file `DIR/powered-off`
//!    and exits. Any other end of the agent is an accident, after which it may be started again on the same folder
//!    with the same arguments ([`LocalProvisioner::revive`]) and adopts what still runs.
//! 5. `SIGTERM` ends the agent and leaves its jobs alone.

mod agent;
mod cgroup;
mod config;
mod disk;
mod ending;
mod launching;
mod listing;
mod orders;
mod process;
mod provisioner;
mod revival;
mod sys;

pub use config::{AgentCommand, LocalConfig};
pub use provisioner::{LocalProvisioner, OpenError};
pub use revival::{AgentStatus, ReviveError, Revived};
