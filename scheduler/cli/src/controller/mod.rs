//! What commands ask of the controller. The real one speaks over a socket; tests have one with canned answers.

mod find;
mod remote;

pub use find::{Found, find, node_sockets, personal_state};
pub use remote::Remote;

use squall_proto::ClientError;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::agent::ExitStatus;
use squall_types::api::{
    AccountingPage, AccountingQuery, ActionResult, ClusterSummary, ConfigEntry, CrontabRequest, Explanation, JobAction,
    JobDetail, JobFilter, JobNews, JobRef, JobView, JoinTokenFor, LedgerPage, LedgerQuery, NodeAction,
    NodeActionResult, NodeView, PartitionView, PingReply, StepGrant, StepRequest, SubmitReply, SubmitRequest,
    UserTokenAsk, UserTokenReply, VisitGrant,
};
use squall_types::offer::JoinTicket;
use squall_types::{JobId, Uid};
use std::ops::ControlFlow;

/// What cannot be reached where nothing says where it is.
pub const NOWHERE: &str = "the controller";

/// What somebody hears who watches a job.
#[derive(Debug)]
pub enum Heard {
    News(Box<JobNews>),
    /// This process got a signal that asks it to stop (SIGINT, SIGTERM, SIGHUP).
    Signal(i32),
    /// About a second has passed.
    Tick,
}

/// The calls that commands make. Each blocks until it is answered.
pub trait Controller {
    fn ping(&self) -> Result<PingReply, ClientError>;
    fn submit(&self, request: &SubmitRequest) -> Result<SubmitReply, ClientError>;
    /// `None` is whoever asks.
    fn crontab(&self, user: Option<Uid>) -> Result<String, ClientError>;
    fn set_crontab(&self, request: &CrontabRequest) -> Result<Vec<String>, ClientError>;
    fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, ClientError>;
    /// Tells `each` of the same jobs in parts, as they come, so that not all of them are in memory at once.
    fn each_jobs(&self, filter: &JobFilter, each: &mut dyn FnMut(Vec<JobView>)) -> Result<(), ClientError> {
        each(self.jobs(filter)?);
        Ok(())
    }
    /// The jobs of [`Controller::each_jobs`] with all that is known of each, in parts, as they come.
    fn each_details(&self, filter: &JobFilter, each: &mut dyn FnMut(Vec<JobDetail>)) -> Result<(), ClientError>;
    /// A job, an element, or all records of an array.
    fn job(&self, job: &JobRef) -> Result<Vec<JobDetail>, ClientError>;
    fn act(&self, filter: &JobFilter, action: &JobAction) -> Result<Vec<ActionResult>, ClientError>;
    fn why(&self, job: &JobRef) -> Result<Explanation, ClientError>;
    fn script(&self, job: JobId) -> Result<Vec<u8>, ClientError>;
    /// Tells `each` what happens to a job until it has ended or `each` has heard enough.
    fn watch(&self, job: JobId, each: &mut dyn FnMut(Heard) -> ControlFlow<()>) -> Result<(), ClientError>;
    fn start_step(&self, request: &StepRequest) -> Result<StepGrant, ClientError>;
    /// The way to the nodes of a job that runs.
    fn visit(&self, job: JobId) -> Result<VisitGrant, ClientError>;
    /// Ends an interactive job that this client began.
    fn finish(&self, job: JobId, exit: ExitStatus) -> Result<(), ClientError>;
    fn nodes(&self) -> Result<Vec<NodeView>, ClientError>;
    /// `nodes` is a hostlist.
    fn act_on_nodes(&self, nodes: &str, action: &NodeAction) -> Result<Vec<NodeActionResult>, ClientError>;
    fn partitions(&self) -> Result<Vec<PartitionView>, ClientError>;
    fn accounting(&self, query: &AccountingQuery) -> Result<AccountingPage, ClientError>;
    fn ledger(&self, query: &LedgerQuery) -> Result<LedgerPage, ClientError>;
    fn summary(&self) -> Result<ClusterSummary, ClientError>;
    fn accounts(&self, query: &AccountsQuery) -> Result<Vec<AccountsEntry>, ClientError>;
    /// All of the changes are made, or none.
    fn edit_accounts(&self, edits: Vec<AccountsEdit>) -> Result<(), ClientError>;
    fn configuration(&self) -> Result<Vec<ConfigEntry>, ClientError>;
    /// Another connection to the same controller, for a thread of its own; `None` where there can be none.
    fn apart(&self) -> Option<Box<dyn Controller + Send>>;
    /// Makes, lists or revokes tokens with which this user comes over the network.
    fn user_tokens(&self, ask: &UserTokenAsk) -> Result<UserTokenReply, ClientError>;
    /// What one machine may join with.
    fn join_token(&self, joiner: &JoinTokenFor) -> Result<JoinTicket, ClientError>;
    /// What has changed, in words.
    fn reconfigure(&self) -> Result<Vec<String>, ClientError>;
}
