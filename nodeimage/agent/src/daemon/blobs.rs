//! Scripts and environments, asked of the controller and kept a while: the elements of an array share theirs.

use crate::hands::Blobs;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};
use squall_proto::ClientError;
use squall_proto::node_client::NodeClient;
use squall_types::BlobDigest;
use squall_types::ids::Run;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Bytes that are kept for the next who asks.
const KEPT: usize = 64 << 20;
/// After an answer that may be another one soon.
const ASK_AGAIN_AFTER: Duration = Duration::from_millis(500);
/// How often something that the controller denies is asked for: it may only just be learning of the run itself.
const DENIALS: u32 = 4;

/// The controller's blobs, through whatever connection there is.
pub struct Fetched {
    client: watch::Receiver<Option<NodeClient>>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    contents: BTreeMap<BlobDigest, Arc<Vec<u8>>>,
    /// The oldest first.
    order: VecDeque<BlobDigest>,
    bytes: usize,
}

impl Fetched {
    pub fn new(client: watch::Receiver<Option<NodeClient>>) -> Fetched {
        Fetched { client, kept: Mutex::default() }
    }

    fn keep(&self, digest: BlobDigest, content: Arc<Vec<u8>>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += content.len();
        match kept.contents.insert(digest, content) {
            // Two have asked for it.
            Some(same) => kept.bytes -= same.len(),
            None => kept.order.push_back(digest),
        }
        while kept.bytes > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.bytes -= kept.contents.remove(&oldest).map_or(0, |content| content.len());
        }
    }

    async fn ask(&self, digest: BlobDigest, run: Run) -> Result<Arc<Vec<u8>>, String> {
        let mut client = self.client.clone();
        let mut denials = 0;
        loop {
            if let Some(content) = self.at_hand(digest) {
                return Ok(content);
            }
            let connected = match client.wait_for(Option::is_some).await {
                Ok(connected) => connected.clone(),
                Err(_) => return Err("the agent is ending".to_owned()),
            };
            let Some(connected) = connected else { continue };
            match connected.fetch_blob(digest, run).await {
                Ok(blob) if Sha256::digest(&blob.content).as_slice() == digest.0 => {
                    let content = Arc::new(blob.content);
                    self.keep(digest, content.clone());
                    return Ok(content);
                }
                Ok(_) => return Err(format!("the controller sent another content than that of blob {digest}")),
                Err(error @ (ClientError::Denied(_) | ClientError::Refused(_) | ClientError::Other(_))) => {
                    denials += 1;
                    if denials >= DENIALS {
                        return Err(format!("script or environment not obtained: {error}"));
                    }
                }
                // Nobody to ask: a controller that is away must not fail a job.
                Err(error) => tracing::debug!(job = %run.job, %error, "a blob was not obtained yet"),
            }
            tokio::time::sleep(ASK_AGAIN_AFTER).await;
        }
    }
}

impl Blobs for Fetched {
    fn at_hand(&self, digest: BlobDigest) -> Option<Arc<Vec<u8>>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.contents.get(&digest).cloned()
    }

    fn fetch(&self, digest: BlobDigest, run: Run) -> BoxFuture<'_, Result<Arc<Vec<u8>>, String>> {
        self.ask(digest, run).boxed()
    }
}
