//! `squall down`: jobs are cancelled, nodes given back, and every process is gone.

use super::controller::{self, reach};
use super::process::Process;
use super::remains::{self, Left, Search};
use super::{Place, asked_to_stop, keeper, runtime};
use crate::asked::{Row, Subcommand};
use crate::controller::personal_state;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use nix::sys::signal::Signal;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::api::{JobAction, JobFilter, NodeAction, NodeCondition, NodeView};
use squall_types::hostlist;
use std::fmt::Display;
use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// From cancelling the jobs to an empty pool: longer than the grace between SIGTERM and SIGKILL.
const EMPTY_PATIENCE: Duration = Duration::from_secs(90);
/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(200);
/// For processes to be gone after all of them were told to end.
const GONE_PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer to a question.
const MAX_ANSWER: u64 = 64;
/// Left processes that are listed.
const MAX_LISTED: usize = 20;

pub const DOWN: Subcommand = Subcommand {
    name: "down",
    operands: "",
    about: "Ends the cluster that squall up started: cancels its jobs, gives its nodes back, stops its controller,\n\
            and checks that no process is left. What it keeps on disk stays.",
    rows: &[
        Row { long: "yes", value: None, help: "cancel jobs without asking" },
        Row { long: "dir", value: Some("DIR"), help: "where it was told to keep everything" },
    ],
};

/// # Errors
/// What keeps it from ending, or what is left of it.
pub fn down(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = DOWN.read(words)? else {
        write!(invocation.out, "{}", DOWN.help())?;
        return Ok(0);
    };
    let dir = match asked.text("dir") {
        Some(dir) => invocation.directory.join(dir),
        None => personal_state(&invocation.environment, &invocation.caller.home),
    };
    let place = Place::at(&dir);
    if !place.config().exists() {
        return Err(failed(format_args!("there is no cluster in {}", dir.display())));
    }
    let runtime = runtime().map_err(failed)?;
    if !asked.has("yes") && !may_cancel(invocation, &place, &runtime)? {
        return Err(failed("nothing was ended"));
    }
    end(invocation, &place, &runtime)
}

fn failed(error: impl Display) -> Failure {
    Failure::error("squall down", escaped(&error.to_string()))
}

/// Asks, where jobs would be cancelled and somebody is there to be asked.
fn may_cancel(invocation: &mut Invocation<'_>, place: &Place, runtime: &Runtime) -> Result<bool, Failure> {
    let target = controller::target(place).map_err(failed)?;
    let jobs = runtime.block_on(async {
        let (client, _) = reach(&target).await?;
        client.jobs(JobFilter::default()).await
    });
    let count = jobs.map_or(0, |jobs| jobs.len());
    if count == 0 {
        return Ok(true);
    }
    let are = if count == 1 { "1 job has".to_owned() } else { format!("{count} jobs have") };
    if !std::io::stdin().is_terminal() {
        return Err(failed(format_args!("{are} not ended")).and_line("  try:    squall down --yes     cancels them"));
    }
    write!(invocation.out, "{are} not ended. Cancel and end the cluster? [y/N] ")?;
    invocation.out.flush()?;
    let mut answer = String::new();
    BufReader::new(invocation.input.take(MAX_ANSWER)).read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Ends everything; what cannot be ended in good order is named.
pub(super) fn end(invocation: &mut Invocation<'_>, place: &Place, runtime: &Runtime) -> Result<i32, Failure> {
    let mut trouble = Vec::new();
    match runtime.block_on(in_good_order(place)) {
        Ok(None) => {}
        Ok(Some(emptied)) => {
            writeln!(invocation.out, "{emptied}")?;
            if !emptied.is_empty() {
                trouble.push("not everything ended in time".to_owned());
            }
        }
        Err(why) => trouble.push(why),
    }
    if let Some(keeper) = keeper::of(place) {
        keeper.signal(Signal::SIGTERM);
        if !keeper.wait(GONE_PATIENCE) {
            trouble.push(format!("process {} keeps the controller up and does not end", keeper.pid));
        }
    }
    if !controller::stop(place) {
        trouble.push("the controller does not end".to_owned());
    }
    let left = remains::wait_for_none(place, Search::Marked, GONE_PATIENCE);
    if trouble.is_empty() && left.is_empty() {
        writeln!(invocation.out, "your cluster is down; no process is left")?;
        return Ok(0);
    }
    let mut failure = failed(trouble.first().map_or("processes are left", String::as_str));
    for line in trouble.iter().skip(1).cloned().chain(listed(&left)) {
        failure = failure.and_line(format!("  {}", escaped(&line)));
    }
    Err(failure)
}

/// Lines that name processes.
pub fn listed(left: &[Left]) -> Vec<String> {
    let mut lines: Vec<String> =
        left.iter().take(MAX_LISTED).map(|left| format!("process {}: {}", left.process.pid, left.command)).collect();
    if left.len() > MAX_LISTED {
        lines.push(format!("and {} more", left.len() - MAX_LISTED));
    }
    lines
}

/// Through the controller, which is started again for it if it has died; `None` where nothing runs at all.
async fn in_good_order(place: &Place) -> Result<Option<Emptied>, String> {
    if Process::recorded(&place.controller_record()).is_none() && keeper::of(place).is_none() {
        if remains::find(place, Search::Marked).is_empty() {
            return Ok(None);
        }
        let mut child = controller::start(place).map_err(|error| error.to_string())?;
        controller::wait_ready(place, &mut child).await.map_err(|error| error.to_string())?;
    }
    let target = controller::target(place).map_err(|error| error.to_string())?;
    let client = Client::lazy(&target).map_err(|error| error.to_string())?;
    tokio::select! {
        emptied = empty(&client, EMPTY_PATIENCE) => Ok(Some(emptied)),
        () = asked_to_stop() => Err("interrupted while jobs and nodes were ending".to_owned()),
    }
}

/// What was cancelled and given back, and what is still there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Emptied {
    pub cancelled: usize,
    pub given_back: usize,
    pub jobs_left: usize,
    pub nodes_left: usize,
    /// Why the controller could not be asked.
    pub trouble: Option<String>,
}

impl Emptied {
    pub fn is_empty(&self) -> bool {
        self.jobs_left == 0 && self.nodes_left == 0 && self.trouble.is_none()
    }
}

impl Display for Emptied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} jobs cancelled, {} nodes given back", self.cancelled, self.given_back)?;
        if self.jobs_left + self.nodes_left > 0 {
            write!(f, "; {} jobs and {} nodes are still there", self.jobs_left, self.nodes_left)?;
        }
        match &self.trouble {
            Some(trouble) => write!(f, "; {}", escaped(trouble)),
            None => Ok(()),
        }
    }
}

/// Cancels every job, then gives every node back, until nothing is left or `patience` is over.
pub async fn empty(client: &Client, patience: Duration) -> Emptied {
    let until = Instant::now() + patience;
    let mut emptied = Emptied::default();
    let mut most_nodes = 0;
    let mut most_jobs = 0;
    loop {
        match once(client).await {
            Ok((jobs, nodes)) => {
                (most_jobs, most_nodes) = (most_jobs.max(jobs), most_nodes.max(nodes));
                emptied = Emptied {
                    cancelled: most_jobs - jobs,
                    given_back: most_nodes - nodes,
                    jobs_left: jobs,
                    nodes_left: nodes,
                    trouble: None,
                };
            }
            // It may just be starting again.
            Err(error) => emptied.trouble = Some(error.to_string()),
        }
        if emptied.is_empty() || Instant::now() >= until {
            return emptied;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// One round: how many jobs and nodes there are, all of them told to end.
async fn once(client: &Client) -> Result<(usize, usize), ClientError> {
    let jobs = client.jobs(JobFilter::default()).await?.len();
    if jobs > 0 {
        client.act(JobFilter::default(), JobAction::CancelCron).await?;
    }
    let nodes: Vec<NodeView> =
        client.nodes().await?.into_iter().filter(|node| node.condition != NodeCondition::PoweredDown).collect();
    let names: Vec<String> = nodes.iter().map(|node| node.name.to_string()).collect();
    if jobs == 0 && !names.is_empty() {
        client.act_on_nodes(hostlist::compress(&names), NodeAction::PowerDown).await?;
    }
    Ok((jobs, nodes.len()))
}
