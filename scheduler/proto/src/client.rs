//! What commands, agents and login hosts ask the controller.

use crate::carrier::Carrier;
use crate::channel::UnixPeer;
use crate::connect::Target;
use crate::convert::envelope::*;
use crate::failure::ClientError;
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::link::Link;
use crate::page::{Pages, gather};
use crate::pb::squall_client::SquallClient;
use futures_util::stream::BoxStream;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{ExitStatus, JobId, Uid};
use std::time::Duration;

/// A connection to the controller, or to an agent that asks the controller for a job. Cheap to clone.
///
/// A call that failed with `Unreachable` or `TimedOut` may have been carried out; a submission is repeated with the
/// same token. Nothing is repeated here.
#[derive(Clone, Debug)]
pub struct Client {
    link: Link<SquallClient<Carrier>>,
}

impl Client {
    /// Connects now, for a call or two, as commands make them: over a Unix socket that costs both sides half, and each
    /// call has a connection of its own.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn connect_briefly(target: &Target) -> Result<Client, ClientError> {
        Ok(Client::over(Carrier::connect_briefly(target).await?, target))
    }

    /// Connects now, for any number of calls at once.
    ///
    /// # Errors
    /// `Unreachable` where nobody answers, with the system's words for it.
    pub async fn connect(target: &Target) -> Result<Client, ClientError> {
        Ok(Client::over(Carrier::connect(target).await?, target))
    }

    /// Connects when the first call needs it, and again when the connection was lost. Needs a tokio runtime.
    ///
    /// # Errors
    /// A target that can never be reached, such as one with a certificate that cannot be read.
    pub fn lazy(target: &Target) -> Result<Client, ClientError> {
        Ok(Client::over(Carrier::lazy(target)?, target))
    }

    fn over(carrier: Carrier, target: &Target) -> Client {
        let stub =
            SquallClient::new(carrier).max_decoding_message_size(REPLY_BYTES).max_encoding_message_size(REQUEST_BYTES);
        let mut link = Link::new(stub, target);
        link.introduction.bearer = target.bearer();
        Client { link }
    }

    /// Waits so long for an answer, and for each further page of one.
    pub fn with_patience(mut self, patience: Duration) -> Client {
        self.link.patience = patience;
        self
    }

    /// Asks in the name of a job.
    pub fn for_job(mut self, credential: Vec<u8>) -> Client {
        self.link.introduction.job_credential = Some(credential);
        self
    }

    /// Asks for a user of this login host. The controller believes it only from enrolled hosts.
    pub fn vouching_for(mut self, user: UnixPeer) -> Client {
        self.link.introduction.vouched = Some(user);
        self
    }

    pub fn with_bearer(mut self, token: String) -> Client {
        self.link.introduction.bearer = Some(token);
        self
    }

    /// W3C trace context that the calls belong to.
    pub fn with_traceparent(mut self, traceparent: Option<String>) -> Client {
        self.link.introduction.traceparent = traceparent;
        self
    }

    pub async fn ping(&self) -> Result<PingReply, ClientError> {
        self.link.call((), async |mut stub, ask| stub.ping(ask).await).await
    }

    pub async fn submit(&self, request: SubmitRequest) -> Result<SubmitReply, ClientError> {
        self.link.call(request, async |mut stub, ask| stub.submit(ask).await).await
    }

    /// `None` is whoever asks.
    pub async fn crontab(&self, user: Option<Uid>) -> Result<String, ClientError> {
        let reply: CrontabReply =
            self.link.call(CrontabQuery { user }, async |mut stub, ask| stub.crontab(ask).await).await?;
        Ok(reply.text)
    }

    /// All of the entries are taken, or none. What there is to be said about them.
    pub async fn set_crontab(&self, request: CrontabRequest) -> Result<Vec<String>, ClientError> {
        let reply: TextList = self.link.call(request, async |mut stub, ask| stub.set_crontab(ask).await).await?;
        Ok(reply.texts)
    }

    pub async fn job_pages(&self, filter: JobFilter) -> Result<Pages<JobView>, ClientError> {
        self.link.pages(filter, async |mut stub, ask| stub.jobs(ask).await).await
    }

    pub async fn jobs(&self, filter: JobFilter) -> Result<Vec<JobView>, ClientError> {
        gather(self.job_pages(filter).await?).await
    }

    pub async fn job_detail_pages(&self, job: JobRef) -> Result<Pages<JobDetail>, ClientError> {
        self.link.pages(job, async |mut stub, ask| stub.job(ask).await).await
    }

    /// The job, or each record of an array.
    pub async fn job(&self, job: JobRef) -> Result<Vec<JobDetail>, ClientError> {
        gather(self.job_detail_pages(job).await?).await
    }

    /// The jobs of [`Client::job_pages`] with all that is known of each.
    pub async fn pages_of_job_details(&self, filter: JobFilter) -> Result<Pages<JobDetail>, ClientError> {
        self.link.pages(filter, async |mut stub, ask| stub.job_details(ask).await).await
    }

    pub async fn act_pages(&self, filter: JobFilter, action: JobAction) -> Result<Pages<ActionResult>, ClientError> {
        self.link.pages(ActRequest { filter, action }, async |mut stub, ask| stub.act(ask).await).await
    }

    /// Acts on all jobs that the filter takes; one result each.
    pub async fn act(&self, filter: JobFilter, action: JobAction) -> Result<Vec<ActionResult>, ClientError> {
        gather(self.act_pages(filter, action).await?).await
    }

    pub async fn why(&self, job: JobRef) -> Result<Explanation, ClientError> {
        self.link.call(job, async |mut stub, ask| stub.why(ask).await).await
    }

    pub async fn script(&self, job: JobId) -> Result<Vec<u8>, ClientError> {
        let reply: ScriptReply =
            self.link.call(ScriptRequest { job }, async |mut stub, ask| stub.script(ask).await).await?;
        Ok(reply.script)
    }

    /// The job as it is, then each change, without a time limit; the stream ends after the job has.
    pub async fn watch_job(&self, job: JobId) -> Result<BoxStream<'static, Result<JobNews, ClientError>>, ClientError> {
        self.link.stream(WatchJobRequest { job }, async |mut stub, ask| stub.watch_job(ask).await).await
    }

    pub async fn start_step(&self, request: StepRequest) -> Result<StepGrant, ClientError> {
        self.link.call(request, async |mut stub, ask| stub.start_step(ask).await).await
    }

    /// The way to the nodes of a job that runs.
    pub async fn visit_job(&self, job: JobId) -> Result<VisitGrant, ClientError> {
        self.link.call(VisitRequest { job }, async |mut stub, ask| stub.visit_job(ask).await).await
    }

    /// An interactive job is over.
    pub async fn finish_allocation(&self, job: JobId, exit: ExitStatus) -> Result<(), ClientError> {
        let finish = FinishRequest { job, exit };
        self.link.call(finish, async |mut stub, ask| stub.finish_allocation(ask).await).await
    }

    pub async fn node_pages(&self) -> Result<Pages<NodeView>, ClientError> {
        self.link.pages((), async |mut stub, ask| stub.nodes(ask).await).await
    }

    pub async fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        gather(self.node_pages().await?).await
    }

    pub async fn act_on_nodes_pages(
        &self,
        nodes: String,
        action: NodeAction,
    ) -> Result<Pages<NodeActionResult>, ClientError> {
        let request = ActOnNodesRequest { nodes, action };
        self.link.pages(request, async |mut stub, ask| stub.act_on_nodes(ask).await).await
    }

    /// `nodes` is a hostlist.
    pub async fn act_on_nodes(&self, nodes: String, action: NodeAction) -> Result<Vec<NodeActionResult>, ClientError> {
        gather(self.act_on_nodes_pages(nodes, action).await?).await
    }

    pub async fn partitions(&self) -> Result<Vec<PartitionView>, ClientError> {
        let reply: PartitionsReply = self.link.call((), async |mut stub, ask| stub.partitions(ask).await).await?;
        Ok(reply.partitions)
    }

    pub async fn accounting(&self, query: AccountingQuery) -> Result<AccountingPage, ClientError> {
        self.link.call(query, async |mut stub, ask| stub.accounting(ask).await).await
    }

    pub async fn ledger(&self, query: LedgerQuery) -> Result<LedgerPage, ClientError> {
        self.link.call(query, async |mut stub, ask| stub.ledger(ask).await).await
    }

    pub async fn summary(&self) -> Result<ClusterSummary, ClientError> {
        self.link.call((), async |mut stub, ask| stub.summary(ask).await).await
    }

    pub async fn accounts(&self, query: AccountsQuery) -> Result<Vec<AccountsEntry>, ClientError> {
        gather(self.account_pages(query).await?).await
    }

    pub async fn account_pages(&self, query: AccountsQuery) -> Result<Pages<AccountsEntry>, ClientError> {
        self.link.pages(query, async |mut stub, ask| stub.accounts(ask).await).await
    }

    /// All of the changes are made, or none.
    pub async fn edit_accounts(&self, edits: Vec<AccountsEdit>) -> Result<(), ClientError> {
        self.link.call(EditAccountsRequest { edits }, async |mut stub, ask| stub.edit_accounts(ask).await).await
    }

    pub async fn config_show(&self) -> Result<Vec<ConfigEntry>, ClientError> {
        let reply: ConfigReply = self.link.call((), async |mut stub, ask| stub.config_show(ask).await).await?;
        Ok(reply.entries)
    }

    /// Reads the configuration again; what changed, in words.
    pub async fn reconfigure(&self) -> Result<Vec<String>, ClientError> {
        let reply: TextList = self.link.call((), async |mut stub, ask| stub.reconfigure(ask).await).await?;
        Ok(reply.texts)
    }

    /// Makes, lists or revokes tokens with which this user comes over the network.
    pub async fn user_tokens(&self, ask: UserTokenAsk) -> Result<UserTokenReply, ClientError> {
        self.link.call(ask, async |mut stub, ask| stub.user_tokens(ask).await).await
    }

    /// A token with which a machine may join, and where.
    pub async fn join_token(&self, joiner: JoinTokenFor) -> Result<JoinTicket, ClientError> {
        let reply: JoinTokenReply = self.link.call(joiner, async |mut stub, ask| stub.join_token(ask).await).await?;
        Ok(JoinTicket { controller: reply.controller, ca_pin: reply.ca_pin, secret: reply.token })
    }
}
