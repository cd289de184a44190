//! `sprio`: what makes pending jobs go before others.

use crate::failure::Failure;
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::select;
use crate::show::format::{Format, Shown};
use crate::show::ids;
use crate::terminal::escaped;
use squall_types::PartitionName;
use squall_types::api::{JobFilter, JobState, JobView};

/// One field of a pending job.
struct Field {
    letter: char,
    name: &'static str,
    heading: &'static str,
    value: fn(&JobView) -> String,
}

const DEFAULT: &str = "%.15i %9r %.10Y %.10N";
const LONG: &str = "%.15i %9r %.8u %.10Y %.10N %10o %10n";

static FIELDS: [Field; 7] = [
    Field {
        letter: 'i',
        name: "JobID",
        heading: "JOBID",
        value: |job| ids::job_id(job.job, job.array.as_ref(), job.het, 0),
    },
    Field { letter: 'r', name: "Partition", heading: "PARTITION", value: |job| job.partition.clone() },
    Field { letter: 'u', name: "User", heading: "USER", value: |job| job.user.clone() },
    Field { letter: 'Y', name: "Priority", heading: "PRIORITY", value: |job| job.priority.to_string() },
    Field { letter: 'N', name: "Nice", heading: "NICE", value: |job| job.nice.to_string() },
    Field { letter: 'o', name: "Account", heading: "ACCOUNT", value: |job| job.account.to_string() },
    Field { letter: 'n', name: "QOS", heading: "QOS", value: |job| job.qos.clone() },
];

/// # Errors
/// A condition that means nothing, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed);
    given.refuse_what_cannot_be_kept()?;
    let mut filter = JobFilter { states: vec![JobState::Pending], ..JobFilter::default() };
    for id in given.text("jobs").map(select::split_ids).unwrap_or_default() {
        let named =
            select::job(id).ok_or_else(|| Failure::error("sprio", format_args!("Invalid job id: {}", escaped(id))))?;
        filter.jobs.push(named.job);
    }
    for name in given.text("user").map(select::names).into_iter().flatten() {
        let unknown = || Failure::error("sprio", format_args!("Invalid user: {}", escaped(name)));
        filter.users.push(select::user(name).ok_or_else(unknown)?);
    }
    filter.partitions =
        given.text("partition").map(select::names).into_iter().flatten().map(PartitionName::new).collect();
    let mut jobs = invocation.controller.jobs(&filter).map_err(|error| Failure::load("slurm_load_jobs", &error))?;
    jobs.sort_by_key(|job| job.job);
    let format = given.text("format").unwrap_or(if given.has("long") { LONG } else { DEFAULT });
    let format = Format::of_letters(format, |letter| FIELDS.iter().find(|field| field.letter == letter));
    if let Some(unknown) = format.unknown.first() {
        let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
        let first = format!("Invalid job format specification: {}", escaped(unknown));
        return Err(Failure::error("sprio", first).and_line(format!("sprio: fields: {}", names.join(", "))));
    }
    if !given.has("noheader") {
        write!(invocation.out, "{}", format.headings(|field| field.heading))?;
    }
    for job in &jobs {
        write!(invocation.out, "{}", format.line(|field| Shown { text: (field.value)(job).into(), whole: false }))?;
    }
    Ok(0)
}
