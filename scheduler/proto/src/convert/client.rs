//! What clients ask the controller and what they are answered.

use crate::pb;
use crate::wire::{Wire, WireError, choice, message, put, take, words};
use squall_types::Constraint;
use squall_types::api::*;

message! {
    PingReply { cluster, hostname, version, epoch, now }
    SubmitRequest { spec: boxed, script, environment, token, test_only, more, step }
    SubmitReply { job, estimate, notes, step }
    CrontabRequest { user, text, entries }
    CronEntry { first_line, last_line, submission: required }
    Estimate { start_at, nodes, cpus, partition, purchase, hourly }
    JobFilter { jobs, users, names, accounts, partitions, qos, states, all_states, nodes, brief }
    JobView {
        job, array, attempt, restarts, name, uid, gid, user, account, partition, qos, state, reason, priority, nice,
        submitted_at, eligible_at, start_at, end_at, time_limit, nodes, node_count, max_nodes, cpus, tasks, memory_mib,
        gpus, tres, tres_per_node, exit: required, work_dir, command, comment, dependency, constraint, exclusive, cost,
        min_cpus, min_memory_mib, req_nodes, exc_nodes, wckey, licenses, suspend_at, suspended, het, prefer,
    }
    AllocationView { node, cpus, memory_mib, gpus, tasks, gres }
    JobDetail { view: required, spec: required, allocations }
    ActionResult { job, refusal }
    Blocker { reason, text, until }
    Explanation { job, state, waiting, estimate, blockers, would_start_with, progress }
    JobNews { view: required, end }
    StepRequest {
        job, name, tasks, nodes, tasks_per_node, cpus_per_task, gpus_per_task, gpus, node_list, exclude, cyclic, overlap,
        first_rank,
    }
    StepGrant { run: required, step, nodes, tasks, credential, ca_pem }
    VisitGrant { run: required, nodes, credential, ca_pem }
    NodeView {
        name, pool, partitions, condition, contact, reason, reason_by, reason_at, shape: required, cpus_used,
        memory_used_mib, gpus_used, jobs, instance, offer, kind, price, cost, created_at, ready_at, address, hostname,
        agent_version, os, count, switches,
    }
    NodeActionResult { node, refusal }
    PartitionView {
        name, default, up, max_time, default_time, max_nodes, pools, allow_accounts, priority_tier, nodes, total_nodes,
        total_cpus, total_gpus, def_mem_per_cpu, def_mem_per_gpu, def_cpu_per_gpu, deny_accounts, allow_groups, allow_qos,
        deny_qos, qos,
    }
    AccountingQuery { jobs, users, accounts, names, partitions, states, from, to, with_steps, after, limit }
    AccountedStep {
        step, attempt, name, state, started_at, ended_at, exit: required, nodes, tasks, cpus, usage: required, suspended,
    }
    AccountedJob {
        job, array, attempt, restarts, name, uid, gid, user, account, partition, qos, state, cancelled_by, reason,
        submitted_at, eligible_at, started_at, ended_at, time_limit, nodes, node_count, cpus, tasks, memory_mib, gpus,
        req_tres, exit: required, work_dir, submit_line, comment, wckey, constraint, priority, cost, steps, suspended,
        suspended_since, het, batch, stdin, stdout, stderr,
    }
    AccountingPage { jobs, next }
    LedgerQuery { after, limit }
    LedgerRow {
        node, pool, order, instance, offer, price, caused_by, ordered_at, launched_at, ready_at, first_job_at, gone_at,
        gone_why, cost, charged,
    }
    LedgerPage { rows, next }
    ClusterSummary {
        cluster, version, now, started_at, epoch, seq, jobs_pending, jobs_configuring, jobs_running, jobs_completing,
        jobs_ended, nodes_ordered, nodes_booting, nodes_ready, nodes_draining, nodes_retiring, nodes_gone, orders_open,
        spent, reserved, node_millis_bought, node_millis_used, alarm, jobs_suspended,
    }
    ConfigEntry { key, value, source }
}

words! {
    NodeCondition {
        PoweredDown, PoweringUp, Idle, Mixed, Allocated, Completing, Draining, Drained, PoweringDown, Down, Quarantined,
    }
}

choice! {
    ArrayView in array_view::View (view) {
        units {}
        values {}
        records {
            Pending as PendingElements { array, indices: required, limit },
            Element as ElementPlace { array, index },
        }
    }
}

choice! {
    JobAction in job_action::Action (action) {
        units { Cancel, Hold, Release, Suspend, Resume, CancelCron }
        values { Update }
        records {
            Signal as SignalAction { signal, target: required },
            Requeue as RequeueAction { hold },
        }
    }
}

choice! {
    NodeAction in node_action::Action (action) {
        units { Resume, PowerDown }
        values {}
        records {
            Drain as NodeDrain { reason },
            Down as NodeDown { reason },
        }
    }
}

choice! {
    UserTokenAsk in user_token_ask::Ask (ask) {
        units { List }
        values {}
        records {
            Create as UserTokenCreate { lifetime },
            Revoke as UserTokenRevoke { id },
        }
    }
}

message! {
    UserToken { id, uid, created_at, expires_at }
    UserTokenReply { tokens, made }
}

choice! {
    JoinTokenFor in join_token_for::Joiner (joiner) {
        units {}
        values { StaticNode, LoginHost }
        records {}
    }
}

/// A list that may be absent, which protobuf has only as a message.
struct Texts<T>(Vec<T>);

impl<T: Wire<Pb = String>> Wire for Texts<T> {
    type Pb = pb::TextList;
    fn to_pb(self) -> pb::TextList {
        pb::TextList { texts: self.0.to_pb() }
    }
    fn from_pb(pb: pb::TextList) -> Result<Self, WireError> {
        Vec::from_pb(pb.texts).map(Texts)
    }
}

/// A change of what is required or preferred, which may be to none.
struct ConstraintTo(Option<Constraint>);

impl Wire for ConstraintTo {
    type Pb = pb::ConstraintChange;
    fn to_pb(self) -> pb::ConstraintChange {
        pb::ConstraintChange { to: self.0.to_pb() }
    }
    fn from_pb(pb: pb::ConstraintChange) -> Result<Self, WireError> {
        Option::from_pb(pb.to).map(ConstraintTo)
    }
}

impl Wire for JobUpdate {
    type Pb = pb::JobUpdate;
    fn to_pb(self) -> pb::JobUpdate {
        pb::JobUpdate {
            time_limit: self.time_limit.to_pb(),
            name: self.name,
            partition: self.partition.map(Texts).to_pb(),
            account: self.account.to_pb(),
            qos: self.qos.to_pb(),
            priority: self.priority,
            nice: self.nice,
            begin_at: self.begin_at.to_pb(),
            comment: self.comment,
            dependency: self.dependency.to_pb(),
            constraint: self.constraint.map(ConstraintTo).to_pb(),
            prefer: self.prefer.map(ConstraintTo).to_pb(),
            requeue: self.requeue,
            array_limit: self.array_limit,
            nodes: self.nodes.to_pb(),
            exclude: self.exclude.map(Texts).to_pb(),
            node_list: self.node_list.map(Texts).to_pb(),
            end_by: self.end_by.to_pb(),
        }
    }
    fn from_pb(pb: pb::JobUpdate) -> Result<Self, WireError> {
        let texts = |of: Option<Texts<String>>| of.map(|list| list.0);
        let partition: Option<Texts<_>> = take!(pb.partition, "partition");
        let constraint: Option<ConstraintTo> = take!(pb.constraint, "constraint");
        let prefer: Option<ConstraintTo> = take!(pb.prefer, "prefer");
        Ok(JobUpdate {
            time_limit: take!(pb.time_limit, "time_limit"),
            name: take!(pb.name, "name"),
            partition: partition.map(|list| list.0),
            account: take!(pb.account, "account"),
            qos: take!(pb.qos, "qos"),
            priority: pb.priority,
            nice: pb.nice,
            begin_at: take!(pb.begin_at, "begin_at"),
            comment: take!(pb.comment, "comment"),
            dependency: take!(pb.dependency, "dependency"),
            constraint: constraint.map(|change| change.0),
            prefer: prefer.map(|change| change.0),
            requeue: pb.requeue,
            array_limit: pb.array_limit,
            nodes: take!(pb.nodes, "nodes"),
            exclude: texts(take!(pb.exclude, "exclude")),
            node_list: texts(take!(pb.node_list, "node_list")),
            end_by: take!(pb.end_by, "end_by"),
        })
    }
}
