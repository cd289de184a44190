//! `squeue`: the jobs that wait, run and have lately ended.

mod fields;
mod filter;
mod json;
mod row;
mod sort;
mod steps;

use crate::controller::Controller;
use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{self, Given, Parsed};
use crate::show::again::again;
use crate::show::format::Format;
use crate::show::{self, ids, moments::Moments};
use crate::terminal::escaped;
use fields::{FIELDS, Field, by_letter, by_name};
use row::Row;
use sort::{Lines, Order};
use squall_proto::ClientError;
use squall_types::api::{ArrayView, JobDetail, JobFilter, JobState, JobView};
use squall_types::did_you_mean;

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
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    again(invocation, &given, once)
}

fn once(invocation: &mut Invocation<'_>, given: &Given) -> Result<i32, Failure> {
    if given.has("steps") {
        return steps::list(invocation, given);
    }
    let mut filter = filter::of(invocation, given)?;
    if let Some(notation) = show::json::asked(given, invocation.command)? {
        return json::print(invocation, notation, filter.as_ref());
    }
    let format = format(given);
    let order = given.text("sort").unwrap_or(if given.has("start") { "S" } else { sort::DEFAULT });
    let order = Order::parse(order)
        .map_err(|letter| Failure::error("squeue", format_args!("Invalid sort specification: {}", escaped(&letter))))?;
    if let Some(filter) = &mut filter {
        filter.brief = order.is_brief() && format.fields().all(Field::is_brief);
    }
    let moments = Moments::of(invocation);
    let mut wanted = Wanted::of(invocation, given);
    if format.fields().any(|field| field.heading == "CLUSTER") {
        let told = invocation.controller.ping().map_err(|error| Failure::load("slurm_load_jobs", &error))?;
        wanted.cluster = told.cluster;
    }
    let mut lines = Lines::default();
    let mut show = |job: &JobView, detail: Option<&JobDetail>| {
        rows_of(job, detail, &wanted, &moments, |row| {
            lines.push(|key| order.key(row, key), |text| format.write(|field| field.shown(row), text));
        });
    };
    if format.fields().any(Field::is_of_detail) {
        each(
            invocation,
            filter.as_ref(),
            |controller, filter, show| controller.each_details(filter, show),
            &mut |page| {
                page.iter().for_each(|detail: &JobDetail| show(&detail.view, Some(detail)));
            },
        )?;
    } else {
        each(
            invocation,
            filter.as_ref(),
            |controller, filter, show| controller.each_jobs(filter, show),
            &mut |page| page.iter().for_each(|job| show(job, None)),
        )?;
    }
    tell_unknown(invocation, &format)?;
    if given.has("long") {
        writeln!(invocation.out, "{}", moments.headline())?;
    }
    if !given.has("noheader") {
        write!(invocation.out, "{}", format.headings(|field| field.heading))?;
    }
    for line in lines.sorted() {
        invocation.out.write_all(line.as_bytes())?;
    }
    Ok(0)
}

/// Asks a controller for jobs, and shows them page by page.
type Ask<T> = fn(&dyn Controller, &JobFilter, &mut dyn FnMut(Vec<T>)) -> Result<(), ClientError>;

/// The jobs that a filter lets through; none where no job can meet the conditions.
fn each<T>(
    invocation: &Invocation<'_>,
    filter: Option<&JobFilter>,
    ask: Ask<T>,
    show: &mut dyn FnMut(Vec<T>),
) -> Result<(), Failure> {
    let Some(filter) = filter else { return Ok(()) };
    let mut none = true;
    let told = ask(invocation.controller, filter, &mut |page| {
        none &= page.is_empty();
        show(page);
    });
    told.map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    one_has_to_be_known(invocation, filter, none)
}

/// One job that there is not is an error; one that the conditions leave out, or one of several, is none.
fn one_has_to_be_known(invocation: &Invocation<'_>, filter: &JobFilter, none: bool) -> Result<(), Failure> {
    if let ([one], true) = (filter.jobs.as_slice(), none) {
        invocation.controller.job(one).map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    }
    Ok(())
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

/// Which rows are made of a job.
struct Wanted {
    pending_only: bool,
    by_element: bool,
    first_element: bool,
    by_partition: bool,
    noconvert: bool,
    indices_shown: usize,
    /// Its name, where it is shown.
    cluster: String,
}

impl Wanted {
    fn of(invocation: &Invocation<'_>, given: &Given) -> Wanted {
        Wanted {
            pending_only: given.has("start"),
            by_element: given.has("array"),
            first_element: given.has("array-unique"),
            by_partition: given.has("priority"),
            noconvert: given.has("noconvert"),
            indices_shown: ids::indices_shown(&invocation.environment),
            cluster: String::new(),
        }
    }
}

/// One row for each job; more for the elements of arrays and for the partitions of pending jobs where that was asked.
fn rows_of(
    job: &JobView,
    detail: Option<&JobDetail>,
    wanted: &Wanted,
    moments: &Moments,
    mut each: impl FnMut(&Row<'_>),
) {
    let pending = job.state == JobState::Pending;
    if wanted.pending_only && !pending {
        return;
    }
    let apart = if wanted.by_partition && pending { ',' } else { '\0' };
    for partition in job.partition.split(apart) {
        let Wanted { noconvert, indices_shown, ref cluster, .. } = *wanted;
        let mut row =
            |element| each(&Row { job, detail, cluster, partition, element, moments, noconvert, indices_shown });
        match &job.array {
            Some(ArrayView::Pending { indices, .. }) if wanted.by_element => {
                indices.iter().for_each(|index| row(Some(index)));
            }
            Some(ArrayView::Pending { indices, .. }) if wanted.first_element => row(indices.first()),
            _ => row(None),
        }
    }
}
