//! A server that asks another one: an agent for its jobs, a login host's daemon for its users.

use super::{Channel, ClientApi, Failure, Outgoing, Parts};
use crate::client::Client;
use crate::failure::ClientError;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{ExitStatus, JobId, Uid};

/// Answers every call by making the same call through the client that `choose` finds for the caller: one that bears the
/// credential of the caller's job, or vouches for the caller. The caller's trace context goes along.
pub struct Forward<F> {
    choose: F,
}

impl<F> Forward<F>
where
    F: Fn(&Channel) -> Result<Client, Failure> + Send + Sync + 'static,
{
    pub fn new(choose: F) -> Self {
        Forward { choose }
    }

    fn client(&self, channel: &Channel) -> Result<Client, Failure> {
        Ok((self.choose)(channel)?.with_traceparent(channel.traceparent.clone()))
    }
}

fn passed_on<T: Send + 'static>(stream: BoxStream<'static, Result<T, ClientError>>) -> Outgoing<T> {
    stream.map(|item| item.map_err(Failure::from)).boxed()
}

#[async_trait]
impl<F> ClientApi for Forward<F>
where
    F: Fn(&Channel) -> Result<Client, Failure> + Send + Sync + 'static,
{
    async fn ping(&self, channel: Channel) -> Result<PingReply, Failure> {
        Ok(self.client(&channel)?.ping().await?)
    }

    async fn submit(&self, channel: Channel, request: SubmitRequest) -> Result<SubmitReply, Failure> {
        Ok(self.client(&channel)?.submit(request).await?)
    }

    async fn crontab(&self, channel: Channel, user: Option<Uid>) -> Result<String, Failure> {
        Ok(self.client(&channel)?.crontab(user).await?)
    }

    async fn set_crontab(&self, channel: Channel, request: CrontabRequest) -> Result<Vec<String>, Failure> {
        Ok(self.client(&channel)?.set_crontab(request).await?)
    }

    async fn jobs(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobView>, Failure> {
        Ok(passed_on(self.client(&channel)?.job_pages(filter).await?))
    }

    async fn job(&self, channel: Channel, job: JobRef) -> Result<Parts<JobDetail>, Failure> {
        Ok(passed_on(self.client(&channel)?.job_detail_pages(job).await?))
    }

    async fn job_details(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobDetail>, Failure> {
        Ok(passed_on(self.client(&channel)?.pages_of_job_details(filter).await?))
    }

    async fn act(
        &self,
        channel: Channel,
        filter: JobFilter,
        action: JobAction,
    ) -> Result<Parts<ActionResult>, Failure> {
        Ok(passed_on(self.client(&channel)?.act_pages(filter, action).await?))
    }

    async fn why(&self, channel: Channel, job: JobRef) -> Result<Explanation, Failure> {
        Ok(self.client(&channel)?.why(job).await?)
    }

    async fn script(&self, channel: Channel, job: JobId) -> Result<Vec<u8>, Failure> {
        Ok(self.client(&channel)?.script(job).await?)
    }

    async fn watch_job(&self, channel: Channel, job: JobId) -> Result<Outgoing<JobNews>, Failure> {
        Ok(passed_on(self.client(&channel)?.watch_job(job).await?))
    }

    async fn start_step(&self, channel: Channel, request: StepRequest) -> Result<StepGrant, Failure> {
        Ok(self.client(&channel)?.start_step(request).await?)
    }

    async fn visit_job(&self, channel: Channel, job: JobId) -> Result<VisitGrant, Failure> {
        Ok(self.client(&channel)?.visit_job(job).await?)
    }

    async fn finish_allocation(&self, channel: Channel, job: JobId, exit: ExitStatus) -> Result<(), Failure> {
        Ok(self.client(&channel)?.finish_allocation(job, exit).await?)
    }

    async fn nodes(&self, channel: Channel) -> Result<Parts<NodeView>, Failure> {
        Ok(passed_on(self.client(&channel)?.node_pages().await?))
    }

    async fn act_on_nodes(
        &self,
        channel: Channel,
        nodes: String,
        action: NodeAction,
    ) -> Result<Parts<NodeActionResult>, Failure> {
        Ok(passed_on(self.client(&channel)?.act_on_nodes_pages(nodes, action).await?))
    }

    async fn partitions(&self, channel: Channel) -> Result<Vec<PartitionView>, Failure> {
        Ok(self.client(&channel)?.partitions().await?)
    }

    async fn accounting(&self, channel: Channel, query: AccountingQuery) -> Result<AccountingPage, Failure> {
        Ok(self.client(&channel)?.accounting(query).await?)
    }

    async fn ledger(&self, channel: Channel, query: LedgerQuery) -> Result<LedgerPage, Failure> {
        Ok(self.client(&channel)?.ledger(query).await?)
    }

    async fn summary(&self, channel: Channel) -> Result<ClusterSummary, Failure> {
        Ok(self.client(&channel)?.summary().await?)
    }

    async fn accounts(&self, channel: Channel, query: AccountsQuery) -> Result<Parts<AccountsEntry>, Failure> {
        Ok(passed_on(self.client(&channel)?.account_pages(query).await?))
    }

    async fn edit_accounts(&self, channel: Channel, edits: Vec<AccountsEdit>) -> Result<(), Failure> {
        Ok(self.client(&channel)?.edit_accounts(edits).await?)
    }

    async fn config_show(&self, channel: Channel) -> Result<Vec<ConfigEntry>, Failure> {
        Ok(self.client(&channel)?.config_show().await?)
    }

    async fn reconfigure(&self, channel: Channel) -> Result<Vec<String>, Failure> {
        Ok(self.client(&channel)?.reconfigure().await?)
    }

    async fn user_tokens(&self, channel: Channel, ask: UserTokenAsk) -> Result<UserTokenReply, Failure> {
        Ok(self.client(&channel)?.user_tokens(ask).await?)
    }

    async fn join_token(&self, channel: Channel, joiner: JoinTokenFor) -> Result<JoinTicket, Failure> {
        Ok(self.client(&channel)?.join_token(joiner).await?)
    }
}
