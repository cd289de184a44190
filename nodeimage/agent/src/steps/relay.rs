//! Between a client's stream and the socket of a step's shim.

use crate::shim::step::words::{FromStep, ToStep, frame, unframe};
use crate::shim::step::{SOCKET, VISITORS};
use futures_util::StreamExt;
use minicbor::bytes::ByteVec;
use squall_proto::server::{Failure, Incoming};
use squall_types::step::{OutputStream, StartedTask, StepCommand, StepNews};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long a client may take to close its side after it was told that all is over.
const GOODBYE: Duration = Duration::from_secs(10);

/// News on its way to a client.
pub type Tell = mpsc::Sender<Result<StepNews, Failure>>;

/// Connects to the shim in a step's folder.
pub async fn connect(dir: &Path) -> io::Result<UnixStream> {
    connect_to(dir, SOCKET).await
}

/// Connects to it as a visitor.
pub async fn visit(dir: &Path) -> io::Result<UnixStream> {
    connect_to(dir, VISITORS).await
}

async fn connect_to(dir: &Path, socket: &str) -> io::Result<UnixStream> {
    // By way of a descriptor: the path itself could be longer than an address may be.
    let folder = File::open(dir)?;
    let stream = UnixStream::connect(format!("/proc/self/fd/{}/{socket}", folder.as_raw_fd())).await;
    drop(folder);
    stream
}

/// Carries a visitor's input one way and news the other, until the step is over or the visitor is gone.
pub async fn accompany(stream: UnixStream, mut commands: Incoming<StepCommand>, tell: Tell) {
    let (mut reads, mut writes) = stream.into_split();
    let (mut received, mut listens) = (Vec::new(), true);
    loop {
        tokio::select! {
            news = next_news(&mut reads, &mut received) => {
                let text = "the step was lost, or said more than was taken in time".to_owned();
                let news = news.map_or(StepNews::Failed { text }, plain);
                let last = matches!(news, StepNews::Finished | StepNews::Failed { .. });
                if tell.send(Ok(news)).await.is_err() || last {
                    return;
                }
            }
            command = commands.next(), if listens => match command {
                Some(Ok(command @ StepCommand::Stdin { .. })) => {
                    let Some(word) = of(command) else { continue };
                    if writes.write_all(&frame(&word)).await.is_err() {
                        listens = false;
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(_)) => return,
                None => listens = false,
            },
            () = tell.closed() => return,
        }
    }
}

/// Carries commands one way and news the other, until the step is over, which `finished` hears, or the client is gone.
pub async fn relay(
    stream: UnixStream,
    mut commands: Incoming<StepCommand>,
    tell: Tell,
    had: u64,
    finished: impl Future<Output = ()>,
) {
    let (mut reads, mut writes) = stream.into_split();
    if writes.write_all(&frame(&ToStep::From(had))).await.is_err() {
        return;
    }
    let mut received = Vec::new();
    let mut listens = true;
    let lost = loop {
        tokio::select! {
            news = next_news(&mut reads, &mut received) => match news {
                Some(FromStep::Finished) => {
                    let _ = tell.send(Ok(StepNews::Finished)).await;
                    drop(tell);
                    finished.await;
                    break !has_gone_well(&mut commands, listens).await;
                }
                Some(news) => {
                    if tell.send(Ok(plain(news))).await.is_err() {
                        break true;
                    }
                }
                None => {
                    let _ = tell.send(Err(Failure::Internal("the step was lost on this node".to_owned()))).await;
                    return;
                }
            },
            command = commands.next(), if listens => {
                let message = match command {
                    Some(Ok(command)) => of(command),
                    Some(Err(_)) => break true,
                    None => {
                        listens = false;
                        Some(ToStep::Stdin { rank: None, bytes: ByteVec::from(Vec::new()), end: true })
                    }
                };
                if let Some(message) = message
                    && writes.write_all(&frame(&message)).await.is_err()
                {
                    return;
                }
            }
            () = tell.closed() => break true,
        }
    };
    let last = if lost { ToStep::ClientLost } else { ToStep::Received };
    // The shim is gone where this cannot be said.
    let _ = writes.write_all(&frame(&last)).await;
    let _ = writes.shutdown().await;
}

/// Whether the client went away as one that has had everything.
async fn has_gone_well(commands: &mut Incoming<StepCommand>, listens: bool) -> bool {
    if !listens {
        return true;
    }
    loop {
        match timeout(GOODBYE, commands.next()).await {
            Ok(Some(Ok(_))) => {}
            Ok(Some(Err(_))) => return false,
            Ok(None) | Err(_) => return true,
        }
    }
}

/// Nothing of what was received is lost where another branch is taken.
async fn next_news(reads: &mut OwnedReadHalf, received: &mut Vec<u8>) -> Option<FromStep> {
    loop {
        if let Some(news) = unframe(received).ok()? {
            return Some(news);
        }
        if reads.read_buf(received).await.ok()? == 0 {
            return None;
        }
    }
}

fn of(command: StepCommand) -> Option<ToStep> {
    Some(match command {
        StepCommand::Stdin { rank, bytes, end } => ToStep::Stdin { rank, bytes: ByteVec::from(bytes), end },
        StepCommand::Signal { signal } => ToStep::Signal(signal),
        StepCommand::Resize(size) => ToStep::Resize { rows: size.rows, columns: size.columns },
        // Only the first command starts a step.
        StepCommand::Start(_) | StepCommand::Attach(_) => return None,
    })
}

fn plain(news: FromStep) -> StepNews {
    match news {
        FromStep::Started(tasks) => {
            StepNews::Started { tasks: tasks.into_iter().map(|(rank, pid)| StartedTask { rank, pid }).collect() }
        }
        FromStep::Output { rank, error, bytes } => {
            let stream = if error { OutputStream::Stderr } else { OutputStream::Stdout };
            StepNews::Output { rank, stream, bytes: bytes.into() }
        }
        FromStep::Exit { rank, status } => StepNews::TaskExit { rank, exit: status },
        FromStep::Finished => StepNews::Finished,
    }
}
