//! The course of the demo: submit, watch until the pool is empty again, gather the evidence.

use super::look::{Changes, Look};
use super::outputs::{read_ranks, read_reports};
use super::screen::Screen;
use super::stage::{ELEMENTS, Stage, Submission};
use super::verdict::{Cast, Evidence};
use crate::books::{self, Books, seconds};
use crate::invocation::Invocation;
use crate::personal::{asked_to_stop, empty};
use crate::terminal::escaped;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::{JobId, Span, Timestamp};
use std::fs;
use std::time::{Duration, Instant};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(150);
/// The whole play takes a fraction of this; on a machine that is busy with other things it may take longer.
const PATIENCE: Duration = Duration::from_secs(180);
/// For jobs and nodes to end after an interruption.
const END_PATIENCE: Duration = Duration::from_secs(20);

/// How the play ended.
#[derive(Debug)]
pub enum Told {
    Over(Box<Evidence>),
    Interrupted,
}

/// # Errors
/// In words: the cluster does not start or answer, a submission fails, or it takes too long.
pub async fn play(
    invocation: &mut Invocation<'_>,
    stage: &mut Stage,
    live: bool,
    began: Instant,
) -> Result<Told, String> {
    let mut show = Show::new(invocation, live, began)?;
    let opened = stage.open().await;
    let client = match opened {
        Ok(client) => client,
        Err(why) => {
            show.close();
            return Err(why);
        }
    };
    let result = tokio::select! {
        result = course(&client, stage, &mut show) => result.map(Told::Over),
        () = asked_to_stop() => Ok(Told::Interrupted),
    };
    show.close();
    if !matches!(result, Ok(Told::Over(_))) {
        // What the jobs and nodes are is over with the demo, however it ended.
        empty(&client, END_PATIENCE).await;
    }
    result
}

async fn course(client: &Client, stage: &Stage, show: &mut Show<'_, '_>) -> Result<Box<Evidence>, String> {
    let asked = |error: ClientError| format!("the controller does not answer: {error}");
    let first = Look::take(client).await.map_err(asked)?;
    let began_at = first.summary.now;
    show.say(&format!("the controller is up; the pool has {} nodes", first.nodes.len()));
    let cast = submit(stage, show)?;
    let last = watch(client, show).await?;
    let accounted = books::accounted(client, Timestamp(began_at.0 - 1)).await.map_err(asked)?;
    let ledger = books::ledger(client).await.map_err(asked)?;
    let books = Books::close(&ledger, &Evidence::receipts(&last.jobs), &last.summary);
    let read = |name: String| fs::read_to_string(stage.work().join(name)).unwrap_or_default();
    let arrays: String = (0..ELEMENTS).map(|element| read(format!("array-{element}.out"))).collect();
    Ok(Box::new(Evidence {
        cast,
        jobs: last.jobs,
        accounted,
        ledger,
        books,
        nodes_at_first: first.nodes.len(),
        tasks: read_reports(&arrays),
        ranks: read_ranks(&read("gang.out".to_owned())),
        after: read("after.out".to_owned()),
        real_gpus: stage.machine.real_gpus,
        left: Vec::new(),
    }))
}

/// Submits the batch, as a person would.
fn submit(stage: &Stage, show: &mut Show<'_, '_>) -> Result<Cast, String> {
    let mut call = |words: &[&str]| -> Result<Submission, String> {
        let submission = stage.call(words).map_err(|error| format!("{}: {error}", words.join(" ")))?;
        show.say(&format!("$ {}", submission.line));
        for line in submission.said.lines().chain(submission.complained.lines()) {
            show.say(&format!("  {line}"));
        }
        Ok(submission)
    };
    let never = call(&["sbatch", "never.sh"])?;
    let mut accepted = |words: &[&str]| -> Result<JobId, String> {
        let submission = call(words)?;
        let id = submission.said.split_ascii_whitespace().last().and_then(|word| word.parse().ok()).map(JobId);
        let failed = || format!("{} ended with {:?}: {}", submission.line, submission.code, submission.complained);
        id.filter(|_| submission.code == Some(0)).ok_or_else(failed)
    };
    let array = accepted(&["sbatch", "array.sh"])?;
    let gang = accepted(&["sbatch", "gang.sh"])?;
    let after = accepted(&["sbatch", &format!("--dependency=afterok:{array}"), "after.sh"])?;
    Ok(Cast { array, gang, after, never })
}

/// Looks and shows until all jobs have ended and the pool is empty.
async fn watch(client: &Client, show: &mut Show<'_, '_>) -> Result<Look, String> {
    let mut changes = Changes::default();
    let mut silent_since: Option<Instant> = None;
    loop {
        match Look::take(client).await {
            Ok(look) => {
                silent_since = None;
                show.look(&look, &mut changes);
                if look.is_over() {
                    return Ok(look);
                }
                if show.began.elapsed() > PATIENCE {
                    let left = look.jobs.iter().filter(|job| job.end_at.is_none()).count();
                    let (nodes, alarm) = (look.nodes.len(), &look.summary.alarm);
                    let patience = PATIENCE.as_secs();
                    return Err(format!("after {patience} s {left} jobs and {nodes} nodes are still there {alarm}"));
                }
            }
            Err(error) => {
                let since = *silent_since.get_or_insert_with(Instant::now);
                if since.elapsed() > END_PATIENCE {
                    return Err(format!("the controller does not answer: {error}"));
                }
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Where the play is shown: a page that is drawn again, or lines.
struct Show<'a, 'b> {
    invocation: &'a mut Invocation<'b>,
    screen: Option<Screen>,
    began: Instant,
}

/// Lines under the page.
const MAX_NOTES: usize = 8;

impl<'a, 'b> Show<'a, 'b> {
    fn new(invocation: &'a mut Invocation<'b>, live: bool, began: Instant) -> Result<Self, String> {
        let screen = if live { Some(Screen::open(invocation.out).map_err(|error| error.to_string())?) } else { None };
        Ok(Show { invocation, screen, began })
    }

    fn elapsed(&self) -> Span {
        Span(self.began.elapsed().as_millis() as i64)
    }

    // Whoever watches may have gone; the play goes on and its end is told by the exit code.
    fn say(&mut self, text: &str) {
        let elapsed = self.elapsed();
        let text = escaped(text);
        match &mut self.screen {
            Some(screen) => {
                screen.notes.push(text.into_owned());
                let over = screen.notes.len().saturating_sub(MAX_NOTES);
                screen.notes.drain(..over);
            }
            None => {
                let _ = writeln!(self.invocation.out, "{:>7}  {text}", seconds(elapsed));
                let _ = self.invocation.out.flush();
            }
        }
    }

    fn look(&mut self, look: &Look, changes: &mut Changes) {
        let elapsed = self.elapsed();
        match &mut self.screen {
            Some(screen) => {
                let _ = screen.draw(self.invocation.out, look, elapsed);
            }
            None => {
                for line in changes.since_last(look) {
                    self.say(&line);
                }
            }
        }
    }

    fn close(&mut self) {
        if let Some(screen) = self.screen.take() {
            let _ = screen.close(self.invocation.out);
        }
    }
}
