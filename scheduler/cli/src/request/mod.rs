//! From options to a job: what `sbatch`, `srun` and `salloc` have in common.

mod environment;
mod place;
mod size;
mod value;

pub use environment::{bare, exported, login_environment};
pub use place::names as names_of_nodes;
pub use value::{invalid, number, whole_number};

use crate::command::Command;
use crate::failure::{Advice, EXIT_OPTION, Failure};
use crate::invocation::Invocation;
use crate::moment::{self, Past};
use crate::options::Given;
use squall_types::indices::{ArrayLimits, parse_array};
use squall_types::span_text::TimeLimit;
use squall_types::spec::{ArraySpec, SignalSpec};
use squall_types::{Dependency, HourlyPrice, JobKind, JobSpec, MailEvents, MicroUsd, OpenMode, Span, Timestamp};

/// A name longer than this names nothing.
const MAX_NAME: usize = 255;
/// Slurm's bound of `--nice`.
const MAX_NICE: i64 = 2_147_483_645;
/// What `--nice` alone means.
const NICE_WITHOUT_VALUE: i32 = 100;
/// How much of the command line is kept with the job.
const MAX_SUBMIT_LINE: usize = 16 * 1024;

/// What a job is called if nobody says, and what it is.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    pub kind: JobKind,
    pub name: &'a str,
}

/// How the first line of a refusal begins.
pub fn what_failed(command: &str) -> &'static str {
    match command {
        "sbatch" => "Batch job submission failed",
        "salloc" => "Job submit/allocate failed",
        _ => "Unable to allocate resources",
    }
}

/// The job that the options ask for; script and environment are not in it.
///
/// # Errors
/// The first option whose value means nothing, or two that contradict each other.
pub fn job_spec(invocation: &Invocation<'_>, given: &Given, kind: Kind<'_>) -> Result<JobSpec, Failure> {
    given.refuse_what_cannot_be_kept()?;
    let place = place::place(invocation, given)?;
    let caller = &invocation.caller;
    let text = |long| given.text(long).unwrap_or_default().to_owned();
    Ok(JobSpec {
        name: name(invocation, given, kind.name)?,
        uid: caller.uid,
        gid: caller.gid,
        user: caller.name.clone(),
        account: squall_types::AccountName(text("account")),
        partitions: listed(given.text("partition")).map(squall_types::PartitionName::new).collect(),
        qos: given.text("qos").map(squall_types::QosName::new),
        kind: kind.kind,
        work_dir: directory(invocation, given)?,
        stdin: stream(given, "input"),
        stdout: stream(given, "output"),
        stderr: stream(given, "error"),
        open_mode: open_mode(invocation, given)?,
        umask: umask(invocation)?,
        ask: size::ask(invocation.name(), given)?,
        constraint: place.constraint,
        prefer: place.prefer,
        node_list: place.node_list,
        exclude: place.exclude,
        time_limit: time_limit(invocation, given)?,
        begin_at: at(invocation, given, "begin")?,
        end_by: at(invocation, given, "deadline")?,
        array: array(invocation, given)?,
        dependency: dependency(invocation, given)?,
        hold: given.has("hold"),
        priority: number(invocation.name(), given, "priority", 0)?,
        nice: nice(invocation, given)?,
        requeue: given.later_of(&["requeue", "no-requeue"]).map(|which| which == "requeue"),
        signal: warning(invocation, given)?,
        comment: text("comment"),
        wckey: text("wckey"),
        mail: parsed::<MailEvents>(invocation, given, "mail-type", "--mail-type=END,FAIL")?.unwrap_or_default(),
        mail_user: text("mail-user"),
        submit_host: caller.host.clone(),
        submit_line: submit_line(invocation),
        allow_spot: given.has("spot"),
        max_price: money(invocation, given, "max-price")?.map(|amount| HourlyPrice(amount.0)),
        max_cost: money(invocation, given, "max-cost")?,
        trace_parent: invocation.environment.filled("TRACEPARENT").map(str::to_owned),
        cancel_if_never: never(invocation, given)?,
        reservation: text("reservation"),
        licenses: text("licenses"),
        step_options: step_options(invocation, given)?,
        no_kill: given.has("no-kill") && given.text("no-kill") != Some("off"),
        wishes: wishes(given),
        ..JobSpec::default()
    })
}

fn name(invocation: &Invocation<'_>, given: &Given, otherwise: &str) -> Result<String, Failure> {
    let name = given.text("job-name").unwrap_or(otherwise);
    if name.len() > MAX_NAME {
        let why = format!("the name of a job has at most {MAX_NAME} bytes, this one {}", name.len());
        return Err(invalid(invocation.name(), "job-name", name, why, "a shorter name and --comment"));
    }
    Ok(name.to_owned())
}

fn listed(text: Option<&str>) -> impl Iterator<Item = &str> {
    text.unwrap_or_default().split(',').filter(|name| !name.is_empty())
}

/// A file as given; `none` and the empty text as Slurm takes them.
fn stream(given: &Given, long: &str) -> Option<String> {
    match given.text(long)? {
        "none" => Some("/dev/null".to_owned()),
        "" | "all" => None,
        path => Some(path.to_owned()),
    }
}

/// `--chdir`, from where the command runs.
pub fn directory(invocation: &Invocation<'_>, given: &Given) -> Result<String, Failure> {
    let asked = given.text("chdir").filter(|path| !path.is_empty());
    let path = asked.map_or_else(|| invocation.directory.clone(), |path| invocation.directory.join(path));
    path.into_os_string().into_string().map_err(|path| {
        Failure::error(invocation.name(), format_args!("the working directory {} is not valid UTF-8", path.display()))
    })
}

pub fn open_mode(invocation: &Invocation<'_>, given: &Given) -> Result<OpenMode, Failure> {
    match given.text("open-mode") {
        None => Ok(OpenMode::Truncate),
        Some(text) if text.eq_ignore_ascii_case("append") || text == "a" => Ok(OpenMode::Append),
        Some(text) if text.eq_ignore_ascii_case("truncate") || text == "t" => Ok(OpenMode::Truncate),
        Some(text) => {
            Err(invalid(invocation.name(), "open-mode", text, "it is append or truncate", "--open-mode=append"))
        }
    }
}

/// `SLURM_UMASK` beats the caller's own.
pub fn umask(invocation: &Invocation<'_>) -> Result<u32, Failure> {
    match invocation.environment.filled("SLURM_UMASK") {
        None => Ok(invocation.caller.umask),
        Some(text) => u32::from_str_radix(text, 8).ok().filter(|mask| *mask <= 0o777).ok_or_else(|| {
            Failure::error(
                invocation.name(),
                format_args!("SLURM_UMASK={} is no umask", crate::terminal::escaped(text)),
            )
        }),
    }
}

pub fn time_limit(invocation: &Invocation<'_>, given: &Given) -> Result<Option<Span>, Failure> {
    let limit = parsed::<TimeLimit>(invocation, given, "time", "--time=30, --time=2:00:00 or --time=1-12:00:00")?;
    Ok(limit.map(|limit| limit.whole_minutes().span().unwrap_or(Span::FOREVER)))
}

/// `--signal`: a warning before the time limit.
pub fn warning(invocation: &Invocation<'_>, given: &Given) -> Result<Option<SignalSpec>, Failure> {
    parsed(invocation, given, "signal", "--signal=USR1@60, or --signal=B:TERM@120 for the script alone")
}

/// An option whose type knows how to read it.
fn parsed<T>(invocation: &Invocation<'_>, given: &Given, long: &str, try_this: &str) -> Result<Option<T>, Failure>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    let Some(text) = given.text(long) else { return Ok(None) };
    text.parse().map(Some).map_err(|why: T::Err| invalid(invocation.name(), long, text, why, try_this))
}

fn at(invocation: &Invocation<'_>, given: &Given, long: &str) -> Result<Option<Timestamp>, Failure> {
    let Some(text) = given.text(long) else { return Ok(None) };
    let command = invocation.name();
    moment::parse(text, invocation.now(), &invocation.zone, Past::Skipped).map(Some).map_err(|error| {
        let second = format!("{command}: error: Invalid --{long} specification");
        Failure::plain(error.to_string()).with_code(EXIT_OPTION).and_line(second).advising(Advice {
            asked: format!("--{long}={text}"),
            try_this: format!("--{long}=now+1hour, --{long}=16:00 or --{long}=2030-01-20T12:34:00"),
            code: "SQ0001",
            ..Advice::default()
        })
    })
}

fn array(invocation: &Invocation<'_>, given: &Given) -> Result<Option<ArraySpec>, Failure> {
    let Some(text) = given.text("array").filter(|text| !text.is_empty()) else { return Ok(None) };
    parse_array(text, ArrayLimits::DEFAULT).map(Some).map_err(|why| {
        let first = format!("{}: Invalid job array specification", what_failed(invocation.name()));
        Failure::error(invocation.name(), first).advising(Advice {
            asked: format!("--array={text}"),
            limit: why.to_string(),
            try_this: "--array=0-15, --array=1,3,5 or --array=0-15%4".to_owned(),
            code: "SQ0005",
            ..Advice::default()
        })
    })
}

fn dependency(invocation: &Invocation<'_>, given: &Given) -> Result<Dependency, Failure> {
    let Some(text) = given.text("dependency").filter(|text| !text.is_empty()) else { return Ok(Dependency::default()) };
    text.parse().map_err(|why: squall_types::dependency::DependencyError| {
        let first = format!("{}: Job dependency problem", what_failed(invocation.name()));
        Failure::error(invocation.name(), first).advising(Advice {
            asked: format!("--dependency={text}"),
            limit: why.to_string(),
            try_this: "--dependency=afterok:123, --dependency=afterany:123:124 or --dependency=singleton".to_owned(),
            code: "SQ0006",
            ..Advice::default()
        })
    })
}

fn nice(invocation: &Invocation<'_>, given: &Given) -> Result<i32, Failure> {
    let Some(text) = given.text("nice") else {
        return Ok(if given.has("nice") { NICE_WITHOUT_VALUE } else { 0 });
    };
    match text.parse::<i64>() {
        Ok(value) if value.abs() <= MAX_NICE => Ok(value as i32),
        Ok(_) => {
            Err(Failure::error(invocation.name(), format_args!("Invalid --nice value, out of range (+/- {MAX_NICE})")))
        }
        Err(_) => Err(invalid(invocation.name(), "nice", text, "it is a whole number", "--nice=100")),
    }
}

/// Dollars with up to six decimals, perhaps with `$` before and, for a price, `/h` after.
fn money(invocation: &Invocation<'_>, given: &Given, long: &str) -> Result<Option<MicroUsd>, Failure> {
    let Some(text) = given.text(long) else { return Ok(None) };
    let bare = text.trim_start_matches('$').trim_end_matches("/h");
    let (whole, decimals) = bare.split_once('.').unwrap_or((bare, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = (digits(whole) && digits(decimals) && !bare.is_empty() && bare != "." && decimals.len() <= 6)
        .then(|| format!("0{whole}{decimals:0<6}").parse::<i64>().ok())
        .flatten();
    parsed.map(|micros| Some(MicroUsd(micros))).ok_or_else(|| {
        invalid(invocation.name(), long, text, "it is dollars with at most six decimals", &format!("--{long}=12.50"))
    })
}

fn never(invocation: &Invocation<'_>, given: &Given) -> Result<bool, Failure> {
    match given.text("kill-on-invalid-dep") {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("yes") => Ok(true),
        Some(text) if text.eq_ignore_ascii_case("no") => Ok(false),
        Some(text) => {
            Err(invalid(invocation.name(), "kill-on-invalid-dep", text, "it is yes or no", "--kill-on-invalid-dep=yes"))
        }
    }
}

/// How tasks are laid over nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distribution {
    Block,
    Cyclic,
}

/// `--distribution`; of its parts only the first, over nodes, has a meaning here.
///
/// # Errors
/// A word that is no distribution, or one that would lay tasks out in another way than is possible here.
pub fn distribution(invocation: &Invocation<'_>, given: &Given) -> Result<Option<Distribution>, Failure> {
    let Some(text) = given.text("distribution") else { return Ok(None) };
    let over_nodes = text.split([':', ',']).next().unwrap_or_default();
    match over_nodes.to_ascii_lowercase().as_str() {
        "block" | "*" | "pack" | "nopack" => Ok(Some(Distribution::Block)),
        "cyclic" => Ok(Some(Distribution::Cyclic)),
        word if word == "arbitrary" || word.starts_with("plane") => Err(invalid(
            invocation.name(),
            "distribution",
            text,
            "tasks are laid over nodes in blocks or in turn",
            "--distribution=block or --distribution=cyclic",
        )),
        _ => Err(invalid(invocation.name(), "distribution", text, "it is block or cyclic", "--distribution=cyclic")),
    }
}

fn step_options(invocation: &Invocation<'_>, given: &Given) -> Result<Vec<String>, Failure> {
    Ok(match distribution(invocation, given)? {
        Some(Distribution::Cyclic) => vec!["distribution=cyclic".to_owned()],
        Some(Distribution::Block) => vec!["distribution=block".to_owned()],
        None => Vec::new(),
    })
}

/// What was asked and has no effect, so that it can be looked up.
fn wishes(given: &Given) -> Vec<String> {
    let said = given.without_effect();
    said.into_iter()
        .map(|(opt, _)| match given.text(opt.long) {
            Some(value) => format!("{}={value}", opt.long),
            None => opt.long.to_owned(),
        })
        .collect()
}

fn submit_line(invocation: &Invocation<'_>) -> String {
    let mut line = format!("{} {}", invocation.name(), invocation.arguments.join(" ")).trim_end().to_owned();
    if line.len() > MAX_SUBMIT_LINE {
        let cut = (0..=MAX_SUBMIT_LINE).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(cut);
    }
    line
}

/// A token that no other submission bears.
///
/// # Errors
/// The system has no randomness to give.
pub fn submit_token(command: Command) -> Result<squall_types::SubmitToken, Failure> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::error(command.name(), format_args!("no randomness: {error}")))?;
    Ok(squall_types::SubmitToken::new(hex::encode(bytes)))
}
