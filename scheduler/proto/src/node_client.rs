//! What an agent asks the controller.

use crate::connect::Target;
use crate::convert::envelope::{BlobChunk, FetchBlobRequest, RenewRequest};
use crate::failure::ClientError;
use crate::limits::{MAX_BYTES, REPLY_BYTES, REQUEST_BYTES};
use crate::link::Link;
use crate::pb::nodes_client::NodesClient;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use squall_types::agent::{AgentOrder, AgentReport, Blob, JoinReply, JoinRequest};
use squall_types::{BlobDigest, Run};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::transport::Channel;

/// An agent's connection to the controller. Cheap to clone.
#[derive(Clone, Debug)]
pub struct NodeClient {
    link: Link<NodesClient<Channel>>,
}

impl NodeClient {
    /// Connects now: with a pin to join, with the CA and an identity afterwards.
    ///
    /// # Errors
    /// `Unreachable` where nobody answers, or where who answers is not the cluster's controller.
    pub async fn connect(target: &Target) -> Result<NodeClient, ClientError> {
        let stub = NodesClient::new(target.connect().await?)
            .max_decoding_message_size(REPLY_BYTES)
            .max_encoding_message_size(REQUEST_BYTES);
        Ok(NodeClient { link: Link::new(stub, target) })
    }

    pub async fn join(&self, request: JoinRequest) -> Result<JoinReply, ClientError> {
        self.link.call(request, async |mut stub, ask| stub.join(ask).await).await
    }

    pub async fn renew(&self, csr_pem: String) -> Result<JoinReply, ClientError> {
        self.link.call(RenewRequest { csr_pem }, async |mut stub, ask| stub.renew(ask).await).await
    }

    /// Opens the conversation with `hello`. Dropping the sender ends it from this side; the stream ends with an error
    /// where the connection is lost.
    pub async fn attach(
        &self,
        hello: AgentReport,
    ) -> Result<(mpsc::Sender<AgentReport>, BoxStream<'static, Result<AgentOrder, ClientError>>), ClientError> {
        self.link.converse(hello, async |mut stub, ask| stub.attach(ask).await).await
    }

    /// A script or environment. The content is as the controller sent it: the caller compares the digest.
    pub async fn fetch_blob(&self, digest: BlobDigest, run: Run) -> Result<Blob, ClientError> {
        let request = FetchBlobRequest { digest, run };
        let mut chunks = self.link.stream(request, async |mut stub, ask| stub.fetch_blob(ask).await).await?;
        let after = self.link.patience;
        let mut content = Vec::new();
        while let Some(chunk) = timeout(after, chunks.next()).await.map_err(|_| ClientError::TimedOut { after })? {
            let BlobChunk { bytes } = chunk?;
            if content.len() + bytes.len() > MAX_BYTES {
                return Err(ClientError::Other(format!("blob {digest} has more than {MAX_BYTES} bytes")));
            }
            content.extend(bytes);
        }
        Ok(Blob { digest, content })
    }
}
