//! `sbcast`: a file for all nodes of a job, written there as the job's user.

use crate::failure::{Advice, Failure};
use crate::invocation::Invocation;
use crate::options::{Given, Parsed};
use crate::select::{self, Named};
use crate::terminal::{escaped, plain};
use crate::visit;
use futures_util::StreamExt;
use futures_util::stream;
use nix::errno::Errno;
use squall_proto::ClientError;
use squall_types::api::{StepNode, VisitGrant};
use squall_types::visit::{FileBegin, FilePart, FileStored};
use squall_types::{NodeName, Timestamp};
use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::runtime::Builder;
use tokio::time::timeout;

/// Bytes of one message, unless `--size` says otherwise; and what it may say.
const BLOCK: u64 = 1 << 20;
const BLOCKS: std::ops::RangeInclusive<u64> = 1024..=(2 << 20);
/// Nodes at the same time.
const FANOUT: usize = 16;
/// How long a node may take for one message.
const PATIENCE: Duration = Duration::from_secs(60);
/// As Slurm ends where it does not come to send anything.
const EXIT_UNSENT: i32 = 255;

/// How a file is sent.
#[derive(Clone, Copy)]
pub(crate) struct Manner {
    block: usize,
    fanout: usize,
    patience: Duration,
}

impl Default for Manner {
    fn default() -> Self {
        Manner { block: BLOCK as usize, fanout: FANOUT, patience: PATIENCE }
    }
}

/// What became of a file, for each node in order.
type Stored = Vec<Result<FileStored, ClientError>>;

/// What is sent, and how.
struct Broadcast<'a> {
    source: &'a Path,
    begin: &'a FileBegin,
    grant: &'a VisitGrant,
    manner: Manner,
}

/// Sends a file to all of these nodes.
///
/// # Errors
/// Where nothing could be sent at all.
pub(crate) fn broadcast(
    source: &Path,
    begin: &FileBegin,
    grant: &VisitGrant,
    nodes: &[StepNode],
    manner: Manner,
) -> Result<Stored, Failure> {
    let broadcast = Broadcast { source, begin, grant, manner };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::error("sbcast", format_args!("no runtime: {error}")))?;
    let all = stream::iter(nodes).map(|node| broadcast.to(node)).buffered(manner.fanout);
    Ok(runtime.block_on(all.collect()))
}

/// # Errors
/// Why no node got the file, or some did not.
pub fn run(invocation: &mut Invocation<'_>, parsed: Parsed) -> Result<i32, Failure> {
    let given = Given::on_command_line(invocation.command, &parsed).and_environment(&invocation.environment);
    given.refuse_what_cannot_be_kept()?;
    let [source, destination] = parsed.rest.as_slice() else {
        let first = format!("Need two file names, have {} names", parsed.rest.len());
        return Err(Failure::plain(first).and_line("Try \"sbcast --help\" for more information"));
    };
    let block = number(&given, "size")?.unwrap_or(BLOCK).clamp(*BLOCKS.start(), *BLOCKS.end()) as usize;
    let fanout = number(&given, "fanout")?.filter(|count| *count > 0).map_or(FANOUT, |count| count.min(1024) as usize);
    let patience = number(&given, "timeout")?.filter(|seconds| *seconds > 0).map_or(PATIENCE, Duration::from_secs);
    if destination.ends_with('/') {
        return Err(Failure::error("sbcast", "Target filename cannot be a directory."));
    }
    let named = job(invocation, &given)?;
    let source_path = invocation.directory.join(source);
    let about = readable(source, &source_path)?;
    let (grant, nodes) = nodes(invocation, &named)?;
    let keep = |seconds: i64| given.has("preserve").then(|| Timestamp::from_secs(seconds));
    let begin = FileBegin {
        credential: grant.credential.clone(),
        path: invocation.directory.join(destination).to_string_lossy().into_owned(),
        mode: about.mode() & 0o777,
        size: about.size(),
        force: given.has("force"),
        accessed_at: keep(about.atime()),
        modified_at: keep(about.mtime()),
    };
    if given.has("verbose") {
        writeln!(invocation.err, "sbcast: {} bytes to {} nodes of job {}", begin.size, nodes.len(), grant.run.job)?;
    }
    let manner = Manner { block, fanout, patience };
    let stored = broadcast(&source_path, &begin, &grant, &nodes, manner)?;
    told(invocation, &nodes, stored)
}

/// Every node that did not get the file, and the exit code.
fn told(invocation: &mut Invocation<'_>, nodes: &[StepNode], stored: Stored) -> Result<i32, Failure> {
    let mut code = 0;
    for (node, errno, text) in failed(nodes, stored) {
        writeln!(invocation.err, "sbcast: error: REQUEST_FILE_BCAST({}): {}", node.name, escaped(&text))?;
        code = errno;
    }
    Ok(code)
}

/// The nodes that have not got the file, with the system's number and words for it.
pub(crate) fn failed(nodes: &[StepNode], stored: Stored) -> Vec<(&StepNode, i32, String)> {
    let mut failed = Vec::new();
    for (node, stored) in nodes.iter().zip(stored) {
        let (errno, text) = match stored {
            Ok(stored) if stored.errno == 0 => continue,
            Ok(stored) if stored.text.is_empty() => (stored.errno, Errno::from_raw(stored.errno).desc().to_owned()),
            Ok(stored) => (stored.errno, stored.text),
            Err(error) => (1, error.to_string()),
        };
        failed.push((node, errno, text));
    }
    failed
}

fn job(invocation: &Invocation<'_>, given: &Given) -> Result<Named, Failure> {
    let set = invocation.environment.filled("SLURM_JOB_ID").or(invocation.environment.filled("SLURM_JOBID"));
    let Some(text) = given.text("jobid").or(set) else {
        let first = "Need a job id to run this command.  Run from within a Slurm job or use the --jobid option.";
        return Err(Failure::error("sbcast", first));
    };
    select::job(text).ok_or_else(|| no_job(text, "Invalid job id specified"))
}

fn no_job(job: &str, why: &str) -> Failure {
    let first = format!("Slurm job {} lookup error: {}", escaped(job), escaped(why));
    Failure::error("sbcast", first).with_code(EXIT_UNSENT)
}

/// The nodes of the job, or of one of its steps.
fn nodes(invocation: &Invocation<'_>, named: &Named) -> Result<(VisitGrant, Vec<StepNode>), Failure> {
    let id = named.job.job.to_string();
    let failed = |error: &ClientError| no_job(&id, error.slurm_text());
    // An element of an array has a number of its own.
    let job = match &named.job.elements {
        None => named.job.job,
        Some(_) => {
            let details = invocation.controller.job(&named.job).map_err(|error| failed(&error))?;
            details.first().map(|detail| detail.view.job).ok_or_else(|| no_job(&id, "Invalid job id specified"))?
        }
    };
    let grant = invocation.controller.visit(job).map_err(|error| failed(&error))?;
    let Some(step) = named.step else {
        let nodes = grant.nodes.clone();
        return Ok((grant, nodes));
    };
    let jobs = visit::running(invocation, &named.job).map_err(|error| failed(&error))?;
    let step = jobs.iter().flat_map(|job| &job.steps).find(|known| known.step == step);
    let on: &[NodeName] = step.map(|step| step.nodes.as_slice()).unwrap_or_default();
    if on.is_empty() {
        return Err(no_job(&id, "Job/step already completing or completed"));
    }
    let nodes = grant.nodes.iter().filter(|node| on.contains(&node.name)).cloned().collect();
    Ok((grant, nodes))
}

fn readable(given: &str, path: &PathBuf) -> Result<Metadata, Failure> {
    let no = |why: String| Failure::error("sbcast", format_args!("Can't open `{}`: {why}", escaped(given)));
    let about = File::open(path).and_then(|file| file.metadata());
    let about = about.map_err(|error| no(plain(&error)).with_code(EXIT_UNSENT))?;
    if about.is_file() { Ok(about) } else { Err(no("it is no regular file".to_owned()).with_code(EXIT_UNSENT)) }
}

fn number(given: &Given, long: &str) -> Result<Option<u64>, Failure> {
    let Some(text) = given.text(long) else { return Ok(None) };
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) if long == "size" => (&text[..at], 1 << 10),
        Some((at, 'm' | 'M')) if long == "size" => (&text[..at], 1 << 20),
        _ => (text, 1),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.map(Some).ok_or_else(|| {
        Failure::error("sbcast", format_args!("invalid --{long} specification")).advising(Advice {
            asked: format!("--{long}={text}"),
            limit: "a whole number is wanted".to_owned(),
            code: "SQ0001",
            ..Advice::default()
        })
    })
}

impl Broadcast<'_> {
    async fn to(&self, node: &StepNode) -> Result<FileStored, ClientError> {
        let late = |_| ClientError::TimedOut { after: self.manner.patience };
        let client = timeout(self.manner.patience, visit::reach(node, &self.grant.ca_pem)).await.map_err(late)??;
        let (parts, mut stored) = client.store_file(self.begin.clone()).await?;
        let source = |error: std::io::Error| ClientError::Other(format!("the source: {}", plain(&error)));
        let mut file = tokio::fs::File::open(self.source).await.map_err(source)?;
        let mut left = self.begin.size;
        while left > 0 {
            let mut bytes = vec![0; self.manner.block.min(left.try_into().unwrap_or(self.manner.block))];
            let length = file.read(&mut bytes).await.map_err(source)?;
            // It has become shorter: the node notices, and keeps nothing.
            if length == 0 {
                break;
            }
            bytes.truncate(length);
            left -= length as u64;
            // A node that takes nothing more has said why.
            if timeout(self.manner.patience, parts.send(FilePart::Bytes(bytes))).await.map_err(late)?.is_err() {
                break;
            }
        }
        drop(parts);
        let nothing = || ClientError::Other("the node said nothing of the file".to_owned());
        timeout(self.manner.patience, stored.next()).await.map_err(late)?.ok_or_else(nothing)?
    }
}
