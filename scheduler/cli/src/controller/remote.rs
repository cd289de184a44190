//! The controller over its socket. A runtime is started by the first call and not before.

use super::{Controller, Found, Heard, NOWHERE};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::accounts::{AccountsEdit, AccountsEntry, AccountsQuery};
use squall_types::agent::ExitStatus;
use squall_types::api::*;
use squall_types::offer::JoinTicket;
use squall_types::{JobId, Uid};
use std::cell::OnceCell;
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often somebody who watches a job hears that time passes.
const TICK: Duration = Duration::from_secs(1);

/// A connection that is made when it is needed.
pub struct Remote {
    found: Result<Found, String>,
    trace_parent: Option<String>,
    // The client's connection lives on the runtime, so that it has to go first.
    client: OnceCell<Client>,
    runtime: OnceCell<Runtime>,
}

impl Remote {
    pub fn new(found: Result<Found, String>, trace_parent: Option<String>) -> Self {
        Remote { found, trace_parent, client: OnceCell::new(), runtime: OnceCell::new() }
    }

    fn runtime(&self) -> Result<&Runtime, ClientError> {
        if self.runtime.get().is_none() {
            let started = Builder::new_current_thread().enable_all().build();
            let started = started.map_err(|error| ClientError::Other(format!("no runtime: {error}")))?;
            let _ = self.runtime.set(started);
        }
        self.runtime.get().ok_or_else(|| ClientError::Other("no runtime".to_owned()))
    }

    /// The first of the targets that answers, and lets this process in: of jobs' sockets with one number, those of
    /// another cluster's jobs do not.
    fn client(&self) -> Result<Client, ClientError> {
        if let Some(client) = self.client.get() {
            return Ok(client.clone());
        }
        let runtime = self.runtime()?;
        let found = self.found.as_ref().map_err(|why| ClientError::Other(why.clone()))?;
        let nowhere = || ClientError::Unreachable {
            target: NOWHERE.to_owned(),
            cause: format!("there is none at {}", found.missing.join(", ")),
        };
        let mut last = Err(nowhere());
        for target in &found.targets {
            let answered = runtime.block_on(async {
                let client = Client::connect_briefly(target).await?;
                if found.targets.len() > 1
                    && let Err(error @ ClientError::Denied(_)) = client.ping().await
                {
                    return Err(error);
                }
                Ok(client)
            });
            // What one says who has a reason is worth more than that others are not there.
            if answered.is_ok() || !matches!(last, Err(ClientError::Denied(_))) {
                last = answered;
            }
            if last.is_ok() {
                break;
            }
        }
        let client = last?.with_traceparent(self.trace_parent.clone());
        Ok(self.client.get_or_init(|| client).clone())
    }

    fn call<T>(&self, ask: impl AsyncFnOnce(Client) -> Result<T, ClientError>) -> Result<T, ClientError> {
        let client = self.client()?;
        self.runtime()?.block_on(ask(client))
    }
}

impl Controller for Remote {
    fn ping(&self) -> Result<PingReply, ClientError> {
        self.call(async |client| client.ping().await)
    }

    fn submit(&self, request: &SubmitRequest) -> Result<SubmitReply, ClientError> {
        self.call(async |client| client.submit(request.clone()).await)
    }

    fn crontab(&self, user: Option<Uid>) -> Result<String, ClientError> {
        self.call(async |client| client.crontab(user).await)
    }

    fn set_crontab(&self, request: &CrontabRequest) -> Result<Vec<String>, ClientError> {
        self.call(async |client| client.set_crontab(request.clone()).await)
    }

    fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobView>, ClientError> {
        self.call(async |client| client.jobs(filter.clone()).await)
    }

    fn each_jobs(&self, filter: &JobFilter, each: &mut dyn FnMut(Vec<JobView>)) -> Result<(), ClientError> {
        self.call(async |client| {
            let mut pages = client.job_pages(filter.clone()).await?;
            while let Some(page) = pages.next().await {
                each(page?);
            }
            Ok(())
        })
    }

    fn each_details(&self, filter: &JobFilter, each: &mut dyn FnMut(Vec<JobDetail>)) -> Result<(), ClientError> {
        self.call(async |client| {
            let mut pages = client.pages_of_job_details(filter.clone()).await?;
            while let Some(page) = pages.next().await {
                each(page?);
            }
            Ok(())
        })
    }

    fn job(&self, job: &JobRef) -> Result<Vec<JobDetail>, ClientError> {
        self.call(async |client| client.job(job.clone()).await)
    }

    fn act(&self, filter: &JobFilter, action: &JobAction) -> Result<Vec<ActionResult>, ClientError> {
        self.call(async |client| client.act(filter.clone(), action.clone()).await)
    }

    fn why(&self, job: &JobRef) -> Result<Explanation, ClientError> {
        self.call(async |client| client.why(job.clone()).await)
    }

    fn script(&self, job: JobId) -> Result<Vec<u8>, ClientError> {
        self.call(async |client| client.script(job).await)
    }

    fn watch(&self, job: JobId, each: &mut dyn FnMut(Heard) -> ControlFlow<()>) -> Result<(), ClientError> {
        self.call(async |client| watch(client, job, each).await)
    }

    fn start_step(&self, request: &StepRequest) -> Result<StepGrant, ClientError> {
        self.call(async |client| client.start_step(request.clone()).await)
    }

    fn visit(&self, job: JobId) -> Result<VisitGrant, ClientError> {
        self.call(async |client| client.visit_job(job).await)
    }

    fn finish(&self, job: JobId, exit: ExitStatus) -> Result<(), ClientError> {
        self.call(async |client| client.finish_allocation(job, exit).await)
    }

    fn nodes(&self) -> Result<Vec<NodeView>, ClientError> {
        self.call(async |client| client.nodes().await)
    }

    fn act_on_nodes(&self, nodes: &str, action: &NodeAction) -> Result<Vec<NodeActionResult>, ClientError> {
        self.call(async |client| client.act_on_nodes(nodes.to_owned(), action.clone()).await)
    }

    fn partitions(&self) -> Result<Vec<PartitionView>, ClientError> {
        self.call(async |client| client.partitions().await)
    }

    fn accounting(&self, query: &AccountingQuery) -> Result<AccountingPage, ClientError> {
        self.call(async |client| client.accounting(query.clone()).await)
    }

    fn ledger(&self, query: &LedgerQuery) -> Result<LedgerPage, ClientError> {
        self.call(async |client| client.ledger(query.clone()).await)
    }

    fn summary(&self) -> Result<ClusterSummary, ClientError> {
        self.call(async |client| client.summary().await)
    }

    fn configuration(&self) -> Result<Vec<ConfigEntry>, ClientError> {
        self.call(async |client| client.config_show().await)
    }

    fn apart(&self) -> Option<Box<dyn Controller + Send>> {
        Some(Box::new(Remote::new(self.found.clone(), self.trace_parent.clone())))
    }

    fn accounts(&self, query: &AccountsQuery) -> Result<Vec<AccountsEntry>, ClientError> {
        self.call(async |client| client.accounts(query.clone()).await)
    }

    fn edit_accounts(&self, edits: Vec<AccountsEdit>) -> Result<(), ClientError> {
        self.call(async |client| client.edit_accounts(edits.clone()).await)
    }

    fn user_tokens(&self, ask: &UserTokenAsk) -> Result<UserTokenReply, ClientError> {
        self.call(async |client| client.user_tokens(ask.clone()).await)
    }

    fn join_token(&self, joiner: &JoinTokenFor) -> Result<JoinTicket, ClientError> {
        self.call(async |client| client.join_token(joiner.clone()).await)
    }

    fn reconfigure(&self) -> Result<Vec<String>, ClientError> {
        self.call(async |client| client.reconfigure().await)
    }
}

/// A lost connection is made again: a controller that restarts ends nobody's wait.
async fn watch(client: Client, job: JobId, each: &mut dyn FnMut(Heard) -> ControlFlow<()>) -> Result<(), ClientError> {
    let mut signals = Signals::new()?;
    let mut tick = tokio::time::interval(TICK);
    let mut news = Some(client.watch_job(job).await?);
    loop {
        let heard = tokio::select! {
            next = next_of(&mut news) => match next {
                None => return Ok(()),
                Some(Ok(news)) => Heard::News(Box::new(news)),
                Some(Err(error)) if may_come_back(&error) => {
                    news = None;
                    continue;
                }
                Some(Err(error)) => return Err(error),
            },
            number = signals.next() => Heard::Signal(number),
            _ = tick.tick() => {
                if news.is_none() {
                    news = match client.watch_job(job).await {
                        Ok(again) => Some(again),
                        Err(error) if may_come_back(&error) => None,
                        Err(error) => return Err(error),
                    };
                }
                Heard::Tick
            }
        };
        if each(heard).is_break() {
            return Ok(());
        }
    }
}

/// The next item of the stream that is there; nothing, for ever, while there is none.
async fn next_of<T>(stream: &mut Option<BoxStream<'static, T>>) -> Option<T> {
    match stream {
        Some(stream) => stream.next().await,
        None => std::future::pending().await,
    }
}

fn may_come_back(error: &ClientError) -> bool {
    matches!(error, ClientError::Unreachable { .. } | ClientError::TimedOut { .. } | ClientError::Busy(_))
}

/// The signals that ask a process to stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, ClientError> {
        let listen = |kind| signal(kind).map_err(|error| ClientError::Other(format!("signals: {error}")));
        Ok(Signals {
            interrupt: listen(SignalKind::interrupt())?,
            terminate: listen(SignalKind::terminate())?,
            hangup: listen(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.interrupt.recv() => SignalKind::interrupt().as_raw_value(),
            _ = self.terminate.recv() => SignalKind::terminate().as_raw_value(),
            _ = self.hangup.recv() => SignalKind::hangup().as_raw_value(),
        }
    }
}
