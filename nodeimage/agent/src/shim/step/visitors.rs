//! Others than the client who listen to a step: `sattach`. A visitor hears what was said before as far as it is kept, then
//! what is said. Who listens too slowly is left behind: no visitor holds up a step.

use super::words::{FromStep, ToStep, frame};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedWriteHalf;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// News that waits for a visitor, in bytes: more than is ever kept for one who comes late.
const MAX_WAITING: usize = 6 << 20;
/// Visitors at once; one more is turned away.
const MAX_VISITORS: usize = 16;
/// What all visitors together have said and nobody has taken yet, in messages.
const SAID: usize = 16;
/// How long the last words may take to be heard when the step is over.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// All visitors of a step.
pub struct Visitors {
    all: Vec<Visitor>,
    say: mpsc::Sender<ToStep>,
}

struct Visitor {
    queue: mpsc::UnboundedSender<Arc<[u8]>>,
    /// What is in the queue, in bytes: it has no other bound.
    waiting: Arc<AtomicUsize>,
    writer: JoinHandle<()>,
}

impl Visitors {
    /// Nobody yet, and where what they will say arrives.
    pub fn new() -> (Visitors, mpsc::Receiver<ToStep>) {
        let (say, said) = mpsc::channel(SAID);
        (Visitors { all: Vec::new(), say }, said)
    }

    /// Lets somebody in, who first hears which tasks there are, then `kept`.
    pub fn enter<'a>(&mut self, stream: UnixStream, tasks: &[(u32, u32)], kept: impl Iterator<Item = &'a [u8]>) {
        self.all.retain(|visitor| !visitor.writer.is_finished());
        if self.all.len() >= MAX_VISITORS {
            return;
        }
        let (reads, writes) = stream.into_split();
        tokio::spawn(super::keeper::read_commands(reads, self.say.clone()));
        let (queue, news) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let writer = tokio::spawn(write(writes, news, waiting.clone()));
        let visitor = Visitor { queue, waiting, writer };
        let tasks = frame(&FromStep::Started(tasks.to_vec()));
        let mut kept = kept;
        let alive = visitor.hear(tasks.into()) && kept.all(|news| visitor.hear(news.into()));
        if alive {
            self.all.push(visitor);
        }
    }

    /// Tells everybody.
    pub fn hear(&mut self, news: &[u8]) {
        if self.all.is_empty() {
            return;
        }
        let news: Arc<[u8]> = news.into();
        self.all.retain(|visitor| visitor.hear(news.clone()));
    }

    /// All has been said: waits a little until it was heard.
    pub async fn leave(self) {
        let until = Instant::now() + LAST_WORDS;
        for Visitor { queue, writer, .. } in self.all {
            drop(queue);
            let _ = timeout_at(until, writer).await;
        }
    }
}

impl Visitor {
    /// `false` where it is gone, or too far behind.
    fn hear(&self, news: Arc<[u8]>) -> bool {
        let behind = self.waiting.fetch_add(news.len(), Ordering::Relaxed) + news.len();
        behind <= MAX_WAITING && self.queue.send(news).is_ok()
    }
}

async fn write(mut to: OwnedWriteHalf, mut news: mpsc::UnboundedReceiver<Arc<[u8]>>, waiting: Arc<AtomicUsize>) {
    while let Some(bytes) = news.recv().await {
        if to.write_all(&bytes).await.is_err() {
            return;
        }
        waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
    }
    let _ = to.shutdown().await;
}
