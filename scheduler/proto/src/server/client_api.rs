//! What clients ask the controller, or an agent that asks it for a job.

use super::{Channel, Failure, Outgoing, Parts, answer, open, outgoing};
use crate::convert::envelope::*;
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::page::paged;
use crate::pb;
use crate::pb::squall_server::{Squall, SquallServer};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{ExitStatus, JobId, Uid};
use std::sync::Arc;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

/// The calls of the service `Squall`.
#[async_trait]
pub trait ClientApi: Send + Sync + 'static {
    /// Whether a caller is heard at all, asked before anything of its message is read. Who presents nothing is not: no
    /// Unix socket, no certificate, no credential and no token.
    ///
    /// # Errors
    /// What the caller is told.
    fn admit(&self, channel: &Channel) -> Result<(), Failure> {
        let Channel { peer, cert_der, job_credential, bearer, .. } = channel;
        if peer.is_none() && cert_der.is_none() && job_credential.is_none() && bearer.is_none() {
            return Err(Failure::Denied("nothing proves who is calling: come from an enrolled host".to_owned()));
        }
        Ok(())
    }

    async fn ping(&self, channel: Channel) -> Result<PingReply, Failure>;
    async fn submit(&self, channel: Channel, request: SubmitRequest) -> Result<SubmitReply, Failure>;
    /// `None` is whoever asks.
    async fn crontab(&self, channel: Channel, user: Option<Uid>) -> Result<String, Failure>;
    /// All of the entries are taken, or none. What there is to be said about them.
    async fn set_crontab(&self, channel: Channel, request: CrontabRequest) -> Result<Vec<String>, Failure>;
    async fn jobs(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobView>, Failure>;
    async fn job(&self, channel: Channel, job: JobRef) -> Result<Parts<JobDetail>, Failure>;
    /// The jobs of [`ClientApi::jobs`] with all that is known of each.
    async fn job_details(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobDetail>, Failure>;
    /// Acts on all jobs that the filter takes; one result each.
    async fn act(&self, channel: Channel, filter: JobFilter, action: JobAction)
    -> Result<Parts<ActionResult>, Failure>;
    async fn why(&self, channel: Channel, job: JobRef) -> Result<Explanation, Failure>;
    async fn script(&self, channel: Channel, job: JobId) -> Result<Vec<u8>, Failure>;
    /// The job as it is, then each change; the stream ends after the job has.
    async fn watch_job(&self, channel: Channel, job: JobId) -> Result<Outgoing<JobNews>, Failure>;
    async fn start_step(&self, channel: Channel, request: StepRequest) -> Result<StepGrant, Failure>;
    /// The way to the nodes of a job that runs.
    async fn visit_job(&self, channel: Channel, job: JobId) -> Result<VisitGrant, Failure>;
    /// `srun` and `salloc` say that their interactive job is over.
    async fn finish_allocation(&self, channel: Channel, job: JobId, exit: ExitStatus) -> Result<(), Failure>;
    async fn nodes(&self, channel: Channel) -> Result<Parts<NodeView>, Failure>;
    /// `nodes` is a hostlist as the admin typed it.
    async fn act_on_nodes(
        &self,
        channel: Channel,
        nodes: String,
        action: NodeAction,
    ) -> Result<Parts<NodeActionResult>, Failure>;
    async fn partitions(&self, channel: Channel) -> Result<Vec<PartitionView>, Failure>;
    async fn accounting(&self, channel: Channel, query: AccountingQuery) -> Result<AccountingPage, Failure>;
    async fn ledger(&self, channel: Channel, query: LedgerQuery) -> Result<LedgerPage, Failure>;
    async fn summary(&self, channel: Channel) -> Result<ClusterSummary, Failure>;
    async fn accounts(&self, channel: Channel, query: AccountsQuery) -> Result<Parts<AccountsEntry>, Failure>;
    /// All of the changes are made, or none.
    async fn edit_accounts(&self, channel: Channel, edits: Vec<AccountsEdit>) -> Result<(), Failure>;
    async fn config_show(&self, channel: Channel) -> Result<Vec<ConfigEntry>, Failure>;
    /// What changed, in words.
    async fn reconfigure(&self, channel: Channel) -> Result<Vec<String>, Failure>;
    async fn join_token(&self, channel: Channel, joiner: JoinTokenFor) -> Result<JoinTicket, Failure>;
    /// Makes, lists or revokes tokens with which users come over the network.
    async fn user_tokens(&self, channel: Channel, ask: UserTokenAsk) -> Result<UserTokenReply, Failure>;
}

/// The service for a tonic server.
pub fn client_service<A: ClientApi>(
    api: Arc<A>,
) -> InterceptedService<SquallServer<impl Squall>, impl Interceptor + Clone> {
    let admission = api.clone();
    let service =
        SquallServer::new(Adaptor(api)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(REPLY_BYTES);
    InterceptedService::new(service, move |mut request: Request<()>| {
        let channel = Channel::of(&request)?;
        admission.admit(&channel)?;
        request.extensions_mut().insert(channel);
        Ok(request)
    })
}

struct Adaptor<A>(Arc<A>);

type Stream<T> = BoxStream<'static, Result<T, Status>>;

#[async_trait]
impl<A: ClientApi> Squall for Adaptor<A> {
    type JobsStream = Stream<pb::JobPage>;
    type JobStream = Stream<pb::JobDetailPage>;
    type JobDetailsStream = Stream<pb::JobDetailPage>;
    type ActStream = Stream<pb::ActionPage>;
    type WatchJobStream = Stream<pb::JobNews>;
    type NodesStream = Stream<pb::NodePage>;
    type ActOnNodesStream = Stream<pb::NodeActionPage>;
    type AccountsStream = Stream<pb::AccountsPage>;

    async fn ping(&self, request: Request<pb::Unit>) -> Result<Response<pb::PingReply>, Status> {
        let (channel, ()) = open(request)?;
        answer(self.0.ping(channel).await)
    }

    async fn submit(&self, request: Request<pb::SubmitRequest>) -> Result<Response<pb::SubmitReply>, Status> {
        let (channel, submission) = open(request)?;
        answer(self.0.submit(channel, submission).await)
    }

    async fn crontab(&self, request: Request<pb::CrontabQuery>) -> Result<Response<pb::CrontabReply>, Status> {
        let (channel, CrontabQuery { user }) = open(request)?;
        answer(self.0.crontab(channel, user).await.map(|text| CrontabReply { text }))
    }

    async fn set_crontab(&self, request: Request<pb::CrontabRequest>) -> Result<Response<pb::TextList>, Status> {
        let (channel, crontab) = open(request)?;
        answer(self.0.set_crontab(channel, crontab).await.map(|texts| TextList { texts }))
    }

    async fn jobs(&self, request: Request<pb::JobFilter>) -> Result<Response<Self::JobsStream>, Status> {
        let (channel, filter) = open(request)?;
        Ok(Response::new(paged(self.0.jobs(channel, filter).await?)))
    }

    async fn job(&self, request: Request<pb::JobRef>) -> Result<Response<Self::JobStream>, Status> {
        let (channel, job) = open(request)?;
        Ok(Response::new(paged(self.0.job(channel, job).await?)))
    }

    async fn job_details(&self, request: Request<pb::JobFilter>) -> Result<Response<Self::JobDetailsStream>, Status> {
        let (channel, filter) = open(request)?;
        Ok(Response::new(paged(self.0.job_details(channel, filter).await?)))
    }

    async fn act(&self, request: Request<pb::ActRequest>) -> Result<Response<Self::ActStream>, Status> {
        let (channel, ActRequest { filter, action }) = open(request)?;
        Ok(Response::new(paged(self.0.act(channel, filter, action).await?)))
    }

    async fn why(&self, request: Request<pb::JobRef>) -> Result<Response<pb::Explanation>, Status> {
        let (channel, job) = open(request)?;
        answer(self.0.why(channel, job).await)
    }

    async fn script(&self, request: Request<pb::ScriptRequest>) -> Result<Response<pb::ScriptReply>, Status> {
        let (channel, ScriptRequest { job }) = open(request)?;
        answer(self.0.script(channel, job).await.map(|script| ScriptReply { script }))
    }

    async fn watch_job(&self, request: Request<pb::WatchJobRequest>) -> Result<Response<Self::WatchJobStream>, Status> {
        let (channel, WatchJobRequest { job }) = open(request)?;
        Ok(Response::new(outgoing(self.0.watch_job(channel, job).await?)))
    }

    async fn start_step(&self, request: Request<pb::StepRequest>) -> Result<Response<pb::StepGrant>, Status> {
        let (channel, step) = open(request)?;
        answer(self.0.start_step(channel, step).await)
    }

    async fn visit_job(&self, request: Request<pb::VisitRequest>) -> Result<Response<pb::VisitGrant>, Status> {
        let (channel, VisitRequest { job }) = open(request)?;
        answer(self.0.visit_job(channel, job).await)
    }

    async fn finish_allocation(&self, request: Request<pb::FinishRequest>) -> Result<Response<pb::Unit>, Status> {
        let (channel, FinishRequest { job, exit }) = open(request)?;
        answer(self.0.finish_allocation(channel, job, exit).await)
    }

    async fn nodes(&self, request: Request<pb::Unit>) -> Result<Response<Self::NodesStream>, Status> {
        let (channel, ()) = open(request)?;
        Ok(Response::new(paged(self.0.nodes(channel).await?)))
    }

    async fn act_on_nodes(
        &self,
        request: Request<pb::ActOnNodesRequest>,
    ) -> Result<Response<Self::ActOnNodesStream>, Status> {
        let (channel, ActOnNodesRequest { nodes, action }) = open(request)?;
        Ok(Response::new(paged(self.0.act_on_nodes(channel, nodes, action).await?)))
    }

    async fn partitions(&self, request: Request<pb::Unit>) -> Result<Response<pb::PartitionsReply>, Status> {
        let (channel, ()) = open(request)?;
        answer(self.0.partitions(channel).await.map(|partitions| PartitionsReply { partitions }))
    }

    async fn accounting(&self, request: Request<pb::AccountingQuery>) -> Result<Response<pb::AccountingPage>, Status> {
        let (channel, query) = open(request)?;
        answer(self.0.accounting(channel, query).await)
    }

    async fn ledger(&self, request: Request<pb::LedgerQuery>) -> Result<Response<pb::LedgerPage>, Status> {
        let (channel, query) = open(request)?;
        answer(self.0.ledger(channel, query).await)
    }

    async fn summary(&self, request: Request<pb::Unit>) -> Result<Response<pb::ClusterSummary>, Status> {
        let (channel, ()) = open(request)?;
        answer(self.0.summary(channel).await)
    }

    async fn accounts(&self, request: Request<pb::AccountsQuery>) -> Result<Response<Self::AccountsStream>, Status> {
        let (channel, query) = open(request)?;
        Ok(Response::new(paged(self.0.accounts(channel, query).await?)))
    }

    async fn edit_accounts(&self, request: Request<pb::EditAccountsRequest>) -> Result<Response<pb::Unit>, Status> {
        let (channel, EditAccountsRequest { edits }) = open(request)?;
        answer(self.0.edit_accounts(channel, edits).await)
    }

    async fn config_show(&self, request: Request<pb::Unit>) -> Result<Response<pb::ConfigReply>, Status> {
        let (channel, ()) = open(request)?;
        answer(self.0.config_show(channel).await.map(|entries| ConfigReply { entries }))
    }

    async fn reconfigure(&self, request: Request<pb::Unit>) -> Result<Response<pb::TextList>, Status> {
        let (channel, ()) = open(request)?;
        answer(self.0.reconfigure(channel).await.map(|texts| TextList { texts }))
    }

    async fn user_tokens(&self, request: Request<pb::UserTokenAsk>) -> Result<Response<pb::UserTokenReply>, Status> {
        let (channel, ask) = open(request)?;
        answer(self.0.user_tokens(channel, ask).await)
    }

    async fn join_token(&self, request: Request<pb::JoinTokenFor>) -> Result<Response<pb::JoinTokenReply>, Status> {
        let (channel, joiner) = open(request)?;
        let made = self.0.join_token(channel, joiner).await;
        answer(made.map(|made| JoinTokenReply { token: made.secret, controller: made.controller, ca_pin: made.ca_pin }))
    }
}
