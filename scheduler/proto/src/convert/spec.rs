//! A job as submitted.

use crate::limits::{MAX_CONSTRAINT_DEPTH, MAX_LIST};
use crate::pb::{self, constraint::Kind};
use crate::wire::{Problem, Wire, WireError, choice, message, put, take, words};
use squall_types::constraint::CountedFeature;
use squall_types::cron::CronSpec;
use squall_types::spec::ArraySpec;
use squall_types::*;

message! {
    SignalSpec { signal, before, batch_only }
    MailEvents { begin, end, fail, requeue }
    NodeCount { min, max }
    Ask { nodes, tasks, tasks_per_node, cpus: required, memory: required, gpus: required, exclusive, min_cpus }
    CountedFeature { feature, nodes }
    TargetJob { job, index }
    DependencyTerm { kind: required, target }
    Dependency { terms, any }
    ArraySpec { indices: required, limit, step }
    CronSpec { times, zone }
    JobSpec {
        name, uid, gid, user, account, partitions, qos, kind, script, environment, arguments, work_dir, stdin, stdout,
        stderr, open_mode, umask, ask: required, constraint, node_list, exclude, time_limit, begin_at, end_by, array,
        dependency: required, hold, priority, nice, requeue, signal, comment, wckey, mail: required, mail_user,
        submit_host, submit_line, allow_spot, max_price, max_cost, trace_parent, cancel_if_never, reservation,
        licenses, step_options, no_kill, wishes, command, groups, cron, prefer,
    }
}

words! {
    JobKind { Batch, Interactive }
    OpenMode { Truncate, Append }
}

choice! {
    CpuAsk in cpu_ask::Ask (ask) {
        units { Share }
        values { PerTask, PerGpu }
        records {}
    }
}

choice! {
    MemoryAsk in memory_ask::Ask (ask) {
        units { Share }
        values { PerNode, PerCpu, PerGpu }
        records {}
    }
}

choice! {
    DependencyKind in dependency_kind::Kind (kind) {
        units { AfterAny, AfterOk, AfterNotOk, AfterCorr, AfterBurstBuffer, Singleton }
        values { After }
        records {}
    }
}

impl Wire for GpuAsk {
    type Pb = pb::GpuAsk;
    fn to_pb(self) -> pb::GpuAsk {
        use pb::gpu_ask::Ask;
        let amount = |count: u32, model: Option<GpuModel>| pb::GpuAmount { count, model: model.to_pb() };
        let ask = match self {
            GpuAsk::None => Ask::None(pb::Unit {}),
            GpuAsk::PerNode(count, model) => Ask::PerNode(amount(count.into(), model)),
            GpuAsk::PerTask(count, model) => Ask::PerTask(amount(count.into(), model)),
            GpuAsk::Total(count, model) => Ask::Total(amount(count, model)),
        };
        pb::GpuAsk { ask: Some(ask) }
    }
    fn from_pb(pb: pb::GpuAsk) -> Result<Self, WireError> {
        use pb::gpu_ask::Ask;
        Ok(match pb.ask.ok_or(Problem::Missing)? {
            Ask::None(_) => GpuAsk::None,
            Ask::PerNode(of) => GpuAsk::PerNode(take!(of.count, "count"), take!(of.model, "model")),
            Ask::PerTask(of) => GpuAsk::PerTask(take!(of.count, "count"), take!(of.model, "model")),
            Ask::Total(of) => GpuAsk::Total(take!(of.count, "count"), take!(of.model, "model")),
        })
    }
}

impl Wire for Constraint {
    type Pb = pb::Constraint;
    fn to_pb(self) -> pb::Constraint {
        let list = |parts: Vec<Constraint>| pb::ConstraintList { parts: parts.to_pb() };
        let kind = match self {
            Constraint::Feature(name) => Kind::Feature(name),
            Constraint::All(parts) => Kind::All(list(parts)),
            Constraint::Any(parts) => Kind::Any(list(parts)),
            Constraint::Same(parts) => Kind::Same(list(parts)),
            Constraint::Counted(parts) => Kind::Counted(pb::CountedList { parts: parts.to_pb() }),
        };
        pb::Constraint { kind: Some(kind) }
    }
    fn from_pb(pb: pb::Constraint) -> Result<Self, WireError> {
        constraint(pb, MAX_CONSTRAINT_DEPTH)
    }
}

/// Recursion ends with `depth`, whatever the sender nests.
fn constraint(pb: pb::Constraint, depth: usize) -> Result<Constraint, WireError> {
    let Some(deeper) = depth.checked_sub(1) else {
        return Err(Problem::TooDeep(MAX_CONSTRAINT_DEPTH).into());
    };
    let list = |of: pb::ConstraintList| -> Result<Vec<Constraint>, WireError> {
        let length = of.parts.len();
        if length > MAX_LIST {
            return Err(Problem::TooLong { length, unit: "parts", most: MAX_LIST }.into());
        }
        of.parts.into_iter().map(|part| constraint(part, deeper)).collect()
    };
    Ok(match pb.kind.ok_or(Problem::Missing)? {
        Kind::Feature(name) => Constraint::Feature(take!(name, "feature")),
        Kind::All(parts) => Constraint::All(list(parts)?),
        Kind::Any(parts) => Constraint::Any(list(parts)?),
        Kind::Same(parts) => Constraint::Same(list(parts)?),
        Kind::Counted(list) => Constraint::Counted(take!(list.parts, "counted")),
    })
}
