//! `sacct`: what jobs did and cost, also long after they ended.

mod fields;
mod json;
mod query;
mod row;

use crate::controller::Controller;
use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::show::columns::{MAX_WIDTH, Side};
use crate::show::moments::Moments;
use crate::terminal::escaped;
use fields::{FIELDS, Field, by_name};
use query::Question;
use row::Row;
use squall_proto::ClientError;
use squall_types::api::{AccountedJob, AccountingQuery, JobRef};
use squall_types::did_you_mean;

const DEFAULT: &str = "jobid,jobname,partition,account,alloccpus,state,exitcode";
const BRIEF: &str = "jobid,state,exitcode";
const LONG: &str = "jobid,jobidraw,jobname,partition,maxvmsize,maxvmsizenode,maxvmsizetask,avevmsize,maxrss,maxrssnode,\
     maxrsstask,averss,maxpages,maxpagesnode,maxpagestask,avepages,mincpu,mincpunode,mincputask,avecpu,ntasks,\
     alloccpus,elapsed,state,exitcode,avecpufreq,reqcpufreqmin,reqcpufreqmax,reqcpufreqgov,reqmem,consumedenergy,\
     maxdiskread,maxdiskreadnode,maxdiskreadtask,avediskread,maxdiskwrite,maxdiskwritenode,maxdiskwritetask,\
     avediskwrite,reqtres,alloctres,tresusageinave,tresusageinmax,tresusageinmaxnode,tresusageinmaxtask,\
     tresusageinmin,tresusageinminnode,tresusageinmintask,tresusageintot,tresusageoutmax,tresusageoutmaxnode,\
     tresusageoutmaxtask,tresusageoutave,tresusageouttot";
/// Columns of `--helpformat`.
const HELP_COLUMNS: usize = 4;

/// # Errors
/// What cannot be understood, or the controller's silence.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    if !parsed.rest.is_empty() {
        let words = parsed.rest.iter().map(|word| format!("sacct: error:  {}", escaped(word)));
        return Err(words.fold(Failure::error("sacct", "Unknown arguments:"), |failure, line| failure.and_line(line)));
    }
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    if given.has("helpformat") {
        write!(invocation.out, "{}", help_format())?;
        return Ok(0);
    }
    let columns = columns(&given)?;
    let question = Question::read(invocation, &given)?;
    let mut jobs = match question.nothing {
        true => Vec::new(),
        false => every_page(invocation.controller, question.query.clone())
            .map_err(|error| Failure::call("sacct", "Problem talking to the database", &error))?,
    };
    whole_hetjobs(invocation, &given, &question, &mut jobs)?;
    jobs.retain(|job| question.takes(job));
    if let Some(notation) = crate::show::json::asked(&given, invocation.command)? {
        return json::print(invocation, notation, &jobs);
    }
    print(invocation, &given, &columns, &question, &jobs)
}

/// `--whole-hetjob`: all components wherever one of them is named, or none but those that are.
fn whole_hetjobs(
    invocation: &Invocation<'_>,
    given: &Given,
    question: &Question,
    jobs: &mut Vec<AccountedJob>,
) -> Result<(), Failure> {
    if !given.has("whole-hetjob") || question.named.is_empty() {
        return Ok(());
    }
    match given.text("whole-hetjob") {
        Some("no") => jobs.retain(|job| job.het.is_none() || question.names_itself(job)),
        None | Some("yes") => {
            let leaders = jobs.iter().filter_map(|job| Some(JobRef::from(job.het?.leader)));
            let mut query = question.query.clone();
            query.jobs = leaders.filter(|leader| !question.query.jobs.contains(leader)).collect();
            if query.jobs.is_empty() {
                return Ok(());
            }
            let more = every_page(invocation.controller, query)
                .map_err(|error| Failure::call("sacct", "Problem talking to the database", &error))?;
            jobs.extend(more);
            jobs.sort_by_key(|job| job.job);
            jobs.dedup_by_key(|job| (job.job, job.array.clone()));
        }
        Some(text) => {
            return Err(Failure::plain(format!("Unrecognized --whole-hetjob option: {}", escaped(text))));
        }
    }
    Ok(())
}

fn print(
    invocation: &mut Invocation<'_>,
    given: &Given,
    columns: &[Column],
    question: &Question,
    jobs: &[AccountedJob],
) -> Result<i32, Failure> {
    let line = Line::of(given);
    let cluster = match columns.iter().any(|column| column.field.name == "Cluster") {
        true => invocation.controller.ping().map(|reply| reply.cluster).unwrap_or_default(),
        false => String::new(),
    };
    let moments = Moments::of(invocation);
    let unit = given.text("units").and_then(|text| text.chars().next());
    let window = given.has("truncate").then_some((question.query.from, question.query.to));
    let noconvert = given.has("noconvert");
    if !given.has("noheader") {
        write!(invocation.out, "{}", line.heading(columns))?;
    }
    for job in jobs {
        let expand = given.has("expand-patterns");
        let row = |step| Row { job, step, moments: &moments, cluster: &cluster, unit, noconvert, expand, window };
        let mut rows = Vec::new();
        let (itself, steps) = question.parts(job);
        if itself {
            rows.push(row(None));
        }
        if !given.has("allocations") {
            let wanted = |step: squall_types::StepId| steps.as_ref().is_none_or(|steps| steps.contains(&step));
            let latest = |attempt| given.has("duplicates") || attempt == job.attempt;
            let shown = job.steps.iter().filter(|step| wanted(step.step) && latest(step.attempt));
            rows.extend(shown.map(|step| row(Some(step))));
        }
        for row in &rows {
            write!(invocation.out, "{}", line.of_values(columns, row))?;
        }
    }
    Ok(0)
}

/// All pages of an answer.
///
/// # Errors
/// Those of the controller.
pub fn every_page(controller: &dyn Controller, mut query: AccountingQuery) -> Result<Vec<AccountedJob>, ClientError> {
    let mut jobs = Vec::new();
    loop {
        let page = controller.accounting(&query)?;
        jobs.extend(page.jobs);
        // A page that leads to itself would never end.
        if page.next.is_empty() || page.next == query.after {
            return Ok(jobs);
        }
        query.after = page.next;
    }
}

/// One column: a field with its width.
struct Column {
    field: &'static Field,
    width: usize,
    side: Side,
}

fn columns(given: &Given) -> Result<Vec<Column>, Failure> {
    let text = match given.text("format") {
        Some(text) => text,
        None if given.has("brief") => BRIEF,
        None if given.has("long") => LONG,
        None => DEFAULT,
    };
    let mut columns = Vec::new();
    for item in crate::select::names(text) {
        let (name, width) = item.split_once('%').unwrap_or((item, ""));
        if name.eq_ignore_ascii_case("ALL") {
            columns.extend(FIELDS.iter().map(|field| column(field, width)));
            continue;
        }
        let field = by_name(name).ok_or_else(|| {
            let first = format!("Invalid field requested: \"{}\"", escaped(name));
            let meant = did_you_mean::closest(name, FIELDS.iter().map(|field| field.name));
            let try_this = meant.map(|meant| format!("--format={meant}; sacct --helpformat lists all fields"));
            let try_this = try_this.unwrap_or_else(|| "sacct --helpformat, which lists all fields".to_owned());
            Failure::error("sacct", first).advising(Advice { try_this, code: "SQ0015", ..Advice::default() })
        })?;
        columns.push(column(field, width));
    }
    Ok(columns)
}

/// `%20` stands on the right, `%-20` on the left; no width, or one that is none, is the field's own.
fn column(field: &'static Field, width: &str) -> Column {
    let (side, digits) = match width.strip_prefix('-') {
        Some(digits) => (Side::Left, digits),
        None if width.is_empty() => (field.side, width),
        None => (Side::Right, width),
    };
    let own = Column { field, width: field.width, side: field.side };
    match digits.parse::<usize>() {
        Ok(width) if width > 0 => Column { field, width: width.min(MAX_WIDTH), side },
        _ => own,
    }
}

/// How fields are put together.
enum Line {
    /// Padded, with blanks between.
    Columns,
    /// As they are, with this between them, and perhaps after the last.
    Parsable { delimiter: String, trailing: bool },
}

impl Line {
    fn of(given: &Given) -> Self {
        let delimiter = given.text("delimiter").unwrap_or("|").to_owned();
        match given.later_of(&["parsable", "parsable2"]) {
            Some("parsable") => Line::Parsable { delimiter, trailing: true },
            Some(_) => Line::Parsable { delimiter, trailing: false },
            None => Line::Columns,
        }
    }

    fn heading(&self, columns: &[Column]) -> String {
        match self {
            Line::Parsable { .. } => self.joined(columns.iter().map(|column| column.field.name.to_owned())),
            Line::Columns => {
                let names = columns.iter().map(|column| padded(column, &cut(column.field.name, column.width)));
                let rules = columns.iter().map(|column| "-".repeat(column.width) + " ");
                format!("{}\n{}\n", names.collect::<String>(), rules.collect::<String>())
            }
        }
    }

    fn of_values(&self, columns: &[Column], row: &Row<'_>) -> String {
        let values = columns.iter().map(|column| (column, (column.field.value)(row)));
        match self {
            Line::Parsable { .. } => self.joined(values.map(|(_, value)| escaped(&value).into_owned())),
            Line::Columns => {
                let fields = values.map(|(column, value)| {
                    let value = escaped(&value);
                    let fits = value.chars().count() <= column.width;
                    // What is cut says so.
                    let shown =
                        if fits { value.into_owned() } else { cut(&value, column.width.saturating_sub(1)) + "+" };
                    padded(column, &shown)
                });
                fields.collect::<String>() + "\n"
            }
        }
    }

    fn joined(&self, values: impl Iterator<Item = String>) -> String {
        let Line::Parsable { delimiter, trailing } = self else { return String::new() };
        let joined = values.collect::<Vec<_>>().join(delimiter);
        if *trailing { format!("{joined}{delimiter}\n") } else { joined + "\n" }
    }
}

fn cut(text: &str, width: usize) -> String {
    text.chars().take(width).collect()
}

fn padded(column: &Column, text: &str) -> String {
    let width = column.width;
    match column.side {
        Side::Left => format!("{text:<width$} "),
        Side::Right => format!("{text:>width$} "),
    }
}

fn help_format() -> String {
    let lines = FIELDS.chunks(HELP_COLUMNS).map(|fields| {
        let names: Vec<String> = fields.iter().map(|field| format!("{:<19}", field.name)).collect();
        names.join(" ") + "\n"
    });
    lines.collect()
}
