//! Long answers, in parts: made beside the calls, and no faster than they are read.

use super::Service;
use crate::limits::{CHUNK, CHUNKS_AHEAD, SLOW_READER};
use futures_util::StreamExt;
use squall_proto::server::{Failure, Parts};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

impl Service {
    /// Walks over the state on a thread that may take its time. A reader who stops reading is given up.
    pub(super) async fn walk<T, F>(&self, walk: F) -> Result<Parts<T>, Failure>
    where
        T: Send + 'static,
        F: FnOnce(&mut dyn FnMut(T) -> bool) + Send + 'static,
    {
        let permit = self.queries.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Failure::Standby("the controller is stopping".to_owned()))?;
        let (parts, reader) = mpsc::channel(CHUNKS_AHEAD);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut chunk = Vec::with_capacity(CHUNK);
            let mut lost = false;
            walk(&mut |item| {
                chunk.push(item);
                if chunk.len() == CHUNK {
                    let full = std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK));
                    lost = !deliver(&runtime, &parts, full);
                }
                !lost
            });
            if !lost && !chunk.is_empty() {
                deliver(&runtime, &parts, chunk);
            }
        });
        Ok(ReceiverStream::new(reader).boxed())
    }

    /// One question on a thread that may wait for the disk.
    pub(super) async fn look_up<T, F>(&self, question: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, Failure> + Send + 'static,
    {
        let permit = self.queries.clone().acquire_owned().await;
        let permit = permit.map_err(|_| Failure::Standby("the controller is stopping".to_owned()))?;
        let found = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            question()
        });
        found.await.map_err(|_| Failure::Internal("a query failed: this is a bug".to_owned()))?
    }
}

/// `false` where the reader is gone or does not read.
fn deliver<T>(runtime: &Handle, parts: &mpsc::Sender<Result<Vec<T>, Failure>>, chunk: Vec<T>) -> bool {
    runtime.block_on(parts.send_timeout(Ok(chunk), SLOW_READER)).is_ok()
}

/// A short list as it is.
pub(super) fn whole<T: Send + 'static>(items: Vec<T>) -> Parts<T> {
    futures_util::stream::once(async move { Ok(items) }).boxed()
}
