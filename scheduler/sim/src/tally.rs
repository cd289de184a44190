//! How often each fault fired, and in which state: a fault that never fires is a bug of the test.

use serde::Serialize;
use std::collections::BTreeMap;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal),+ $(,)?) => {
        /// What goes wrong outside the cloud, which counts its own faults.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Fault {
            $($(#[$doc])* $fault),+
        }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$fault),+];

            /// As reports spell it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name),+
                }
            }
        }
    };
}

faults! {
    KillController = "controller killed",
    PauseController = "controller paused",
    StopController = "controller stopped for long",
    Failover = "controller paused and replaced",
    RestoreBackup = "backup restored",
    ClockJump = "controller's clock behind after a restart",
    DiskLosesBatch = "unsynced batch lost",
    DiskKeepsBatch = "unsynced batch kept",
    DiskTearsBatch = "unsynced batch torn",
    DiskRefuses = "write refused",
    DiskSlow = "slow sync",
    DiskReserve = "disk below its reserve",
    SnapshotRecovery = "recovered from a snapshot",
    KillAgent = "agent killed",
    PauseAgent = "agent paused",
    AgentLosesRecords = "agent's unsynced records lost",
    AgentRecordDamaged = "agent's record damaged",
    Reboot = "node rebooted",
    PowerLoss = "node without power",
    CloneAgent = "second agent with one identity",
    AgentClock = "node's clock jumps",
    Health = "node reports a fault",
    Suspended = "job suspended",
    PrepareFails = "preparation fails",
    ShimFails = "shim fails",
    IgnoresTerm = "process ignores SIGTERM",
    Unkillable = "process does not die at once",
    CutUp = "agent cannot reach the controller",
    CutDown = "controller cannot reach the agent",
    CutBoth = "agent and controller apart",
    Reset = "connection reset",
    Replayed = "earlier order arrives again",
    Outage = "cloud out of order for long",
    RequestLost = "client's request lost",
    ReplyLost = "client's answer lost",
    ProviderReplyLost = "provider's answer to a dead controller",
    Stranger = "unknown instance appears",
    KilledByHand = "instance ended by hand",
    PriceChange = "price changes",
}

/// Counts by fault and state; faults of the cloud under their own names.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Tally {
    pub fired: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
}

impl Tally {
    pub fn count(&mut self, fault: Fault, state: &'static str) {
        self.add(fault.name(), state, 1);
    }

    pub fn add(&mut self, fault: &'static str, state: &'static str, times: u64) {
        *self.fired.entry(fault).or_default().entry(state).or_default() += times;
    }

    pub fn merge(&mut self, other: &Tally) {
        for (fault, states) in &other.fired {
            for (state, times) in states {
                self.add(fault, state, *times);
            }
        }
    }

    pub fn total(&self, fault: &str) -> u64 {
        self.fired.get(fault).map_or(0, |states| states.values().sum())
    }

    /// Everything that could have fired and did not.
    pub fn never(&self) -> Vec<&'static str> {
        let own = Fault::ALL.iter().map(|fault| fault.name());
        let cloud = squall_provisioner_sim::Fault::ALL.iter().map(|fault| fault.name());
        own.chain(cloud).filter(|name| self.total(name) == 0).collect()
    }
}
