//! Of what clients ask, only what shows who asked.

use super::Inner;
use async_trait::async_trait;
use squall_proto::server::{Channel, ClientApi, Failure, Outgoing, Parts};
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{ExitStatus, JobId, Uid};

fn no<T>() -> Result<T, Failure> {
    Err(Failure::Denied("not here".into()))
}

#[async_trait]
impl ClientApi for Inner {
    async fn ping(&self, channel: Channel) -> Result<PingReply, Failure> {
        let credential = channel.job_credential.map_or_else(|| "nobody".to_owned(), hex::encode);
        Ok(PingReply { hostname: credential, ..PingReply::default() })
    }
    async fn submit(&self, _: Channel, _: SubmitRequest) -> Result<SubmitReply, Failure> {
        no()
    }
    async fn jobs(&self, _: Channel, _: JobFilter) -> Result<Parts<JobView>, Failure> {
        no()
    }
    async fn job(&self, _: Channel, _: JobRef) -> Result<Parts<JobDetail>, Failure> {
        no()
    }
    async fn job_details(&self, _: Channel, _: JobFilter) -> Result<Parts<JobDetail>, Failure> {
        no()
    }
    async fn act(&self, _: Channel, _: JobFilter, _: JobAction) -> Result<Parts<ActionResult>, Failure> {
        no()
    }
    async fn why(&self, _: Channel, _: JobRef) -> Result<Explanation, Failure> {
        no()
    }
    async fn script(&self, _: Channel, _: JobId) -> Result<Vec<u8>, Failure> {
        no()
    }
    async fn watch_job(&self, _: Channel, _: JobId) -> Result<Outgoing<JobNews>, Failure> {
        no()
    }
    async fn start_step(&self, _: Channel, _: StepRequest) -> Result<StepGrant, Failure> {
        no()
    }
    async fn visit_job(&self, _: Channel, _: JobId) -> Result<VisitGrant, Failure> {
        no()
    }
    async fn finish_allocation(&self, _: Channel, _: JobId, _: ExitStatus) -> Result<(), Failure> {
        no()
    }
    async fn nodes(&self, _: Channel) -> Result<Parts<NodeView>, Failure> {
        no()
    }
    async fn act_on_nodes(&self, _: Channel, _: String, _: NodeAction) -> Result<Parts<NodeActionResult>, Failure> {
        no()
    }
    async fn partitions(&self, _: Channel) -> Result<Vec<PartitionView>, Failure> {
        no()
    }
    async fn accounting(&self, _: Channel, _: AccountingQuery) -> Result<AccountingPage, Failure> {
        no()
    }
    async fn ledger(&self, _: Channel, _: LedgerQuery) -> Result<LedgerPage, Failure> {
        no()
    }
    async fn summary(&self, _: Channel) -> Result<ClusterSummary, Failure> {
        no()
    }
    async fn accounts(&self, _: Channel, _: AccountsQuery) -> Result<Parts<AccountsEntry>, Failure> {
        no()
    }
    async fn edit_accounts(&self, _: Channel, _: Vec<AccountsEdit>) -> Result<(), Failure> {
        no()
    }
    async fn crontab(&self, _: Channel, _: Option<Uid>) -> Result<String, Failure> {
        no()
    }
    async fn set_crontab(&self, _: Channel, _: CrontabRequest) -> Result<Vec<String>, Failure> {
        no()
    }
    async fn config_show(&self, _: Channel) -> Result<Vec<ConfigEntry>, Failure> {
        no()
    }
    async fn reconfigure(&self, _: Channel) -> Result<Vec<String>, Failure> {
        no()
    }
    async fn user_tokens(&self, _: Channel, _: UserTokenAsk) -> Result<UserTokenReply, Failure> {
        no()
    }
    async fn join_token(&self, _: Channel, _: JoinTokenFor) -> Result<JoinTicket, Failure> {
        no()
    }
}
