//! What agents and the controller say to each other.

use crate::pb;
use crate::wire::{Wire, WireError, choice, message, put, take, words};
use squall_types::agent::*;
use squall_types::{Run, StepId};

message! {
    JoinRequest { join_as: required, secret, csr_pem, instance, hostname, boot_id, agent_version }
    JoinReply { chain_pem, ca_pem, name, credential_key, heartbeat }
    MeasuredNode { shape: required, hostname, address, agent_version, boot_id, os, clock_skew }
    StepEnd { run: required, step, exit: required, started_at, ended_at, usage: required }
    PeerNode { name, address, cpus, tasks, gpus, switches }
    ArrayPlace { array, index, first, last, step, count }
    AssignmentDetail {
        spec: required, nodes, rank, time_limit, array, restarts, partition, cluster, kill_wait, components,
    }
    Component { job, spec: required, nodes, partition }
    Assignment { run: required, allocation: required, phase: required, detail: required, credential }
}

words! {
    StopWhy { Cancelled, TimeLimit, Requeued, NodeFailed, Preempted, Ended, BudgetExhausted }
}

choice! {
    JoinAs in join_as::Joiner (joiner) {
        units {}
        values { Order, StaticNode, LoginHost }
        records {}
    }
}

choice! {
    AttemptState in attempt_state::State (state) {
        units { Prepared }
        values { Ended }
        records { Running as AttemptRunning { since } }
    }
}

choice! {
    AssignedPhase in assigned_phase::Phase (phase) {
        units { Prepare }
        values {}
        records {
            Run as PhaseRun { started_at, suspended },
            Stop as PhaseStop { why, grace },
        }
    }
}

choice! {
    AgentReport in agent_report::Report (report) {
        units { Heartbeat }
        values { Step }
        records {
            Hello as Hello { epoch, generation, measured: required, attempts, steps },
            Attempt as AttemptNews { run: required, state: required },
            Health as HealthNews { fault },
        }
    }
}

choice! {
    AgentOrder in agent_order::Order (order) {
        units { Retire }
        values {}
        records {
            FullSet as FullSet { epoch, generation, assignments, die_at, keep_unknown },
            Delta as Delta { epoch, generation, changed, removed, die_at },
            Acknowledged as Acknowledged { runs, steps },
            Signal as SignalOrder { run: required, target: required, signal },
            Refused as RefusedOrder { why },
        }
    }
}

impl Wire for (Run, AttemptState) {
    type Pb = pb::AttemptNews;
    fn to_pb(self) -> Self::Pb {
        pb::AttemptNews { run: put!(self.0, required), state: put!(self.1, required) }
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        Ok((take!(pb.run, "run", required), take!(pb.state, "state", required)))
    }
}

impl Wire for (Run, StepId) {
    type Pb = pb::StepOf;
    fn to_pb(self) -> Self::Pb {
        pb::StepOf { run: put!(self.0, required), step: put!(self.1) }
    }
    fn from_pb(pb: Self::Pb) -> Result<Self, WireError> {
        Ok((take!(pb.run, "run", required), take!(pb.step, "step")))
    }
}
