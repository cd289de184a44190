//! Visitors of a run: who bears a credential for its nodes hears its steps, sees what they use, and leaves files.

use super::live;
use super::relay;
use super::service::{Admitted, StepService};
use crate::daemon::RunStage;
use crate::hands::{Hands, NO_PLAN};
use crate::launch::Identity;
use crate::launch::receive::FilePlan;
use futures_util::StreamExt;
use squall_proto::credential::Action;
use squall_proto::server::{Failure, Incoming};
use squall_types::agent::Assignment;
use squall_types::step::StepAttach;
use squall_types::visit::{FileBegin, FilePart, FileStored, LiveStep};
use std::io::{self, Read, Write};
use std::process::{Child, Stdio};
use std::sync::Arc;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// Parts of a file that wait to be written.
const PARTS: usize = 4;
/// The most text that is taken of why a file could not be written.
const MAX_REASON: u64 = 1024;

impl StepService {
    /// The run that the credential lets somebody visit on this node.
    async fn visited(&self, credential: &[u8]) -> Result<Arc<Assignment>, Failure> {
        let Admitted { assignment, credential } = self.admit(credential, RunStage::Up).await?;
        match &credential.action {
            Action::Visit { nodes } if nodes.iter().any(|node| node.name == self.hands.node) => Ok(assignment),
            Action::Visit { .. } => Err(Failure::Denied(format!("the credential is not for node {}", self.hands.node))),
            _ => Err(Failure::Denied("the credential is not for a visit".to_owned())),
        }
    }

    /// The door of a step for visitors; the text says why there is none.
    pub(super) async fn attach(&self, attach: &StepAttach) -> Result<Result<UnixStream, String>, Failure> {
        let run = self.visited(&attach.credential).await?.run;
        let dir = self.hands.places.step(run, attach.step);
        Ok(relay::visit(&dir).await.map_err(|_| format!("step {}.{} does not run here", run.job, attach.step)))
    }

    pub(super) async fn live(&self, credential: &[u8]) -> Result<Vec<LiveStep>, Failure> {
        let run = self.visited(credential).await?.run;
        let hands = self.hands.clone();
        let looked = tokio::task::spawn_blocking(move || live::steps(&hands, run)).await;
        looked.map_err(|error| Failure::Internal(error.to_string()))
    }

    /// Takes a file for the run, as its user. The answer comes when it is there or cannot be.
    pub(super) async fn store(
        &self,
        begin: FileBegin,
        mut parts: Incoming<FilePart>,
    ) -> Result<mpsc::Receiver<Result<FileStored, Failure>>, Failure> {
        let assignment = self.visited(&begin.credential).await?;
        let (answer, answers) = mpsc::channel(1);
        let (queue, queued) = mpsc::channel::<Vec<u8>>(PARTS);
        let hands = self.hands.clone();
        let written = tokio::task::spawn_blocking(move || write(&hands, &assignment, &begin, queued));
        tokio::spawn(async move {
            while let Some(Ok(FilePart::Bytes(bytes))) = parts.next().await {
                if queue.send(bytes).await.is_err() {
                    break;
                }
            }
            // What broke off is shorter than was announced, and is not kept.
            drop(queue);
            let stored = written.await.unwrap_or_else(|error| Err(io::Error::other(error)));
            let stored = stored.unwrap_or_else(|error| FileStored {
                errno: error.raw_os_error().unwrap_or(libc::EIO),
                text: error.to_string(),
            });
            let _ = answer.send(Ok(stored)).await;
        });
        Ok(answers)
    }
}

/// Feeds the process that writes the file.
fn write(
    hands: &Hands,
    assignment: &Assignment,
    begin: &FileBegin,
    mut content: mpsc::Receiver<Vec<u8>>,
) -> io::Result<FileStored> {
    if !begin.path.starts_with('/') {
        return Ok(FileStored { errno: libc::EINVAL, text: "the path is not absolute".to_owned() });
    }
    let spec = &assignment.detail.spec;
    let identity = Identity::of(spec.uid.0, spec.gid.0).map_err(io::Error::other)?;
    let cell = hands.cell(assignment.run).ok_or_else(|| io::Error::other(NO_PLAN))?;
    let millis = |at: Option<squall_types::Timestamp>| at.map(|at| at.0);
    let marker = cell.marker.clone();
    let plan = FilePlan {
        cell,
        identity,
        path: begin.path.clone(),
        mode: begin.mode,
        size: begin.size,
        force: begin.force,
        accessed_at: millis(begin.accessed_at),
        modified_at: millis(begin.modified_at),
    };
    let mut command = hands.again.command("receive", &marker);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let fed = feed(&mut child, &plan, &mut content);
    let stored = ended(child);
    // A process that has said why it takes no more closes its end.
    match (stored, fed) {
        (Ok(stored), _) if stored.errno != 0 => Ok(stored),
        (Ok(stored), Ok(())) => Ok(stored),
        (Ok(_), Err(error)) | (Err(error), _) => Err(error),
    }
}

fn feed(child: &mut Child, plan: &FilePlan, content: &mut mpsc::Receiver<Vec<u8>>) -> io::Result<()> {
    let mut to = child.stdin.take().ok_or_else(|| io::Error::other("there is no pipe"))?;
    to.write_all(&crate::shim::step::words::frame(plan))?;
    while let Some(bytes) = content.blocking_recv() {
        to.write_all(&bytes)?;
    }
    Ok(())
}

fn ended(mut child: Child) -> io::Result<FileStored> {
    let mut text = Vec::new();
    if let Some(said) = child.stdout.take() {
        said.take(MAX_REASON).read_to_end(&mut text)?;
    }
    let status = child.wait()?;
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    // Killed with its job, it has no exit code.
    Ok(FileStored { errno: status.code().unwrap_or(libc::EINTR), text })
}
