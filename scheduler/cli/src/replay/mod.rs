//! `squall replay`: the jobs of a real trace on a live cluster, each a real process with its real demand.

mod drive;
mod local;
mod part;
mod report;

use crate::asked::{Asked, Row, Subcommand};
use crate::books::{self, Books};
use crate::controller::Found;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::personal::{asked_to_stop, runtime};
use crate::terminal::escaped;
use crate::trace;
use part::{Part, Scale, Setting};
use report::Report;
use squall_proto::client::Client;
use squall_proto::connect::Target;
use squall_types::api::{JobAction, JobFilter, JobRef};
use squall_types::{JobId, Span};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::time::Instant;

const DEFAULT_SPEED: f64 = 1_000.0;
const DEFAULT_NODES: u32 = 16;
const DEFAULT_GPUS: u32 = 8;

pub const REPLAY: Subcommand = Subcommand {
    name: "replay",
    operands: "TRACE",
    about: "Submits the jobs of a trace at their times, each a process that lasts its time and holds its GPUs and nodes,\n\
            and reports waits, nodes and spend. Exits with 0 only if every job ended as it should.\n\n\
            A trace is CSV, perhaps with gzip, with the columns\n  \
            job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state",
    rows: &[
        Row { long: "speed", value: Some("FACTOR"), help: "divide times between submissions, and run times (1000)" },
        Row { long: "scale-durations", value: Some("FACTOR"), help: "divide run times and limits by this instead" },
        Row { long: "from", value: Some("SECOND|ID"), help: "begin at the first job at or after, or at this job (0)" },
        Row { long: "jobs", value: Some("N"), help: "take so many consecutive jobs (all)" },
        Row { long: "partition", value: Some("NAME"), help: "submit there" },
        Row { long: "accounts", value: None, help: "submit under the trace's account names" },
        Row { long: "cluster", value: Some("SOCKET"), help: "a controller other than the one that commands use" },
        Row { long: "local", value: None, help: "a cluster of its own: an empty pool of declared nodes" },
        Row { long: "nodes", value: Some("N"), help: "with --local: at most so many nodes (16)" },
        Row { long: "gpus-per-node", value: Some("N"), help: "with --local: GPUs on each (8)" },
        Row { long: "keep", value: None, help: "with --local: keep its folder" },
        Row { long: "json", value: None, help: "print the report as JSON" },
    ],
};

/// What is to be played.
#[derive(Debug)]
struct Plan {
    parts: Vec<Part>,
    setting: Setting,
    json: bool,
}

/// # Errors
/// What keeps it from being played; what did not end as it should is told by the exit code.
pub fn replay(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = REPLAY.read(words)? else {
        write!(invocation.out, "{}", REPLAY.help())?;
        return Ok(0);
    };
    let plan = plan(invocation, &asked)?;
    if asked.has("local") {
        if asked.has("cluster") {
            return Err(REPLAY.wrong("--local and --cluster exclude each other"));
        }
        return on_local(invocation, &asked, plan);
    }
    let target = target(invocation, &asked)?;
    let runtime = runtime().map_err(failed)?;
    let began = Instant::now();
    let report = runtime.block_on(async {
        let client = Client::connect(&target).await.map_err(|error| error.to_string())?;
        let played = play(&client, &plan, false, invocation.err).await?;
        let rows = books::ledger(&client).await.map_err(|error| error.to_string())?;
        let ours: BTreeSet<JobId> = played.submitted.jobs.values().copied().collect();
        let books = Books::of(&Books::caused(&rows, &ours), &played.receipts);
        Ok(played.report(&plan, began).with_books(&books, false))
    });
    tell(invocation, &plan, &report.map_err(|why: String| failed(why))?)
}

fn failed(error: impl Display) -> Failure {
    Failure::error("squall replay", escaped(&error.to_string()))
}

fn plan(invocation: &Invocation<'_>, asked: &Asked) -> Result<Plan, Failure> {
    let [trace] = asked.operands.as_slice() else {
        return Err(REPLAY.wrong("one trace is played at a time: squall replay TRACE"));
    };
    let factor = |long: &str| {
        let factor = asked.parsed::<f64>(&REPLAY, long, "a number above 0")?;
        match factor.filter(|factor| !(factor.is_finite() && *factor > 0.0)) {
            Some(wrong) => Err(REPLAY.wrong(format_args!("--{long}={wrong}: expected a number above 0"))),
            None => Ok(factor),
        }
    };
    let speed = factor("speed")?.unwrap_or(DEFAULT_SPEED);
    let scale = Scale { speed, durations: factor("scale-durations")?.unwrap_or(speed) };
    let from = match asked.text("from") {
        None => trace::From::Second(0.0),
        Some(text) => match text.parse::<f64>() {
            Ok(second) if second >= 0.0 => trace::From::Second(second),
            Ok(_) => return Err(REPLAY.wrong(format_args!("--from={text}: a trace begins at 0"))),
            Err(_) => trace::From::Job(text.to_owned()),
        },
    };
    let count = asked.parsed::<usize>(&REPLAY, "jobs", "a number of jobs")?.unwrap_or(usize::MAX);
    if count == 0 {
        return Err(REPLAY.wrong("--jobs=0: expected a number of jobs"));
    }
    let path = invocation.directory.join(trace);
    let read = trace::read_file(&path, &from, count);
    let jobs = read.map_err(|error| failed(format_args!("{}: {error}", path.display())))?;
    let setting = Setting {
        partition: asked.text("partition").map(Into::into),
        work_dir: invocation.directory.to_string_lossy().into_owned(),
        environment: environment(invocation, None),
        accounts: asked.has("accounts") || asked.has("local"),
        run: fresh().map_err(failed)?,
    };
    Ok(Plan { parts: Part::all(jobs, scale), setting, json: asked.has("json") })
}

/// What the jobs need and nothing else: a trace's job has no business with its replayer's variables.
fn environment(invocation: &Invocation<'_>, bin: Option<&Path>) -> Vec<u8> {
    let path = invocation.environment.filled("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin");
    let path = match bin {
        Some(bin) => format!("{}:{path}", bin.display()),
        None => path.to_owned(),
    };
    let home = invocation.caller.home.display();
    format!("PATH={path}\0HOME={home}\0USER={}\0", invocation.caller.name).into_bytes()
}

fn fresh() -> Result<String, String> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    Ok(hex::encode(bytes))
}

fn target(invocation: &Invocation<'_>, asked: &Asked) -> Result<Target, Failure> {
    if let Some(named) = asked.text("cluster") {
        let path = named.strip_prefix("unix:").unwrap_or(named);
        return Target::unix(&invocation.directory.join(path)).map_err(failed);
    }
    let caller = &invocation.caller;
    let Found { targets, missing } =
        crate::controller::find(&invocation.environment, caller.uid.0, &caller.home).map_err(failed)?;
    targets.into_iter().next().ok_or_else(|| {
        failed("there is no controller")
            .and_line(format!("  looked for: {}", missing.join(", ")))
            .and_line("  try:    squall replay --local TRACE, which brings a cluster of its own; or squall up")
    })
}

/// What was played.
struct Played {
    submitted: drive::Submitted,
    summary: squall_types::api::ClusterSummary,
    accounted: Vec<squall_types::api::AccountedJob>,
    receipts: Vec<squall_types::MicroUsd>,
}

impl Played {
    fn report(&self, plan: &Plan, began: Instant) -> Report {
        let took = Span(began.elapsed().as_millis() as i64);
        Report::of(&plan.parts, &self.submitted, &self.accounted, took)
    }
}

/// Plays all of it; interrupted, it cancels its jobs.
async fn play(client: &Client, plan: &Plan, until_empty: bool, tell: &mut dyn Write) -> Result<Played, String> {
    let tell = RefCell::new(tell);
    let driven = tokio::select! {
        driven = drive::drive(client, &plan.parts, &plan.setting, until_empty, &tell) => driven,
        () = asked_to_stop() => Err("interrupted".to_owned()),
    };
    let (submitted, summary) = match driven {
        Ok(driven) => driven,
        Err(why) => {
            let cancelled = cancel_own(client).await;
            return Err(format!("{why}; {cancelled}"));
        }
    };
    let from = submitted.began_at - Span(1);
    let mut accounted = books::accounted(client, from).await.map_err(|error| error.to_string())?;
    let ours: BTreeSet<JobId> = submitted.jobs.values().copied().collect();
    accounted.retain(|job| ours.contains(&job.job));
    let receipts = accounted.iter().map(|job| job.cost).collect();
    Ok(Played { submitted, summary, accounted, receipts })
}

/// Cancels what this user's replays have in the queue.
async fn cancel_own(client: &Client) -> String {
    let work = async {
        let jobs = client.jobs(JobFilter::default()).await?;
        let ours = jobs.iter().filter(|job| job.comment == "squall replay");
        let ours: Vec<JobRef> = ours.map(|job| JobRef::from(job.job)).collect();
        let count = ours.len();
        if count > 0 {
            client.act(JobFilter { jobs: ours, ..JobFilter::default() }, JobAction::Cancel).await?;
        }
        Ok::<usize, squall_proto::ClientError>(count)
    };
    match work.await {
        Ok(count) => format!("{count} jobs were cancelled"),
        Err(error) => format!("its jobs could not be cancelled: {error}"),
    }
}

fn on_local(invocation: &mut Invocation<'_>, asked: &Asked, plan: Plan) -> Result<i32, Failure> {
    let nodes = asked.parsed::<u32>(&REPLAY, "nodes", "a number of nodes")?.unwrap_or(DEFAULT_NODES);
    let gpus = asked.parsed::<u32>(&REPLAY, "gpus-per-node", "a number of GPUs")?.unwrap_or(DEFAULT_GPUS);
    let (plan, report) = local::on_own_cluster(invocation, plan, nodes, gpus, asked.has("keep")).map_err(failed)?;
    tell(invocation, &plan, &report)
}

fn tell(invocation: &mut Invocation<'_>, plan: &Plan, report: &Report) -> Result<i32, Failure> {
    if plan.json {
        let text = serde_json::to_string_pretty(report).map_err(failed)?;
        writeln!(invocation.out, "{text}")?;
    } else {
        report.write(invocation.out)?;
    }
    Ok(i32::from(!report.held()))
}
