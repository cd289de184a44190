//! What a configuration file can say. This tree is the schema: reading, checking, showing and the published JSON Schema
//! all come from it.

mod pools;

pub use pools::{Kind, LocalSettings, Machine, OfferSettings, PoolSettings, ProgramSettings, Revive, SimSettings};

use super::units::{Dollars, Size, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squall_core::config;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// A whole configuration.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Settings {
    /// The cluster's name: part of certificates, credentials and the tags of machines.
    pub cluster: String,
    /// The first job gets this id.
    pub first_job: u32,
    /// Who pays for a job that names no account.
    pub default_account: String,
    /// Account names that jobs may use; empty allows every name.
    pub accounts: Vec<String>,
    /// What of accounts and qualities of service holds, as `sacctmgr` made them. With `associations` only users in an
    /// account may submit; with `limits` the limits that are set hold; with `qos` a job names one that its user may use.
    pub enforce: Vec<Enforced>,
    /// Users who may do everything, besides root: names or numbers.
    pub admins: Vec<String>,
    /// The controller itself: where it listens and what it keeps.
    pub controller: ControllerSettings,
    /// Bounds on what users can ask for.
    pub limits: LimitSettings,
    /// How long things take and last.
    pub timing: TimingSettings,
    /// What makes a job go before another.
    pub priority: PrioritySettings,
    /// What users name with `-p`.
    pub partitions: BTreeMap<String, PartitionSettings>,
    /// Nodes alike enough to swap, and where they come from.
    pub pools: BTreeMap<String, PoolSettings>,
    /// What nodes hang on: a job of several nodes goes under one switch where it can, and one zone of a cloud.
    pub switches: BTreeMap<String, SwitchSettings>,
    /// Hard limits on money.
    pub budgets: BTreeMap<String, BudgetSettings>,
    /// Hosts whose daemon may vouch for its users, once enrolled.
    pub login_hosts: BTreeMap<String, LoginHostSettings>,
    /// A program that is asked about every submission before it is decided.
    pub submit_hook: SubmitHookSettings,
    /// What the controller says about itself.
    pub telemetry: TelemetrySettings,
}

impl Default for Settings {
    fn default() -> Self {
        let cluster = config::ClusterConfig::default();
        Settings {
            cluster: cluster.cluster,
            first_job: cluster.first_job.0,
            default_account: cluster.default_account.0,
            accounts: Vec::new(),
            enforce: vec![Enforced::Limits, Enforced::Qos],
            admins: Vec::new(),
            controller: ControllerSettings::default(),
            limits: LimitSettings::default(),
            timing: TimingSettings::default(),
            priority: PrioritySettings::default(),
            partitions: BTreeMap::new(),
            pools: BTreeMap::new(),
            switches: BTreeMap::new(),
            budgets: BTreeMap::new(),
            login_hosts: BTreeMap::new(),
            submit_hook: SubmitHookSettings::default(),
            telemetry: TelemetrySettings::default(),
        }
    }
}

/// What of the accounts holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Enforced {
    Associations,
    Limits,
    Qos,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ControllerSettings {
    /// Journal, snapshots, keys and certificates.
    pub state_dir: PathBuf,
    /// The Unix socket for users of this machine.
    pub socket: PathBuf,
    /// Access mode of the socket, in octal. Who asks is known from the kernel, so everyone may connect.
    pub socket_mode: String,
    /// `ADDRESS:PORT` for agents, login hosts and remote users, over TLS. Port 0 takes a free one and keeps it.
    pub listen: String,
    /// `HOST:PORT` under which nodes reach it; by default the host's name, or the address that it listens on.
    pub advertise: Option<String>,
    /// Further names and addresses for the server's certificate.
    pub names: Vec<String>,
    /// `ADDRESS:PORT` of Prometheus metrics, over plain HTTP; unset is none.
    pub metrics: Option<String>,
    /// Below so much free space in `state_dir` new jobs are refused.
    pub disk_reserve: Size,
    /// A snapshot of the state is written after so many events …
    pub snapshot_events: u64,
    /// … or after so long, if anything happened.
    pub snapshot_every: Time,
    /// Accounting keeps ended jobs so long.
    pub retention: Time,
    /// Certificates of nodes and login hosts are valid so long.
    pub certificate_lifetime: Time,
    /// How often agents are to say that they live.
    pub heartbeat: Time,
    /// Requests that one user may make in a second, over a longer time.
    pub requests_per_second: u32,
    /// Requests that one user may make at once.
    pub request_burst: u32,
    /// Jobs that one user may watch at once.
    pub watches_per_user: u32,
    /// Called as `PROGRAM -s SUBJECT USER...` where a job asks for mail, as the controller's user; unset sends none.
    pub mail_program: Option<PathBuf>,
    /// What follows the `@` of users that are named without; empty leaves it to the mail program.
    pub mail_domain: String,
}

impl Default for ControllerSettings {
    fn default() -> Self {
        ControllerSettings {
            state_dir: "/var/lib/squall".into(),
            socket: "/run/squall/ctld.sock".into(),
            socket_mode: "0666".to_owned(),
            listen: "0.0.0.0:6820".to_owned(),
            advertise: None,
            names: Vec::new(),
            metrics: None,
            disk_reserve: Size(512),
            snapshot_events: 100_000,
            snapshot_every: super::units::time("1h").expect("a length of time"),
            retention: super::units::time("1000d").expect("a length of time"),
            certificate_lifetime: super::units::time("1h").expect("a length of time"),
            heartbeat: super::units::time("5s").expect("a length of time"),
            requests_per_second: 500,
            request_burst: 2_000,
            watches_per_user: 256,
            mail_program: None,
            mail_domain: String::new(),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LimitSettings {
    /// Jobs that have not ended; an array counts as one until its elements start.
    pub max_jobs: u32,
    /// Slurm's MaxArraySize: indices are below it.
    pub max_array_size: u32,
    /// Of one job; at most 4M.
    pub max_script: Size,
    /// Of one job; at most 4M.
    pub max_environment: Size,
    /// Attempts that end by no fault of the job before it is held.
    pub max_requeues: u32,
    pub max_dependency_terms: u32,
    /// Nodes that all pools together may have.
    pub max_nodes: u32,
}

impl Default for LimitSettings {
    fn default() -> Self {
        let limits = config::Limits::default();
        LimitSettings {
            max_jobs: limits.max_jobs,
            max_array_size: limits.max_array_size,
            max_script: Size(u64::from(limits.max_script_bytes) >> 20),
            max_environment: Size(u64::from(limits.max_environment_bytes) >> 20),
            max_requeues: limits.max_requeues,
            max_dependency_terms: limits.max_dependency_terms,
            max_nodes: limits.max_nodes,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TimingSettings {
    /// How long an ended job stays in `squeue -t all`.
    pub min_job_age: Time,
    /// Between SIGTERM and SIGKILL.
    pub kill_wait: Time,
    /// Demand is collected until nothing came for so long …
    pub batch_idle: Time,
    /// … or for so long in all, before anything is bought.
    pub batch_max: Time,
    /// An agent not heard for so long has no contact.
    pub contact_timeout: Time,
    /// First delay of a requeue after a failure that was not the job's; doubles to `requeue_max`.
    pub requeue_after: Time,
    pub requeue_max: Time,
    /// An instance that no order knows is retired after so long.
    pub orphan_grace: Time,
    /// Gone nodes and closed orders stay in memory for so long.
    pub ledger_age: Time,
}

impl Default for TimingSettings {
    fn default() -> Self {
        let timing = config::Timing::default();
        TimingSettings {
            min_job_age: Time(timing.min_job_age),
            kill_wait: Time(timing.kill_wait),
            batch_idle: Time(timing.batch_idle),
            batch_max: Time(timing.batch_max),
            contact_timeout: Time(timing.contact_timeout),
            requeue_after: Time(timing.requeue_after),
            requeue_max: Time(timing.requeue_max),
            orphan_grace: Time(timing.orphan_grace),
            ledger_age: Time(timing.ledger_age),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PrioritySettings {
    /// How much waiting one point of priority is worth.
    pub point: Time,
    /// What a job without waiting, nice or boosts prints as its priority.
    pub base: u32,
}

impl Default for PrioritySettings {
    fn default() -> Self {
        let priority = config::PriorityWeights::default();
        PrioritySettings { point: Time(priority.point), base: priority.base }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct PartitionSettings {
    /// In order of preference.
    pub pools: Vec<String>,
    /// Where jobs go that name no partition. The only partition is the default without being told so.
    #[serde(default)]
    pub default: bool,
    #[serde(default = "yes")]
    pub up: bool,
    pub max_time: Option<Time>,
    pub default_time: Option<Time>,
    pub max_nodes: Option<u32>,
    pub def_mem_per_cpu: Option<Size>,
    pub def_mem_per_gpu: Option<Size>,
    pub def_mem_per_node: Option<Size>,
    pub def_cpu_per_gpu: Option<u32>,
    pub max_mem_per_node: Option<Size>,
    /// Empty allows every account.
    #[serde(default)]
    pub allow_accounts: Vec<String>,
    /// Accounts that it is closed to, where `allow_accounts` is empty.
    #[serde(default)]
    pub deny_accounts: Vec<String>,
    /// Groups of users, as the controller's machine knows them. Empty allows every group.
    #[serde(default)]
    pub allow_groups: Vec<String>,
    /// Empty allows every quality of service.
    #[serde(default)]
    pub allow_qos: Vec<String>,
    /// Qualities of service that it is closed to, where `allow_qos` is empty.
    #[serde(default)]
    pub deny_qos: Vec<String>,
    /// The quality of service whose limits hold for all jobs here.
    pub qos: Option<String>,
    /// How many of the jobs that wait are promised a start that no other job may delay; 100 where it is not said. With 1,
    /// short jobs pass by long ones most easily.
    pub reservation_depth: Option<u32>,
    /// Jobs of a higher tier go before all of a lower one.
    #[serde(default = "one")]
    pub priority_tier: u32,
    /// Its jobs may use interruptible capacity.
    #[serde(default)]
    pub spot: bool,
    /// Jobs run again when their node fails, unless they say not.
    #[serde(default = "yes")]
    pub requeue: bool,
    /// Jobs get whole nodes.
    #[serde(default)]
    pub exclusive: bool,
}

fn yes() -> bool {
    true
}

fn one() -> u32 {
    1
}

#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SwitchSettings {
    /// Nodes that hang on it, as a host list: `n[1-16]`.
    pub nodes: String,
    /// Switches that hang on it.
    pub switches: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct BudgetSettings {
    /// `cluster`, `pool:NAME`, `partition:NAME`, `account:NAME` or `user:NAME`.
    pub scope: String,
    /// So much may be spent in a period.
    pub limit: Dollars,
    /// When it is full again.
    pub period: Period,
}

/// When a budget is full again. In UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Period {
    Day,
    Month,
    /// Never.
    Total,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LoginHostSettings {
    /// The users it may vouch for, `FIRST-LAST`. Never root and never an admin, whatever this says.
    pub uids: String,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SubmitHookSettings {
    /// The program, by its absolute path, and its arguments; empty is none. It gets the submission as JSON on standard
    /// input and answers in JSON on standard output.
    pub command: Vec<String>,
    /// Without an answer for so long it has failed.
    pub timeout: Time,
    /// Whom it runs as, where the controller is root: a name or a number.
    pub user: String,
    /// What becomes of a submission about which it gave no answer.
    pub on_failure: OnFailure,
}

impl Default for SubmitHookSettings {
    fn default() -> Self {
        SubmitHookSettings {
            command: Vec::new(),
            timeout: Time(squall_types::Span::from_secs(5)),
            user: "nobody".to_owned(),
            on_failure: OnFailure::Refuse,
        }
    }
}

/// What becomes of a submission whose hook failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    Refuse,
    /// As if there were no hook.
    Accept,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelemetrySettings {
    /// What is logged to standard error: `info`, or directives such as `info,squallctld::rpc=debug`.
    pub log: String,
    pub log_format: LogFormat,
}

impl Default for TelemetrySettings {
    fn default() -> Self {
        TelemetrySettings { log: "info".to_owned(), log_format: LogFormat::Text }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    Text,
    Json,
}
