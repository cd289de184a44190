//! The course of a replay: submissions at their time, what is to be cancelled, and following until all have ended.

use super::part::{Part, Setting};
use crate::books::seconds;
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::api::{ClusterSummary, JobAction, JobFilter, JobRef, JobState, NodeCondition, Refusal};
use squall_types::{JobId, Span, Timestamp};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::time::{Duration, Instant};

/// Between two looks at the cluster.
const LOOK: Duration = Duration::from_millis(500);
/// Between two lines about how it goes.
const TELL: Duration = Duration::from_secs(10);
/// The same submission is repeated so often where nobody answers or the queue is full.
const TRIES: u32 = 60;
const TRY_AGAIN: Duration = Duration::from_millis(500);
/// The controller may be silent so long, as when it starts again.
const SILENCE: Duration = Duration::from_secs(120);

/// What became of the submissions.
#[derive(Debug, Default)]
pub struct Submitted {
    /// By the position of the part.
    pub jobs: BTreeMap<usize, JobId>,
    pub refused: BTreeMap<usize, Refusal>,
    /// How late the latest submission was answered.
    pub lag: Span,
    /// On the controller's clock.
    pub began_at: Timestamp,
}

/// Submits all parts and follows them until they have ended and, with `until_empty`, the pool is empty.
///
/// # Errors
/// In words: a submission that fails for another reason than its job, or a controller that stays silent.
pub async fn drive(
    client: &Client,
    parts: &[Part],
    setting: &Setting,
    until_empty: bool,
    tell: &RefCell<dyn Write + '_>,
) -> Result<(Submitted, ClusterSummary), String> {
    let began = Instant::now();
    let began_at = client.summary().await.map_err(|error| error.to_string())?.now;
    let progress = RefCell::new(Submitted { began_at, ..Submitted::default() });
    let submitting = submit_all(client, parts, setting, began, &progress);
    let following = follow(client, parts, began, &progress, until_empty, tell);
    let ((), last) = tokio::try_join!(submitting, following)?;
    Ok((progress.into_inner(), last))
}

async fn submit_all(
    client: &Client,
    parts: &[Part],
    setting: &Setting,
    began: Instant,
    progress: &RefCell<Submitted>,
) -> Result<(), String> {
    for (at, part) in parts.iter().enumerate() {
        let due = began + Duration::from_millis(part.submit_after.0.max(0) as u64);
        tokio::time::sleep_until(due.into()).await;
        let outcome = submit(client, part, setting).await;
        let mut progress = progress.borrow_mut();
        progress.lag = Span(due.elapsed().as_millis() as i64).max(progress.lag);
        match outcome {
            Ok(job) => {
                progress.jobs.insert(at, job);
            }
            Err(ClientError::Refused(refusal)) => {
                progress.refused.insert(at, refusal);
            }
            Err(error) => return Err(format!("job {} cannot be submitted: {error}", escaped(&part.trace.id))),
        }
    }
    Ok(())
}

/// Repeats with the same token, so that it is one job however often it is asked for.
async fn submit(client: &Client, part: &Part, setting: &Setting) -> Result<JobId, ClientError> {
    let mut left = TRIES;
    loop {
        match client.submit(part.request(setting)).await {
            Ok(reply) => return Ok(reply.job),
            Err(ClientError::Unreachable { .. } | ClientError::TimedOut { .. } | ClientError::Busy(_)) if left > 0 => {
                left -= 1;
                tokio::time::sleep(TRY_AGAIN).await;
            }
            Err(error) => return Err(error),
        }
    }
}

async fn follow(
    client: &Client,
    parts: &[Part],
    began: Instant,
    progress: &RefCell<Submitted>,
    until_empty: bool,
    tell: &RefCell<dyn Write + '_>,
) -> Result<ClusterSummary, String> {
    let mut heard = Instant::now();
    let mut told = Instant::now();
    loop {
        tokio::time::sleep(LOOK).await;
        let look = match Look::take(client, parts, progress).await {
            Ok(look) => look,
            Err(error) if heard.elapsed() > SILENCE => return Err(format!("the controller is silent: {error}")),
            Err(_) => continue,
        };
        heard = Instant::now();
        let (submitted, settled) = {
            let progress = progress.borrow();
            (progress.jobs.len(), progress.jobs.len() + progress.refused.len() == parts.len())
        };
        let over = settled && look.live == 0 && (!until_empty || (look.nodes == 0 && look.summary.orders_open == 0));
        if over || told.elapsed() > TELL {
            told = Instant::now();
            let elapsed = seconds(Span(began.elapsed().as_millis() as i64));
            let Look { live, running, nodes, summary } = &look;
            // Whoever listens may have gone; the replay goes on.
            let _ = writeln!(
                tell.borrow_mut(),
                "{elapsed:>9}  {submitted} of {} submitted, {live} live, {running} running, {nodes} nodes, spent {}",
                parts.len(),
                summary.spent
            );
        }
        if over {
            return Ok(look.summary);
        }
    }
}

/// The replay's jobs and the cluster at one moment.
struct Look {
    live: usize,
    running: usize,
    nodes: usize,
    summary: ClusterSummary,
}

impl Look {
    /// Looks, and cancels what has run for as long as it was to.
    async fn take(client: &Client, parts: &[Part], progress: &RefCell<Submitted>) -> Result<Look, ClientError> {
        let ours: BTreeMap<JobId, usize> = progress.borrow().jobs.iter().map(|(at, job)| (*job, *at)).collect();
        let summary = client.summary().await?;
        let jobs = client.jobs(JobFilter::default()).await?;
        let live: Vec<_> = jobs.iter().filter(|job| ours.contains_key(&job.job)).collect();
        let running = live.iter().filter(|job| job.state == JobState::Running);
        let over = running.clone().filter_map(|job| {
            let after = parts.get(*ours.get(&job.job)?)?.cancel_after?;
            (summary.now >= job.start_at? + after).then_some(JobRef::from(job.job))
        });
        let over: Vec<JobRef> = over.collect();
        if !over.is_empty() {
            client.act(JobFilter { jobs: over, ..JobFilter::default() }, JobAction::Cancel).await?;
        }
        let nodes = client.nodes().await?;
        let nodes = nodes.iter().filter(|node| node.condition != NodeCondition::PoweredDown).count();
        Ok(Look { live: live.len(), running: running.count(), nodes, summary })
    }
}
