//! The calls of clients, one by one.

use super::access::no_such_job;
use super::caller::denied;
use super::lists::whole;
use super::{Service, refused, unexpected, unread};
use crate::limits::NODES_PER_COMMAND;
use async_trait::async_trait;
use futures_util::StreamExt;
use squall_core::authz::Verb;
use squall_core::explain::explain;
use squall_core::views::{details_of_jobs, job_details, job_views, node_views, partition_views, summary};
use squall_core::{Command, Rejection};
use squall_engine::{Answer, Ask};
use squall_proto::VERSION;
use squall_proto::server::{Channel, ClientApi, Failure, Outgoing, Parts};
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{ExitStatus, JobId, NodeName, Uid, hostlist};

/// Nodes that are changed at the same time by one command.
const NODES_AT_ONCE: usize = 32;

#[async_trait]
impl ClientApi for Service {
    async fn ping(&self, channel: Channel) -> Result<PingReply, Failure> {
        self.enter(&channel, Verb::Ping)?;
        let published = self.published();
        Ok(PingReply {
            cluster: published.cluster.config.cluster.clone(),
            hostname: self.hostname.clone(),
            version: VERSION.to_owned(),
            epoch: published.cluster.counters.epoch.0,
            now: self.handle.now(),
        })
    }

    async fn submit(&self, channel: Channel, request: SubmitRequest) -> Result<SubmitReply, Failure> {
        self.submit_job(&channel, request).await
    }

    async fn crontab(&self, channel: Channel, user: Option<Uid>) -> Result<String, Failure> {
        self.crontab_of(&channel, user).await
    }

    async fn set_crontab(&self, channel: Channel, request: CrontabRequest) -> Result<Vec<String>, Failure> {
        self.change_crontab(&channel, request).await
    }

    async fn jobs(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobView>, Failure> {
        self.enter(&channel, Verb::ReadJobs)?;
        let (published, now) = (self.published(), self.handle.now());
        self.walk(move |give| {
            for view in job_views(&published.cluster, now, &filter) {
                if !give(view) {
                    return;
                }
            }
        })
        .await
    }

    async fn job(&self, channel: Channel, job: JobRef) -> Result<Parts<JobDetail>, Failure> {
        self.enter(&channel, Verb::ReadJobs)?;
        let (published, now) = (self.published(), self.handle.now());
        if published.cluster.jobs.get(&job.job).is_none() && published.cluster.arrays.get(&job.job).is_none() {
            return Err(no_such_job(job.job));
        }
        self.walk(move |give| {
            for detail in job_details(&published.cluster, now, &job) {
                if !give(detail) {
                    return;
                }
            }
        })
        .await
    }

    async fn job_details(&self, channel: Channel, filter: JobFilter) -> Result<Parts<JobDetail>, Failure> {
        self.enter(&channel, Verb::ReadJobs)?;
        let (published, now) = (self.published(), self.handle.now());
        self.walk(move |give| {
            for detail in details_of_jobs(&published.cluster, now, &filter) {
                if !give(detail) {
                    return;
                }
            }
        })
        .await
    }

    async fn act(
        &self,
        channel: Channel,
        filter: JobFilter,
        action: JobAction,
    ) -> Result<Parts<ActionResult>, Failure> {
        // Who may change which job is decided for each of them.
        let who = self.who(&channel, Verb::ChangeJob)?;
        match self.ask(who.caller, Ask::Many { filter, action }).await? {
            Answer::Acted(results) => Ok(whole(results)),
            Answer::Done(_) | Answer::Refused(_) => Err(unexpected()),
        }
    }

    async fn why(&self, channel: Channel, job: JobRef) -> Result<Explanation, Failure> {
        self.enter(&channel, Verb::ReadJobs)?;
        let (published, now) = (self.published(), self.handle.now());
        self.look_up(move || {
            let cluster = &published.cluster;
            // An element that has no record of its own waits with others; an array's own record may be gone before them.
            let element = job.elements.as_ref().and_then(|elements| elements.first());
            let waiting = || cluster.waiting_records(job.job).map(|(record, _)| record).next();
            let record = element.and_then(|index| cluster.record_with(job.job, index));
            let record = record.or_else(|| cluster.jobs.get(&job.job)).or_else(waiting);
            record.map(|record| explain(cluster, now, record.id)).ok_or_else(|| no_such_job(job.job))
        })
        .await
    }

    async fn script(&self, channel: Channel, job: JobId) -> Result<Vec<u8>, Failure> {
        self.script_of(&channel, job).await
    }

    async fn watch_job(&self, channel: Channel, job: JobId) -> Result<Outgoing<JobNews>, Failure> {
        self.follow(&channel, job)
    }

    async fn start_step(&self, channel: Channel, request: StepRequest) -> Result<StepGrant, Failure> {
        self.grant_step(&channel, request).await
    }

    async fn visit_job(&self, channel: Channel, job: JobId) -> Result<VisitGrant, Failure> {
        self.grant_visit(&channel, job)
    }

    async fn finish_allocation(&self, channel: Channel, job: JobId, exit: ExitStatus) -> Result<(), Failure> {
        self.finish(&channel, job, exit).await
    }

    async fn nodes(&self, channel: Channel) -> Result<Parts<NodeView>, Failure> {
        self.enter(&channel, Verb::ReadCluster)?;
        let (published, now) = (self.published(), self.handle.now());
        self.walk(move |give| {
            for view in node_views(&published.cluster, now) {
                if !give(view) {
                    return;
                }
            }
        })
        .await
    }

    async fn act_on_nodes(
        &self,
        channel: Channel,
        nodes: String,
        action: NodeAction,
    ) -> Result<Parts<NodeActionResult>, Failure> {
        let who = self.enter(&channel, Verb::ChangeNode)?;
        let wrong = |limit: String| {
            refused(Rejection::new("SQ3001", "Invalid node name specified").asked(nodes.clone()).limit(limit))
        };
        let count = hostlist::count(&nodes).map_err(|error| wrong(error.to_string()))?;
        if count > NODES_PER_COMMAND {
            return Err(wrong(format!("it names {count} nodes, one command may name {NODES_PER_COMMAND}")));
        }
        let names = hostlist::parse(&nodes).map_err(|error| wrong(error.to_string()))?;
        let results = futures_util::stream::iter(names).map(|name| {
            let (caller, action) = (who.caller.clone(), action.clone());
            async move {
                let node = NodeName::new(name);
                let command = Command::Node { node: node.clone(), action };
                match self.command(caller, command).await {
                    Ok(_) => Ok(NodeActionResult { node, refusal: None }),
                    Err(Failure::Refused(refusal)) => Ok(NodeActionResult { node, refusal: Some(refusal) }),
                    Err(failure) => Err(failure),
                }
            }
        });
        let results: Vec<Result<NodeActionResult, Failure>> = results.buffered(NODES_AT_ONCE).collect().await;
        Ok(whole(results.into_iter().collect::<Result<_, _>>()?))
    }

    async fn partitions(&self, channel: Channel) -> Result<Vec<PartitionView>, Failure> {
        self.enter(&channel, Verb::ReadCluster)?;
        let published = self.published();
        self.look_up(move || Ok(partition_views(&published.cluster))).await
    }

    async fn accounting(&self, channel: Channel, query: AccountingQuery) -> Result<AccountingPage, Failure> {
        self.enter(&channel, Verb::ReadAccounting)?;
        let journal = self.journal.clone();
        self.look_up(move || journal.accounting(&query).map_err(|error| unread(&error))).await
    }

    async fn ledger(&self, channel: Channel, query: LedgerQuery) -> Result<LedgerPage, Failure> {
        self.enter(&channel, Verb::ReadLedger)?;
        let journal = self.journal.clone();
        self.look_up(move || journal.ledger(&query).map_err(|error| unread(&error))).await
    }

    async fn summary(&self, channel: Channel) -> Result<ClusterSummary, Failure> {
        self.enter(&channel, Verb::ReadCluster)?;
        let (published, now) = (self.published(), self.handle.now());
        self.look_up(move || {
            let told = summary(&published.cluster, now);
            Ok(ClusterSummary { version: VERSION.to_owned(), seq: published.seq, ..told })
        })
        .await
    }

    async fn accounts(&self, channel: Channel, query: AccountsQuery) -> Result<Parts<AccountsEntry>, Failure> {
        self.list_accounts(&channel, query).await
    }

    async fn edit_accounts(&self, channel: Channel, edits: Vec<AccountsEdit>) -> Result<(), Failure> {
        self.change_accounts(&channel, edits).await
    }

    async fn config_show(&self, channel: Channel) -> Result<Vec<ConfigEntry>, Failure> {
        self.enter(&channel, Verb::ReadConfig)?;
        Ok(self.settings().entries())
    }

    async fn reconfigure(&self, channel: Channel) -> Result<Vec<String>, Failure> {
        let who = self.enter(&channel, Verb::Reconfigure)?;
        self.reloader.reload(who.caller).await
    }

    async fn user_tokens(&self, channel: Channel, ask: UserTokenAsk) -> Result<UserTokenReply, Failure> {
        self.about_tokens(&channel, ask)
    }

    async fn join_token(&self, channel: Channel, joiner: JoinTokenFor) -> Result<JoinTicket, Failure> {
        self.enter(&channel, Verb::MakeJoinToken)?;
        let known = match &joiner {
            JoinTokenFor::StaticNode(name) => {
                self.published().cluster.node_named(name).is_some_and(squall_core::node::Node::is_static)
            }
            JoinTokenFor::LoginHost(name) => self.settings().settings.login_hosts.contains_key(name),
        };
        if !known {
            let (what, table) = match &joiner {
                JoinTokenFor::StaticNode(name) => (format!("the machine {name}"), "pools.POOL.nodes"),
                JoinTokenFor::LoginHost(name) => (format!("the login host {name}"), "login_hosts"),
            };
            let rejection = Rejection::new("SQ3003", "Invalid node name specified").asked(what);
            return Err(refused(rejection.limit("it is not configured").try_this(format!("name it under [{table}]"))));
        }
        let token = self.tokens.make(&self.authority, &joiner, self.handle.now());
        Ok(JoinTicket {
            controller: format!("https://{}", self.address),
            ca_pin: self.authority.ca_pin().to_owned(),
            secret: token.map_err(|error| denied(error.to_string()))?,
        })
    }
}
