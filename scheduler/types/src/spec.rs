//! A job as submitted. Identity is filled in by the controller from the channel, never by the client.

use crate::cron::CronSpec;
use crate::{
    AccountName, Ask, BlobDigest, Constraint, Dependency, Gid, HourlyPrice, IndexSet, MicroUsd, PartitionName, QosName,
    Span, Timestamp, Uid,
};
use minicbor::{Decode, Encode};
use serde::{Deserialize, Serialize};

/// What starts when the job's nodes are ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum JobKind {
    /// `sbatch`: the script runs on the first node.
    #[default]
    #[n(0)]
    Batch,
    /// `srun`, `salloc`: nothing runs until a step is launched from outside.
    #[n(1)]
    Interactive,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
#[cbor(index_only)]
pub enum OpenMode {
    #[default]
    #[n(0)]
    Truncate,
    #[n(1)]
    Append,
}

/// `--signal=[B:]SIG@SECONDS`: a warning before the time limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct SignalSpec {
    #[n(0)]
    pub signal: i32,
    #[n(1)]
    pub before: Span,
    /// `B:`: to the batch shell alone; otherwise to the steps and not to the shell.
    #[n(2)]
    pub batch_only: bool,
}

/// Which events are told by mail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, Serialize, Deserialize)]
pub struct MailEvents {
    #[n(0)]
    pub begin: bool,
    #[n(1)]
    pub end: bool,
    #[n(2)]
    pub fail: bool,
    #[n(3)]
    pub requeue: bool,
}

/// Everything that a submission says. One spec serves all elements of an array.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode, Serialize, Deserialize)]
pub struct JobSpec {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub uid: Uid,
    #[n(2)]
    pub gid: Gid,
    /// The user's name as the submitting host knows it, for display.
    #[n(3)]
    pub user: String,
    #[n(4)]
    pub account: AccountName,
    /// In the user's order; filled with the default partition at submission when empty.
    #[n(5)]
    pub partitions: Vec<PartitionName>,
    #[n(6)]
    pub qos: Option<QosName>,
    #[n(7)]
    pub kind: JobKind,
    #[n(8)]
    pub script: Option<BlobDigest>,
    /// The environment as a blob of `NAME=value` strings, each ended by NUL.
    #[n(9)]
    pub environment: Option<BlobDigest>,
    /// Arguments of the script.
    #[n(10)]
    pub arguments: Vec<String>,
    #[n(11)]
    pub work_dir: String,
    #[n(12)]
    pub stdin: Option<String>,
    /// With Slurm's `%` patterns unexpanded; `None` is `slurm-%j.out` (`slurm-%A_%a.out` for an element).
    #[n(13)]
    pub stdout: Option<String>,
    /// `None` joins standard output.
    #[n(14)]
    pub stderr: Option<String>,
    #[n(15)]
    pub open_mode: OpenMode,
    #[n(16)]
    pub umask: u32,
    #[n(17)]
    pub ask: Ask,
    #[n(18)]
    pub constraint: Option<Constraint>,
    /// `-w`: these nodes and perhaps more.
    #[n(19)]
    pub node_list: Vec<String>,
    /// `-x`.
    #[n(20)]
    pub exclude: Vec<String>,
    /// `None` takes the partition's default at submission.
    #[n(21)]
    pub time_limit: Option<Span>,
    #[n(22)]
    pub begin_at: Option<Timestamp>,
    /// `--deadline`: must have ended by then.
    #[n(23)]
    pub end_by: Option<Timestamp>,
    #[n(24)]
    pub array: Option<ArraySpec>,
    #[n(25)]
    pub dependency: Dependency,
    #[n(26)]
    pub hold: bool,
    /// `--priority`, for admins.
    #[n(27)]
    pub priority: Option<u32>,
    #[n(28)]
    pub nice: i32,
    /// `--requeue`, `--no-requeue`; `None` is the partition's default.
    #[n(29)]
    pub requeue: Option<bool>,
    #[n(30)]
    pub signal: Option<SignalSpec>,
    #[n(31)]
    pub comment: String,
    #[n(32)]
    pub wckey: String,
    #[n(33)]
    pub mail: MailEvents,
    #[n(34)]
    pub mail_user: String,
    #[n(35)]
    pub submit_host: String,
    #[n(36)]
    pub submit_line: String,
    /// `--spot`: interruptible capacity may be used.
    #[n(37)]
    pub allow_spot: bool,
    /// `--max-price`: no node that costs more an hour.
    #[n(38)]
    pub max_price: Option<HourlyPrice>,
    /// `--max-cost`: nothing is bought that would exceed this over the time limit.
    #[n(39)]
    pub max_cost: Option<MicroUsd>,
    /// W3C trace context of the submission.
    #[n(40)]
    pub trace_parent: Option<String>,
    /// `--kill-on-invalid-dep=yes`.
    #[n(41)]
    pub cancel_if_never: bool,
    #[n(42)]
    pub reservation: String,
    #[n(43)]
    pub licenses: String,
    /// Options that steps inherit but that do not change where the job goes, as `NAME=value`
    /// (`distribution`, `cpu-bind`, `ntasks-per-core`, …).
    #[n(44)]
    pub step_options: Vec<String>,
    /// `-k`, `--no-kill`: go on when a node fails.
    #[n(45)]
    pub no_kill: bool,
    /// `--oversubscribe`, `--contiguous` and other placement wishes that have no effect, for display.
    #[n(46)]
    pub wishes: Vec<String>,
    /// The script's path as it was given, for display; empty where it came from standard input.
    #[n(47)]
    pub command: String,
    /// Of the groups to which partitions are open, those that the user was in, as the controller found it.
    #[n(48)]
    #[cbor(default)]
    pub groups: Vec<String>,
    /// Of a crontab: it waits again whenever it has ended.
    #[n(49)]
    pub cron: Option<Box<CronSpec>>,
    /// `--prefer`: features that are tried in place of `constraint`, which holds where they are not to be had.
    #[n(50)]
    pub prefer: Option<Constraint>,
}

/// `--array=0-99%4`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Encode, Decode, Serialize, Deserialize)]
pub struct ArraySpec {
    #[n(0)]
    pub indices: IndexSet,
    /// At most so many at once.
    #[n(1)]
    pub limit: Option<u32>,
    /// As typed, for `SLURM_ARRAY_TASK_STEP` and display.
    #[n(2)]
    pub step: u32,
}
