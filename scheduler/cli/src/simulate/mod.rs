//! `squall simulate`: what a trace would wait and cost under one configuration or several, on the real engine and
//! virtual time, beside the classics on the same jobs.

mod cases;
mod catalog;
mod chart;
mod jobs;
mod play;
mod report;
mod table;

use crate::asked::{Asked, Row, Subcommand};
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::terminal::escaped;
use crate::trace;
use jobs::{Played, Wanted};
use report::Report;
use squall_sim::whatif::{Discipline, LimitModel};
use std::fmt::Display;

const SIMULATE: Subcommand = Subcommand {
    name: "simulate",
    operands: "TRACE",
    about: "Plays the jobs of a trace on virtual time and a simulated cloud, with the scheduler that the controller runs,\n\
            and reports waits, cost and waste. Nothing is started, bought or contacted.\n\n\
            A trace is CSV, perhaps with gzip, with the columns\n  \
            job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state\n\n\
            A configuration is a controller's: its pools, offers, prices, limits and timing count, its files, addresses\n\
            and provisioners do not. Without one there is a single pool that buys nodes of 8 GPUs. With --catalog, offers\n\
            that bear the name of an instance type take from it what the configuration leaves out.\n\
            The first configuration is what all others are compared with.",
    rows: &[
        Row { long: "config", value: Some("FILE"), help: "a configuration; several are played side by side" },
        Row { long: "max-gpus", value: Some("N,.."), help: "play each with at most so many GPUs, or `unlimited`" },
        Row { long: "catalog", value: Some("FILE"), help: "instance types with their shapes and prices, as CSV" },
        Row { long: "type", value: Some("NAME[@REGION]"), help: "without --config: buy this type of the catalog" },
        Row { long: "baselines", value: Some("LIST"), help: "of fifo, easy, sjf, or none (fifo,easy)" },
        Row { long: "gpus-only", value: None, help: "baselines alone, on --max-gpus GPUs that are on no nodes" },
        Row {
            long: "limits",
            value: Some("MODEL"),
            help: "where the trace has no time limit: exact, factor:N, partition (exact)",
        },
        Row {
            long: "cpus-per-gpu",
            value: Some("N"),
            help: "where the trace has no CPUs (the GPUs' share of the node)",
        },
        Row {
            long: "mem-per-gpu",
            value: Some("SIZE"),
            help: "where the trace has no memory (the GPUs' share of the node)",
        },
        Row { long: "seed", value: Some("N"), help: "of time limits and boot times (1)" },
        Row { long: "from", value: Some("SECOND|ID"), help: "begin at the first job at or after, or at this job (0)" },
        Row { long: "jobs", value: Some("N"), help: "take so many consecutive jobs (all)" },
        Row { long: "svg", value: Some("FILE"), help: "write a chart of queue, nodes and spend" },
        Row { long: "json", value: None, help: "print the report as JSON" },
    ],
};

/// # Errors
/// What keeps it from being played.
pub fn run(invocation: &mut Invocation<'_>, words: &[String]) -> Result<i32, Failure> {
    let Some(asked) = SIMULATE.read(words)? else {
        write!(invocation.out, "{}", SIMULATE.help())?;
        return Ok(0);
    };
    let played = played(invocation, &asked)?;
    let cases = cases::cases(invocation, &asked)?;
    let chart = asked.text("svg").map(|file| invocation.directory.join(file));
    let tasks = play::tasks(&cases, &disciplines(&asked)?, asked.has("gpus-only"));
    let outcomes = play::play(&tasks, &played.work, invocation.err).map_err(failed)?;
    let report = Report::of(&cases, played, outcomes);
    if let Some(path) = chart {
        let drawn = std::fs::write(&path, chart::draw(&report));
        drawn.map_err(|error| failed(format_args!("{}: {error}", path.display())))?;
    }
    if asked.has("json") {
        writeln!(invocation.out, "{}", report.json().map_err(failed)?)?;
    } else {
        invocation.out.write_all(table::text(&report).as_bytes())?;
    }
    Ok(0)
}

fn failed(error: impl Display) -> Failure {
    Failure::error("squall simulate", escaped(&error.to_string()))
}

fn wrong(text: impl Display) -> Failure {
    SIMULATE.wrong(text)
}

/// Reads the trace, and adds what it does not say.
fn played(invocation: &Invocation<'_>, asked: &Asked) -> Result<Played, Failure> {
    let [file] = asked.operands.as_slice() else {
        return Err(wrong("one trace is played at a time: squall simulate TRACE"));
    };
    let from = match asked.text("from") {
        None => trace::From::Second(0.0),
        Some(text) => match text.parse::<f64>() {
            Ok(second) if second >= 0.0 => trace::From::Second(second),
            Ok(_) => return Err(wrong(format_args!("--from={text}: a trace begins at 0"))),
            Err(_) => trace::From::Job(text.to_owned()),
        },
    };
    let count = asked.parsed::<usize>(&SIMULATE, "jobs", "a number of jobs")?.unwrap_or(usize::MAX);
    if count == 0 {
        return Err(wrong("--jobs=0: expected a number of jobs"));
    }
    let memory = asked.text("mem-per-gpu").map(squall_types::size::parse_mib).transpose();
    let wanted = Wanted {
        limits: limits(asked)?,
        seed: seed(asked)?,
        cpus_per_gpu: asked.parsed(&SIMULATE, "cpus-per-gpu", "a number of CPUs")?,
        mem_per_gpu: memory.map_err(|error| wrong(format_args!("--mem-per-gpu: {error}")))?,
        gpus_only: asked.has("gpus-only"),
    };
    let path = invocation.directory.join(file);
    let read = trace::read_file(&path, &from, count);
    let jobs = read.map_err(|error| failed(format_args!("{}: {error}", path.display())))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    jobs::played(name, jobs, &wanted).map_err(|error| failed(format_args!("{}: {error}", path.display())))
}

fn seed(asked: &Asked) -> Result<u64, Failure> {
    Ok(asked.parsed(&SIMULATE, "seed", "a number")?.unwrap_or(1))
}

fn limits(asked: &Asked) -> Result<LimitModel, Failure> {
    let text = asked.text("limits").unwrap_or("exact");
    let factor = || text.strip_prefix("factor:")?.parse::<f64>().ok().filter(|factor| (1.0..=1_000.0).contains(factor));
    match text {
        "exact" => Ok(LimitModel::Exact),
        "partition" => Ok(LimitModel::Partition),
        _ => factor().map(LimitModel::Factor).ok_or_else(|| {
            let text = escaped(text);
            wrong(format_args!("--limits={text}: expected exact, partition, or factor:N with N from 1 to 1000"))
        }),
    }
}

fn disciplines(asked: &Asked) -> Result<Vec<Discipline>, Failure> {
    let word = |word: &str| match word {
        "fifo" => Ok(Discipline::Fifo),
        "easy" => Ok(Discipline::Easy),
        "sjf" => Ok(Discipline::Shortest),
        _ => Err(wrong(format_args!("--baselines: {:?} is none of fifo, easy, sjf, none", escaped(word)))),
    };
    match asked.text("baselines").unwrap_or("fifo,easy") {
        "none" | "" if asked.has("gpus-only") => Err(wrong("--gpus-only plays baselines alone, and --baselines=none")),
        "none" | "" => Ok(Vec::new()),
        list => list.split(',').map(word).collect(),
    }
}
