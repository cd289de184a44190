//! Servers with answers that tests recognise.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use squall_proto::server::*;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery, Entity};
use squall_types::agent::*;
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::step::*;
use squall_types::visit::*;
use squall_types::*;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A controller that knows so many jobs and remembers nothing. What it was told of a caller it says in its answers.
pub struct Answers {
    pub jobs: u32,
}

pub fn job_view(job: u32) -> JobView {
    JobView {
        min_cpus: 1,
        min_memory_mib: 0,
        req_nodes: String::new(),
        exc_nodes: String::new(),
        wckey: String::new(),
        licenses: String::new(),
        suspend_at: None,
        suspended: Span::ZERO,
        job: JobId(job),
        array: None,
        het: None,
        attempt: Attempt(1),
        restarts: 0,
        name: "train".into(),
        uid: Uid(1000),
        gid: Gid(1000),
        user: "ada".into(),
        account: "research".into(),
        partition: "a100,h100".into(),
        qos: "normal".into(),
        state: JobState::Pending,
        reason: Reason::Priority,
        priority: 7,
        nice: -3,
        submitted_at: Timestamp(1),
        eligible_at: None,
        start_at: None,
        end_at: None,
        time_limit: Some(Span::from_hours(2)),
        nodes: Vec::new(),
        node_count: 1,
        max_nodes: 1,
        cpus: 4,
        tasks: 1,
        memory_mib: 1024,
        gpus: 1,
        tres: String::new(),
        tres_per_node: String::new(),
        exit: ExitStatus::default(),
        work_dir: "/home/ada".into(),
        command: "/home/ada/train.sh".into(),
        comment: String::new(),
        dependency: String::new(),
        constraint: String::new(),
        prefer: String::new(),
        exclusive: false,
        cost: MicroUsd(12),
    }
}

pub fn refusal() -> Refusal {
    Refusal {
        code: "SQ1042".into(),
        slurm: "Requested node configuration is not available".into(),
        asked: "--gpus-per-node=16".into(),
        limit: "the largest node type there has 8 GPUs".into(),
        try_this: "--nodes=2 --gpus-per-node=8".into(),
    }
}

#[async_trait]
impl ClientApi for Answers {
    async fn ping(&self, channel: Channel) -> Result<PingReply, Failure> {
        Ok(PingReply { hostname: format!("{channel:?} with {:?}", channel.bearer), ..PingReply::default() })
    }
    async fn submit(&self, _: Channel, request: SubmitRequest) -> Result<SubmitReply, Failure> {
        match request.spec.ask.gpus {
            GpuAsk::PerNode(16, _) => Err(refusal().into()),
            _ => Ok(SubmitReply {
                job: JobId(self.jobs + 1),
                notes: request.spec.partitions.iter().map(|p| p.0.clone()).collect(),
                ..SubmitReply::default()
            }),
        }
    }
    async fn jobs(&self, _: Channel, _: JobFilter) -> Result<Parts<JobView>, Failure> {
        let all = (1..=self.jobs).map(job_view).collect();
        Ok(stream::iter([Ok(all)]).boxed())
    }
    async fn job(&self, _: Channel, job: JobRef) -> Result<Parts<JobDetail>, Failure> {
        let detail = JobDetail { view: job_view(job.job.0), spec: JobSpec::default(), allocations: Vec::new() };
        Ok(stream::iter([Ok(vec![detail]), Err(Failure::Busy("the rest would take too long".into()))]).boxed())
    }
    async fn job_details(&self, _: Channel, _: JobFilter) -> Result<Parts<JobDetail>, Failure> {
        let detail = |id| JobDetail { view: job_view(id), spec: JobSpec::default(), allocations: Vec::new() };
        let all = (1..=self.jobs).map(detail).collect();
        Ok(stream::iter([Ok(all)]).boxed())
    }
    async fn act(&self, _: Channel, filter: JobFilter, action: JobAction) -> Result<Parts<ActionResult>, Failure> {
        let refused = matches!(action, JobAction::Requeue { .. }).then(refusal);
        let results = filter.jobs.iter().map(|job| ActionResult { job: job.job.to_string(), refusal: refused.clone() });
        Ok(stream::iter([Ok(results.collect())]).boxed())
    }
    async fn why(&self, _: Channel, job: JobRef) -> Result<Explanation, Failure> {
        Ok(Explanation { job: job.job, ..Explanation::default() })
    }
    async fn script(&self, _: Channel, _: JobId) -> Result<Vec<u8>, Failure> {
        // Long enough that a client with little patience gives up.
        tokio::time::sleep(Duration::from_secs(60)).await;
        Ok(b"#!/bin/sh\n".to_vec())
    }
    async fn watch_job(&self, _: Channel, job: JobId) -> Result<Outgoing<JobNews>, Failure> {
        let news = move |state| Ok(JobNews { view: JobView { state, ..job_view(job.0) }, end: None });
        Ok(stream::iter([news(JobState::Running), news(JobState::Ended(EndState::Completed))]).boxed())
    }
    async fn start_step(&self, _: Channel, request: StepRequest) -> Result<StepGrant, Failure> {
        Ok(StepGrant { tasks: request.tasks.unwrap_or(1), ..StepGrant::default() })
    }
    async fn visit_job(&self, _: Channel, job: JobId) -> Result<VisitGrant, Failure> {
        Ok(VisitGrant { run: Run { job, attempt: Attempt(1) }, ..VisitGrant::default() })
    }
    async fn finish_allocation(&self, channel: Channel, _: JobId, _: ExitStatus) -> Result<(), Failure> {
        channel.job_credential.map(drop).ok_or_else(|| Failure::Denied("only the job itself may".into()))
    }
    async fn nodes(&self, _: Channel) -> Result<Parts<NodeView>, Failure> {
        Ok(stream::empty().boxed())
    }
    async fn act_on_nodes(&self, _: Channel, nodes: String, _: NodeAction) -> Result<Parts<NodeActionResult>, Failure> {
        let result = NodeActionResult { node: nodes.as_str().into(), refusal: None };
        Ok(stream::iter([Ok(vec![result])]).boxed())
    }
    async fn partitions(&self, _: Channel) -> Result<Vec<PartitionView>, Failure> {
        Ok(Vec::new())
    }
    async fn accounting(&self, _: Channel, query: AccountingQuery) -> Result<AccountingPage, Failure> {
        Ok(AccountingPage { jobs: Vec::new(), next: query.after })
    }
    async fn ledger(&self, _: Channel, query: LedgerQuery) -> Result<LedgerPage, Failure> {
        Ok(LedgerPage { rows: Vec::new(), next: query.after })
    }
    async fn summary(&self, _: Channel) -> Result<ClusterSummary, Failure> {
        Ok(ClusterSummary { jobs_pending: self.jobs.into(), ..ClusterSummary::default() })
    }
    async fn accounts(&self, _: Channel, query: AccountsQuery) -> Result<Parts<AccountsEntry>, Failure> {
        let entry = |name| AccountsEntry { entity: Entity::Account(name), uid: None, settings: Vec::new() };
        Ok(stream::iter([Ok(query.accounts.into_iter().map(entry).collect())]).boxed())
    }
    async fn edit_accounts(&self, _: Channel, edits: Vec<AccountsEdit>) -> Result<(), Failure> {
        if edits.is_empty() { Ok(()) } else { Err(Failure::Refused(refusal())) }
    }
    async fn config_show(&self, _: Channel) -> Result<Vec<ConfigEntry>, Failure> {
        Ok(vec![ConfigEntry { key: "cluster.name".into(), value: "test".into(), source: "default".into() }])
    }
    async fn crontab(&self, _: Channel, user: Option<Uid>) -> Result<String, Failure> {
        Ok(format!("# of {user:?}\n"))
    }
    async fn set_crontab(&self, _: Channel, request: CrontabRequest) -> Result<Vec<String>, Failure> {
        Ok(request.entries.into_iter().map(|entry| entry.submission.spec.name).collect())
    }
    async fn reconfigure(&self, _: Channel) -> Result<Vec<String>, Failure> {
        Err(Failure::Standby("this controller does not lead".into()))
    }
    async fn user_tokens(&self, _: Channel, ask: UserTokenAsk) -> Result<UserTokenReply, Failure> {
        let token = UserToken { id: format!("{ask:?}"), ..UserToken::default() };
        Ok(UserTokenReply { tokens: vec![token], made: None })
    }
    async fn join_token(&self, _: Channel, joiner: JoinTokenFor) -> Result<JoinTicket, Failure> {
        let (controller, ca_pin) = ("https://c:1".to_owned(), "ab".repeat(32));
        Ok(JoinTicket { controller, ca_pin, secret: format!("{joiner:?}") })
    }
}

#[async_trait]
impl NodeApi for Answers {
    async fn join(&self, channel: Channel, request: JoinRequest) -> Result<JoinReply, Failure> {
        if request.secret != "right" {
            return Err(Failure::Denied("the join secret is not valid".into()));
        }
        Ok(JoinReply {
            name: request.hostname.as_str().into(),
            ca_pem: format!("{:?}", channel.cert_der),
            ..JoinReply::default()
        })
    }
    async fn renew(&self, channel: Channel, _: String) -> Result<JoinReply, Failure> {
        let certificate = channel.cert_der.ok_or_else(|| Failure::Denied("come with a certificate".into()))?;
        Ok(JoinReply { credential_key: certificate, ..JoinReply::default() })
    }
    async fn attach(&self, _: Channel, mut reports: Incoming<AgentReport>) -> Result<Outgoing<AgentOrder>, Failure> {
        // Says nothing before the agent has said hello.
        let Some(Ok(AgentReport::Hello { epoch, generation, .. })) = reports.next().await else {
            return Err(Failure::Denied("the first report is to be hello".into()));
        };
        let full =
            AgentOrder::FullSet { epoch, generation, assignments: Vec::new(), die_at: None, keep_unknown: false };
        let answers = reports.map(|report| match report {
            Ok(AgentReport::Step(end)) => {
                Ok(AgentOrder::Acknowledged { runs: Vec::new(), steps: vec![(end.run, end.step)] })
            }
            Ok(report) => Ok(AgentOrder::Refused { why: format!("{report:?}") }),
            Err(broken) => Err(Failure::Internal(broken.to_string())),
        });
        Ok(stream::iter([Ok(full)]).chain(answers).boxed())
    }
    async fn fetch_blob(&self, _: Channel, digest: BlobDigest, run: Run) -> Result<Vec<u8>, Failure> {
        Ok(vec![digest.0[0]; run.job.0 as usize])
    }
}

/// Echoes input of a step.
#[async_trait]
impl StepApi for Answers {
    async fn run_step(&self, _: Channel, mut commands: Incoming<StepCommand>) -> Result<Outgoing<StepNews>, Failure> {
        let Some(Ok(StepCommand::Start(start))) = commands.next().await else {
            return Err(Failure::Denied("the first command is to be start".into()));
        };
        let started = StepNews::Output { rank: 0, stream: OutputStream::Stderr, bytes: start.command.join(" ").into() };
        let echo = commands.filter_map(|command| async move {
            match command.ok()? {
                StepCommand::Stdin { bytes, .. } => {
                    Some(Ok(StepNews::Output { rank: 1, stream: OutputStream::Stdout, bytes }))
                }
                StepCommand::Signal { signal } => {
                    Some(Ok(StepNews::TaskExit { rank: 1, exit: ExitStatus { code: 0, signal } }))
                }
                _ => None,
            }
        });
        Ok(stream::iter([Ok(started)]).chain(echo).chain(stream::iter([Ok(StepNews::Finished)])).boxed())
    }

    async fn live_steps(&self, _: Channel, credential: Vec<u8>) -> Result<Vec<LiveStep>, Failure> {
        Ok(vec![LiveStep { step: StepId(credential.len() as u32), tasks: Vec::new() }])
    }

    async fn store_file(&self, _: Channel, mut parts: Incoming<FilePart>) -> Result<Outgoing<FileStored>, Failure> {
        let Some(Ok(FilePart::Begin(begin))) = parts.next().await else {
            return Err(Failure::Denied("the first part is to be begin".into()));
        };
        let stored = stream::once(async move {
            let mut size = 0;
            while let Some(Ok(FilePart::Bytes(bytes))) = parts.next().await {
                size += bytes.len() as u64;
            }
            Ok(FileStored { errno: i32::from(size != begin.size), text: format!("{size} bytes of {}", begin.path) })
        });
        Ok(stored.boxed())
    }
}

/// Serves everything on a socket.
pub async fn serve(path: &Path, answers: Answers) -> tokio::task::JoinHandle<()> {
    let incoming = Arrivals::of(bind_unix(path, 0o600).await.unwrap()).unwrap();
    let (entrance, lasting) = by_length();
    let answers = Arc::new(answers);
    let commands = client_service(answers.clone());
    let programs = builder()
        .add_service(client_service(answers.clone()))
        .add_service(node_service(answers.clone()))
        .add_service(step_service(answers));
    tokio::spawn(async move {
        let (_, served) = tokio::join!(entrance.serve(incoming, commands), programs.serve_with_incoming(lasting));
        served.unwrap();
    })
}
