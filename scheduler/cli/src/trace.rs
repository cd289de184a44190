//! Traces: one line of CSV for each job, sorted by submission, perhaps compressed with gzip.

use flate2::read::MultiGzDecoder;
use squall_types::Span;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

/// The first line of every trace.
pub const COLUMNS: [&str; 12] = [
    "job_id",
    "user",
    "account",
    "submit_s",
    "duration_s",
    "nodes",
    "gpus_per_node",
    "cpus",
    "mem_mib",
    "gpu_type",
    "time_limit_s",
    "state",
];
/// Of one line, in bytes.
const MAX_LINE: u64 = 4_096;
/// Of a whole trace.
const MAX_LINES: u64 = 50_000_000;
/// Jobs that are kept in memory.
const MAX_JOBS: usize = 1_000_000;
/// Longer than any trace or run: a thousand years.
const MAX_SECONDS: f64 = 3.2e10;
const MAX_NODES: u32 = 100_000;
const MAX_GPUS_PER_NODE: f64 = 1_024.0;
const MAX_CPUS: u32 = 100_000_000;
const MAX_MEM_MIB: u64 = 1 << 40;

/// How a job ended when the trace was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TraceState {
    /// Also where the trace does not say.
    Completed,
    Failed,
    Cancelled,
    Timeout,
    /// By no fault of the job's: it is replayed as one that completes.
    Interrupted,
}

/// One job of a trace. What the trace does not know is `None`.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceJob {
    pub id: String,
    pub user: Option<String>,
    pub account: Option<String>,
    pub submit: Span,
    pub duration: Span,
    pub nodes: u32,
    /// A part of one where GPUs were shared.
    pub gpus_per_node: f64,
    /// Over the whole job.
    pub cpus: Option<u32>,
    /// On each node.
    pub mem_mib: Option<u64>,
    pub time_limit: Option<Span>,
    pub state: TraceState,
}

/// Where one begins.
#[derive(Clone, Debug, PartialEq)]
pub enum From {
    /// The first job at or after this.
    Second(f64),
    Job(String),
}

/// Why a trace cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("line {line}: {problem}")]
    Line { line: u64, problem: String },
    #[error("it has no job {0}")]
    NoSuchJob(String),
    #[error("no job was submitted at or after {0} s")]
    NothingAfter(f64),
}

/// Reads at most `count` consecutive jobs of a file. What comes behind them is not looked at.
///
/// # Errors
/// The first line that is wrong, with its number; or no job to begin with.
pub fn read_file(path: &Path, from: &From, count: usize) -> Result<Vec<TraceJob>, TraceError> {
    let mut file = BufReader::new(File::open(path)?);
    if file.fill_buf()?.starts_with(&[0x1f, 0x8b]) {
        read(BufReader::new(MultiGzDecoder::new(file)), from, count)
    } else {
        read(file, from, count)
    }
}

/// The same for anything that can be read.
///
/// # Errors
/// As [`read_file`].
pub fn read(mut input: impl BufRead, from: &From, count: usize) -> Result<Vec<TraceJob>, TraceError> {
    let count = count.min(MAX_JOBS);
    let mut line = 0;
    let mut text = String::new();
    let mut jobs: Vec<TraceJob> = Vec::new();
    let mut ids = BTreeSet::new();
    let mut last: Option<Span> = None;
    while jobs.len() < count {
        line += 1;
        let wrong = |problem: String| TraceError::Line { line, problem };
        text.clear();
        if next_line(&mut input, &mut text).map_err(|error| wrong(error.to_string()))? == 0 {
            break;
        }
        if line > MAX_LINES {
            return Err(wrong(format!("a trace has at most {MAX_LINES} lines")));
        }
        let text = text.trim_end_matches(['\n', '\r']);
        if line == 1 {
            check_header(text).map_err(wrong)?;
            continue;
        }
        let job = read_job(text).map_err(wrong)?;
        if let Some(last) = last.filter(|last| job.submit < *last) {
            let (now, before) = (job.submit.0 as f64 / 1e3, last.0 as f64 / 1e3);
            return Err(wrong(format!("submit_s {now} is before the line above, {before}: a trace is sorted by it")));
        }
        last = Some(job.submit);
        let begins = match from {
            From::Second(second) => job.submit.0 as f64 >= second * 1e3,
            From::Job(id) => job.id == *id,
        };
        if jobs.is_empty() && !begins {
            continue;
        }
        if !ids.insert(job.id.clone()) {
            return Err(wrong(format!("job_id {:?} is there twice", job.id)));
        }
        jobs.push(job);
    }
    match (jobs.is_empty(), from) {
        (false, _) => Ok(jobs),
        (true, _) if last.is_none() => Err(TraceError::Line { line: 1, problem: "there is no job".to_owned() }),
        (true, From::Second(second)) => Err(TraceError::NothingAfter(*second)),
        (true, From::Job(id)) => Err(TraceError::NoSuchJob(id.clone())),
    }
}

fn next_line(input: &mut impl BufRead, text: &mut String) -> io::Result<usize> {
    let read = input.by_ref().take(MAX_LINE).read_line(text)?;
    if read as u64 == MAX_LINE && !text.ends_with('\n') {
        return Err(io::Error::other(format!("it is longer than {MAX_LINE} bytes")));
    }
    Ok(read)
}

fn check_header(text: &str) -> Result<(), String> {
    let expected = COLUMNS.join(",");
    if text.trim_start_matches('\u{feff}') == expected {
        Ok(())
    } else {
        Err(format!("expected the columns {expected}"))
    }
}

fn read_job(text: &str) -> Result<TraceJob, String> {
    if text.contains('"') {
        return Err("quotation marks are not read: no field needs them".to_owned());
    }
    let fields: Vec<&str> = text.split(',').collect();
    let fields: [&str; 12] =
        fields.as_slice().try_into().map_err(|_| format!("{} fields instead of {}", fields.len(), COLUMNS.len()))?;
    let [id, user, account, submit, duration, nodes, gpus, cpus, mem, _gpu_type, limit, state] = fields;
    if id.is_empty() {
        return Err("job_id is empty".to_owned());
    }
    let text_of = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let needed = |value: Option<Span>, name: &str| value.ok_or_else(|| format!("{name} is empty"));
    let nodes = number::<u32>(nodes, "nodes", MAX_NODES)?.unwrap_or(1);
    if nodes == 0 {
        return Err("nodes is 0".to_owned());
    }
    let gpus_per_node = fraction(gpus, "gpus_per_node", MAX_GPUS_PER_NODE)?.unwrap_or(0.0);
    if gpus_per_node > 1.0 && gpus_per_node.fract() > 0.0 {
        return Err(format!("gpus_per_node {gpus_per_node}: only below 1 it may be a fraction"));
    }
    Ok(TraceJob {
        id: id.to_owned(),
        user: text_of(user),
        account: text_of(account),
        submit: needed(seconds(submit, "submit_s")?, "submit_s")?,
        duration: needed(seconds(duration, "duration_s")?, "duration_s")?,
        nodes,
        gpus_per_node,
        cpus: number(cpus, "cpus", MAX_CPUS)?,
        mem_mib: number(mem, "mem_mib", MAX_MEM_MIB)?,
        time_limit: seconds(limit, "time_limit_s")?,
        state: read_state(state)?,
    })
}

fn number<T: std::str::FromStr + PartialOrd + std::fmt::Display>(
    text: &str,
    name: &str,
    most: T,
) -> Result<Option<T>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<T>() {
        Ok(value) if value <= most => Ok(Some(value)),
        Ok(value) => Err(format!("{name} {value} is above {most}")),
        Err(_) => Err(format!("{name} {text:?} is no whole number")),
    }
}

fn fraction(text: &str, name: &str, most: f64) -> Result<Option<f64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    match text.parse::<f64>() {
        Ok(value) if (0.0..=most).contains(&value) => Ok(Some(value)),
        Ok(value) => Err(format!("{name} {value} is not between 0 and {most}")),
        Err(_) => Err(format!("{name} {text:?} is no number")),
    }
}

fn seconds(text: &str, name: &str) -> Result<Option<Span>, String> {
    Ok(fraction(text, name, MAX_SECONDS)?.map(|seconds| Span((seconds * 1e3) as i64)))
}

fn read_state(text: &str) -> Result<TraceState, String> {
    // Slurm says by whom a job was cancelled.
    Ok(match text.split_ascii_whitespace().next().unwrap_or_default() {
        "" | "COMPLETED" => TraceState::Completed,
        "FAILED" | "OUT_OF_MEMORY" => TraceState::Failed,
        "CANCELLED" => TraceState::Cancelled,
        "TIMEOUT" | "DEADLINE" => TraceState::Timeout,
        "NODE_FAIL" | "BOOT_FAIL" | "PREEMPTED" | "REQUEUED" => TraceState::Interrupted,
        _ => return Err(format!("state {text:?} is none of Slurm's final states")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const HEAD: &str =
        "job_id,user,account,submit_s,duration_s,nodes,gpus_per_node,cpus,mem_mib,gpu_type,time_limit_s,state\n";

    fn of(lines: &str) -> Result<Vec<TraceJob>, TraceError> {
        read(format!("{HEAD}{lines}").as_bytes(), &From::Second(0.0), usize::MAX)
    }

    fn problem(lines: &str) -> String {
        of(lines).unwrap_err().to_string()
    }

    #[test]
    fn a_line_is_a_job_and_what_is_empty_is_unknown() {
        let jobs = of("a,,vc-1,0,2240194,1,8,,,,,\nb,u,,1.5,60,2,0.5,8,1000,h100,120,TIMEOUT\n").unwrap();
        assert_eq!(
            (jobs[0].id.as_str(), jobs[0].duration, jobs[0].gpus_per_node),
            ("a", Span::from_secs(2_240_194), 8.0)
        );
        assert_eq!(
            (jobs[0].account.as_deref(), jobs[0].cpus, jobs[0].state),
            (Some("vc-1"), None, TraceState::Completed)
        );
        assert_eq!((jobs[1].submit, jobs[1].nodes, jobs[1].cpus), (Span(1_500), 2, Some(8)));
        assert_eq!((jobs[0].user.as_deref(), jobs[1].user.as_deref()), (None, Some("u")));
        assert_eq!((jobs[1].time_limit, jobs[1].state), (Some(Span::from_secs(120)), TraceState::Timeout));
    }

    #[test]
    fn a_replay_begins_at_a_second_or_a_job_and_takes_so_many() {
        let text = format!("{HEAD}a,,,0,1,1,1,,,,,\nb,,,10,1,1,1,,,,,\nc,,,20,1,1,1,,,,,\nbroken\n");
        let ids = |from, count| -> Vec<String> {
            read(text.as_bytes(), &from, count).unwrap().into_iter().map(|job| job.id).collect()
        };
        assert_eq!(ids(From::Second(5.0), 2), ["b", "c"]);
        assert_eq!(ids(From::Job("c".to_owned()), 1), ["c"]);
        assert!(matches!(
            read(format!("{HEAD}a,,,0,1,1,1,,,,,\n").as_bytes(), &From::Job("z".to_owned()), 1),
            Err(TraceError::NoSuchJob(_))
        ));
        assert!(matches!(
            read(format!("{HEAD}a,,,0,1,1,1,,,,,\n").as_bytes(), &From::Second(1.0), 1),
            Err(TraceError::NothingAfter(_))
        ));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_line() {
        assert_eq!(problem("a,,,0,1,1,1,,,,\n"), "line 2: 11 fields instead of 12");
        assert_eq!(problem("a,,,0,1,1,1,,,,,\nb,,,x,1,1,1,,,,,\n"), "line 3: submit_s \"x\" is no number");
        assert_eq!(problem("a,,,0,,1,1,,,,,\n"), "line 2: duration_s is empty");
        assert_eq!(problem("a,,,0,1,0,1,,,,,\n"), "line 2: nodes is 0");
        assert_eq!(problem("a,,,0,1,1.5,1,,,,,\n"), "line 2: nodes \"1.5\" is no whole number");
        assert_eq!(problem("a,,,0,1,1,1.5,,,,,\n"), "line 2: gpus_per_node 1.5: only below 1 it may be a fraction");
        assert_eq!(problem("a,,,0,nan,1,1,,,,,\n"), "line 2: duration_s NaN is not between 0 and 32000000000");
        assert_eq!(problem("a,,,0,-1,1,1,,,,,\n"), "line 2: duration_s -1 is not between 0 and 32000000000");
        assert_eq!(problem("a,,,0,1,1,1,,,,,DONE\n"), "line 2: state \"DONE\" is none of Slurm's final states");
        assert_eq!(problem("a,,,5,1,1,1,,,,,\na,,,5,1,1,1,,,,,\n"), "line 3: job_id \"a\" is there twice");
        assert!(problem("a,,,5,1,1,1,,,,,\nb,,,4,1,1,1,,,,,\n").starts_with("line 3: submit_s 4 is before"));
        assert!(problem("\"a\",,,5,1,1,1,,,,,\n").starts_with("line 2: quotation marks"));
        assert!(problem(&format!("{}\n", "x".repeat(5_000))).starts_with("line 2: it is longer than 4096 bytes"));
        assert_eq!(problem(""), "line 1: there is no job");
        let other = read("job,time\n".as_bytes(), &From::Second(0.0), 1).unwrap_err().to_string();
        assert!(other.starts_with("line 1: expected the columns job_id,"), "{other}");
    }

    #[test]
    fn a_compressed_trace_is_read_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trace.csv.gz");
        let mut gzip = flate2::write::GzEncoder::new(File::create(&path).unwrap(), flate2::Compression::fast());
        gzip.write_all(format!("{HEAD}a,,,0,1,1,1,,,,,\n").as_bytes()).unwrap();
        gzip.finish().unwrap();
        assert_eq!(read_file(&path, &From::Second(0.0), 10).unwrap().len(), 1);
    }
}
