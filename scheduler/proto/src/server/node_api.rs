//! What agents ask the controller.

use super::{Channel, Failure, Incoming, Outgoing, answer, channel, incoming, open, outgoing};
use crate::convert::envelope::{BlobChunk, FetchBlobRequest, RenewRequest};
use crate::limits::{CHUNK_BYTES, REPLY_BYTES, REQUEST_BYTES};
use crate::pb;
use crate::pb::nodes_server::{Nodes, NodesServer};
use crate::wire::Wire;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use squall_types::agent::{AgentOrder, AgentReport, JoinReply, JoinRequest};
use squall_types::{BlobDigest, Run};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The calls of the service `Nodes`.
#[async_trait]
pub trait NodeApi: Send + Sync + 'static {
    /// The caller has no certificate yet: the secret in the request is its proof.
    async fn join(&self, channel: Channel, request: JoinRequest) -> Result<JoinReply, Failure>;
    /// For the node that the channel's certificate names.
    async fn renew(&self, channel: Channel, csr_pem: String) -> Result<JoinReply, Failure>;
    /// Reports and orders, until either side goes away.
    async fn attach(&self, channel: Channel, reports: Incoming<AgentReport>) -> Result<Outgoing<AgentOrder>, Failure>;
    /// A script or environment of a run that the node has to do with.
    async fn fetch_blob(&self, channel: Channel, digest: BlobDigest, run: Run) -> Result<Vec<u8>, Failure>;
}

/// The service for a tonic server.
pub fn node_service<A: NodeApi>(api: Arc<A>) -> NodesServer<impl Nodes> {
    NodesServer::new(Adaptor(api)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(REPLY_BYTES)
}

struct Adaptor<A>(Arc<A>);

#[async_trait]
impl<A: NodeApi> Nodes for Adaptor<A> {
    type AttachStream = BoxStream<'static, Result<pb::AgentOrder, Status>>;
    type FetchBlobStream = BoxStream<'static, Result<pb::BlobChunk, Status>>;

    async fn join(&self, request: Request<pb::JoinRequest>) -> Result<Response<pb::JoinReply>, Status> {
        let (channel, join) = open(request)?;
        answer(self.0.join(channel, join).await)
    }

    async fn renew(&self, request: Request<pb::RenewRequest>) -> Result<Response<pb::JoinReply>, Status> {
        let (channel, RenewRequest { csr_pem }) = open(request)?;
        answer(self.0.renew(channel, csr_pem).await)
    }

    async fn attach(
        &self,
        request: Request<Streaming<pb::AgentReport>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        let (channel, stream) = channel(request)?;
        let orders = self.0.attach(channel, incoming(stream)).await?;
        Ok(Response::new(outgoing(orders)))
    }

    async fn fetch_blob(
        &self,
        request: Request<pb::FetchBlobRequest>,
    ) -> Result<Response<Self::FetchBlobStream>, Status> {
        let (channel, FetchBlobRequest { digest, run }) = open(request)?;
        let content = self.0.fetch_blob(channel, digest, run).await?;
        let chunks: Vec<_> =
            content.chunks(CHUNK_BYTES).map(|bytes| Ok(BlobChunk { bytes: bytes.to_vec() }.to_pb())).collect();
        Ok(Response::new(stream::iter(chunks).boxed()))
    }
}
