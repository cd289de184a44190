//! `squeue`: the jobs that wait, run and have lately ended.

mod fields;
mod filter;
pub(crate) mod json;
mod row;
mod sort;
mod steps;

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{self, Given, Parsed};
use crate::show::format::Format;
use crate::show::{self, ids, moments::Moments};
use crate::terminal::escaped;
use fields::{FIELDS, Field, by_letter, by_name};
use row::Row;
use squall_types::api::{ArrayView, JobState, JobView};
use squall_types::did_you_mean;
use std::time::Duration;

const DEFAULT: &str = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
const LONG: &str = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
const START: &str = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";

/// # Errors
/// What cannot be understood, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    if let Some(stray) = parsed.rest.first() {
        let usage = options::usage(invocation.command);
        let failure = Failure::error("squeue", format_args!("Unrecognized option: {}", escaped(stray)));
        return Err(failure.and_line(usage.trim_end()));
    }
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(invocation.environment.text());
    given.refuse_what_cannot_be_kept()?;
    let Some(seconds) = given.text("iterate") else { return once(invocation, &given) };
    let every = crate::request::whole_number(seconds).filter(|seconds| *seconds > 0);
    let every = every.ok_or_else(|| Failure::error("squeue", format_args!("--iterate={}", escaped(seconds))))?;
    loop {
        if !given.has("long") {
            writeln!(invocation.out, "{}", Moments::of(invocation).headline())?;
        }
        once(invocation, &given)?;
        writeln!(invocation.out)?;
        invocation.out.flush()?;
        std::thread::sleep(Duration::from_secs(u64::from(every)));
    }
}

fn once(invocation: &mut Invocation<'_>, given: &Given) -> Result<i32, Failure> {
    if given.has("steps") {
        return steps::list(invocation, given);
    }
    let jobs = match filter::of(invocation, given)? {
        Some(filter) => {
            let load = |error| Failure::load("slurm_load_jobs", &error);
            let jobs = invocation.controller.jobs(&filter).map_err(load)?;
            // One job that there is not is an error; one that the conditions leave out, or one of several, is none.
            if let ([one], true) = (filter.jobs.as_slice(), jobs.is_empty()) {
                invocation.controller.job(one).map_err(load)?;
            }
            jobs
        }
        // A condition that no job can meet.
        None => Vec::new(),
    };
    if let Some(notation) = show::json::asked(given, invocation.command)? {
        return json::print(invocation, notation, &jobs);
    }
    let format = format(given);
    tell_unknown(invocation, &format)?;
    let moments = Moments::of(invocation);
    let mut rows = rows(invocation, given, &jobs, &moments);
    let order = given.text("sort").unwrap_or(if given.has("start") { "S" } else { sort::DEFAULT });
    sort::sort(&mut rows, order)
        .map_err(|letter| Failure::error("squeue", format_args!("Invalid sort specification: {}", escaped(&letter))))?;
    if given.has("long") {
        writeln!(invocation.out, "{}", moments.headline())?;
    }
    if !given.has("noheader") {
        write!(invocation.out, "{}", format.headings(|field| field.heading))?;
    }
    for row in &rows {
        write!(invocation.out, "{}", format.line(|field| field.shown(row)))?;
    }
    Ok(0)
}

fn format(given: &Given) -> Format<Field> {
    let letters = |text: &str| match text.eq_ignore_ascii_case("%all") {
        true => Format::of_all(FIELDS.iter().filter(|field| field.letter.is_some())),
        false => Format::of_letters(text, by_letter),
    };
    // Of the two kinds, the one from the weightier place counts; `-o` where both come from there.
    let named = given.source("Format") > given.source("format");
    match (given.text("format"), given.text("Format")) {
        (_, Some(text)) if named && text.eq_ignore_ascii_case("all") => letters("%all"),
        (_, Some(text)) if named => Format::of_names(text, by_name),
        (Some(text), _) => letters(text),
        _ if given.has("start") => letters(START),
        _ if given.has("long") => letters(LONG),
        _ => letters(DEFAULT),
    }
}

fn tell_unknown(invocation: &mut Invocation<'_>, format: &Format<Field>) -> Result<(), Failure> {
    for unknown in &format.unknown {
        let shown = escaped(unknown);
        writeln!(invocation.err, "squeue: error: Invalid job format specification: {shown}")?;
        if let Some(meant) = did_you_mean::closest(unknown, FIELDS.iter().map(|field| field.name))
            && unknown.len() > 1
        {
            writeln!(invocation.err, "squeue: did you mean '{meant}'?")?;
        }
    }
    Ok(())
}

/// One row for each job; more for the elements of arrays and for the partitions of pending jobs where that was asked.
fn rows<'a>(invocation: &Invocation<'_>, given: &Given, jobs: &'a [JobView], moments: &'a Moments) -> Vec<Row<'a>> {
    let (noconvert, indices_shown) = (given.has("noconvert"), ids::indices_shown(&invocation.environment));
    let pending_only = given.has("start");
    let by_element = given.has("array");
    let by_partition = given.has("priority");
    let mut rows = Vec::with_capacity(jobs.len());
    for job in jobs.iter().filter(|job| !pending_only || job.state == JobState::Pending) {
        let partitions: Vec<&str> = match by_partition && job.state == JobState::Pending {
            true => job.partition.split(',').collect(),
            false => vec![job.partition.as_str()],
        };
        for partition in partitions {
            let row =
                |element| Row { job, partition: partition.to_owned(), element, moments, noconvert, indices_shown };
            match &job.array {
                Some(ArrayView::Pending { indices, .. }) if by_element => {
                    rows.extend(indices.iter().map(|index| row(Some(index))));
                }
                Some(ArrayView::Pending { indices, .. }) if given.has("array-unique") => {
                    rows.push(row(indices.first()));
                }
                _ => rows.push(row(None)),
            }
        }
    }
    rows
}
