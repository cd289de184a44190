//! A job's spec as the state keeps it: in as few bytes as will do, because it stands there once for each job that waits.
//!
//! What people submit one after the other is alike in most of what a [`JobSpec`] says. That part, [`SharedSpec`], is
//! behind one reference; [`Shares`] finds the one that is there already. What is each job's own are texts, which are
//! packed into one allocation, two digests and how long it may run. Events, snapshots and the wire have a [`JobSpec`]:
//! how it is kept here is seen nowhere else.

mod shares;
#[cfg(test)]
mod tests;
mod texts;

pub(crate) use shares::Shares;

use minicbor::{Decode, Decoder, Encode, Encoder};
use squall_types::cron::CronSpec;
use squall_types::spec::{ArraySpec, MailEvents, OpenMode, SignalSpec};
use squall_types::{
    AccountName, Ask, BlobDigest, Constraint, Dependency, Gid, HourlyPrice, JobKind, JobSpec, MicroUsd, PartitionName,
    QosName, Span, Timestamp, Uid,
};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use texts::Texts;

/// Everything that a submission says. The fields of [`SharedSpec`] are read and changed as if they were its own; a
/// change makes a copy of what others share.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct KeptSpec {
    pub script: Option<BlobDigest>,
    pub environment: Option<BlobDigest>,
    pub time_limit: Option<Span>,
    texts: Texts,
    /// Hardly any job has one.
    dependency: Option<Box<Dependency>>,
    shared: Arc<SharedSpec>,
}

/// What jobs have in common that are submitted alike. The fields are those of [`JobSpec`].
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct SharedSpec {
    pub uid: Uid,
    pub gid: Gid,
    pub user: String,
    pub account: AccountName,
    pub partitions: Vec<PartitionName>,
    pub qos: Option<QosName>,
    pub kind: JobKind,
    pub open_mode: OpenMode,
    pub umask: u32,
    pub ask: Ask,
    pub constraint: Option<Constraint>,
    pub prefer: Option<Constraint>,
    pub node_list: Vec<String>,
    pub exclude: Vec<String>,
    pub begin_at: Option<Timestamp>,
    pub end_by: Option<Timestamp>,
    pub array: Option<ArraySpec>,
    pub hold: bool,
    pub priority: Option<u32>,
    pub nice: i32,
    pub requeue: Option<bool>,
    pub signal: Option<SignalSpec>,
    pub wckey: String,
    pub mail: MailEvents,
    pub mail_user: String,
    pub submit_host: String,
    pub allow_spot: bool,
    pub max_price: Option<HourlyPrice>,
    pub max_cost: Option<MicroUsd>,
    pub cancel_if_never: bool,
    pub reservation: String,
    pub licenses: String,
    pub step_options: Vec<String>,
    pub no_kill: bool,
    pub wishes: Vec<String>,
    pub groups: Vec<String>,
    pub cron: Option<Box<CronSpec>>,
}

/// Where each text stands among those that are packed; those that are read most come first.
#[derive(Clone, Copy)]
enum Slot {
    Name,
    WorkDir,
    Stdout,
    Stderr,
    Stdin,
    Command,
    Comment,
    SubmitLine,
    TraceParent,
    /// Of the first argument: the others follow.
    Arguments,
}

static NO_DEPENDENCY: Dependency = Dependency { terms: Vec::new(), any: false };

impl KeptSpec {
    pub fn name(&self) -> &str {
        self.text(Slot::Name)
    }

    pub fn work_dir(&self) -> &str {
        self.text(Slot::WorkDir)
    }

    pub fn stdin(&self) -> Option<&str> {
        self.texts.get(Slot::Stdin as usize)
    }

    pub fn stdout(&self) -> Option<&str> {
        self.texts.get(Slot::Stdout as usize)
    }

    pub fn stderr(&self) -> Option<&str> {
        self.texts.get(Slot::Stderr as usize)
    }

    pub fn command(&self) -> &str {
        self.text(Slot::Command)
    }

    pub fn comment(&self) -> &str {
        self.text(Slot::Comment)
    }

    pub fn submit_line(&self) -> &str {
        self.text(Slot::SubmitLine)
    }

    pub fn trace_parent(&self) -> Option<&str> {
        self.texts.get(Slot::TraceParent as usize)
    }

    /// Of the script.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().skip(Slot::Arguments as usize).flatten()
    }

    pub fn dependency(&self) -> &Dependency {
        self.dependency.as_deref().unwrap_or(&NO_DEPENDENCY)
    }

    pub fn set_name(&mut self, name: &str) {
        self.texts.set(Slot::Name as usize, some(name));
    }

    pub fn set_comment(&mut self, comment: &str) {
        self.texts.set(Slot::Comment as usize, some(comment));
    }

    pub fn set_dependency(&mut self, dependency: Dependency) {
        self.dependency = (dependency != NO_DEPENDENCY).then(|| Box::new(dependency));
    }

    fn text(&self, slot: Slot) -> &str {
        self.texts.get(slot as usize).unwrap_or_default()
    }

    /// As it was submitted.
    pub fn to_spec(&self) -> JobSpec {
        let mut texts = self.texts.iter();
        let mut optional = || texts.next().flatten().map(str::to_owned);
        // In the order of the slots.
        let (name, work_dir) = (optional().unwrap_or_default(), optional().unwrap_or_default());
        let (stdout, stderr, stdin) = (optional(), optional(), optional());
        let (command, comment) = (optional().unwrap_or_default(), optional().unwrap_or_default());
        let (submit_line, trace_parent) = (optional().unwrap_or_default(), optional());
        let shared = SharedSpec::clone(&self.shared);
        JobSpec {
            name,
            uid: shared.uid,
            gid: shared.gid,
            user: shared.user,
            account: shared.account,
            partitions: shared.partitions,
            qos: shared.qos,
            kind: shared.kind,
            script: self.script,
            environment: self.environment,
            arguments: texts.flatten().map(str::to_owned).collect(),
            work_dir,
            stdin,
            stdout,
            stderr,
            open_mode: shared.open_mode,
            umask: shared.umask,
            ask: shared.ask,
            constraint: shared.constraint,
            node_list: shared.node_list,
            exclude: shared.exclude,
            time_limit: self.time_limit,
            begin_at: shared.begin_at,
            end_by: shared.end_by,
            array: shared.array,
            dependency: self.dependency().clone(),
            hold: shared.hold,
            priority: shared.priority,
            nice: shared.nice,
            requeue: shared.requeue,
            signal: shared.signal,
            comment,
            wckey: shared.wckey,
            mail: shared.mail,
            mail_user: shared.mail_user,
            submit_host: shared.submit_host,
            submit_line,
            allow_spot: shared.allow_spot,
            max_price: shared.max_price,
            max_cost: shared.max_cost,
            trace_parent,
            cancel_if_never: shared.cancel_if_never,
            reservation: shared.reservation,
            licenses: shared.licenses,
            step_options: shared.step_options,
            no_kill: shared.no_kill,
            wishes: shared.wishes,
            command,
            groups: shared.groups,
            cron: shared.cron,
            prefer: shared.prefer,
        }
    }
}

impl From<&JobSpec> for KeptSpec {
    fn from(spec: &JobSpec) -> Self {
        // In the order of the slots.
        let texts = [
            some(&spec.name),
            some(&spec.work_dir),
            spec.stdout.as_deref(),
            spec.stderr.as_deref(),
            spec.stdin.as_deref(),
            some(&spec.command),
            some(&spec.comment),
            some(&spec.submit_line),
            spec.trace_parent.as_deref(),
        ];
        let arguments = spec.arguments.iter().map(|argument| Some(argument.as_str()));
        let mut kept = KeptSpec {
            script: spec.script,
            environment: spec.environment,
            time_limit: spec.time_limit,
            texts: Texts::pack(texts.into_iter().chain(arguments)),
            dependency: None,
            shared: Arc::new(SharedSpec {
                uid: spec.uid,
                gid: spec.gid,
                user: spec.user.clone(),
                account: spec.account.clone(),
                partitions: spec.partitions.clone(),
                qos: spec.qos.clone(),
                kind: spec.kind,
                open_mode: spec.open_mode,
                umask: spec.umask,
                ask: spec.ask.clone(),
                constraint: spec.constraint.clone(),
                prefer: spec.prefer.clone(),
                node_list: spec.node_list.clone(),
                exclude: spec.exclude.clone(),
                begin_at: spec.begin_at,
                end_by: spec.end_by,
                array: spec.array.clone(),
                hold: spec.hold,
                priority: spec.priority,
                nice: spec.nice,
                requeue: spec.requeue,
                signal: spec.signal,
                wckey: spec.wckey.clone(),
                mail: spec.mail,
                mail_user: spec.mail_user.clone(),
                submit_host: spec.submit_host.clone(),
                allow_spot: spec.allow_spot,
                max_price: spec.max_price,
                max_cost: spec.max_cost,
                cancel_if_never: spec.cancel_if_never,
                reservation: spec.reservation.clone(),
                licenses: spec.licenses.clone(),
                step_options: spec.step_options.clone(),
                no_kill: spec.no_kill,
                wishes: spec.wishes.clone(),
                groups: spec.groups.clone(),
                cron: spec.cron.clone(),
            }),
        };
        kept.set_dependency(spec.dependency.clone());
        kept
    }
}

/// Of a text that is empty where there is none.
fn some(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

impl Deref for KeptSpec {
    type Target = SharedSpec;

    fn deref(&self) -> &SharedSpec {
        &self.shared
    }
}

impl DerefMut for KeptSpec {
    fn deref_mut(&mut self) -> &mut SharedSpec {
        Arc::make_mut(&mut self.shared)
    }
}

impl std::fmt::Debug for KeptSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_spec().fmt(f)
    }
}

impl<C> Encode<C> for KeptSpec {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut Encoder<W>,
        ctx: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        self.to_spec().encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for KeptSpec {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<Self, minicbor::decode::Error> {
        JobSpec::decode(d, ctx).map(|spec| KeptSpec::from(&spec))
    }
}
