//! What clients of a step ask the agents that run it, and what visitors of a job ask its nodes.

use super::{Channel, Failure, Incoming, Outgoing, answer, channel, incoming, open, outgoing};
use crate::convert::envelope::{LiveStepsAsk, LiveStepsReply};
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::pb;
use crate::pb::steps_server::{Steps, StepsServer};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use squall_types::step::{StepCommand, StepNews};
use squall_types::visit::{FilePart, FileStored, LiveStep};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The calls of the service `Steps`.
#[async_trait]
pub trait StepApi: Send + Sync + 'static {
    /// The first command is `Start` or `Attach`. When `commands` ends without an error the client has no more input;
    /// when it breaks the client is gone.
    async fn run_step(&self, channel: Channel, commands: Incoming<StepCommand>) -> Result<Outgoing<StepNews>, Failure>;
    /// What the steps of the job that the credential is for use on this node.
    async fn live_steps(&self, channel: Channel, credential: Vec<u8>) -> Result<Vec<LiveStep>, Failure>;
    /// The first part is `Begin`. One answer follows; a stream of parts that breaks leaves no file.
    async fn store_file(&self, channel: Channel, parts: Incoming<FilePart>) -> Result<Outgoing<FileStored>, Failure>;
}

/// The service for a tonic server.
pub fn step_service<A: StepApi>(api: Arc<A>) -> StepsServer<impl Steps> {
    StepsServer::new(Adaptor(api)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(REPLY_BYTES)
}

struct Adaptor<A>(Arc<A>);

#[async_trait]
impl<A: StepApi> Steps for Adaptor<A> {
    type RunStepStream = BoxStream<'static, Result<pb::StepNews, Status>>;
    type StoreFileStream = BoxStream<'static, Result<pb::FileStored, Status>>;

    async fn run_step(
        &self,
        request: Request<Streaming<pb::StepCommand>>,
    ) -> Result<Response<Self::RunStepStream>, Status> {
        let (channel, stream) = channel(request)?;
        let news = self.0.run_step(channel, incoming(stream)).await?;
        Ok(Response::new(outgoing(news)))
    }

    async fn live_steps(&self, request: Request<pb::LiveStepsAsk>) -> Result<Response<pb::LiveStepsReply>, Status> {
        let (channel, LiveStepsAsk { credential }) = open(request)?;
        answer(self.0.live_steps(channel, credential).await.map(|steps| LiveStepsReply { steps }))
    }

    async fn store_file(
        &self,
        request: Request<Streaming<pb::FilePart>>,
    ) -> Result<Response<Self::StoreFileStream>, Status> {
        let (channel, stream) = channel(request)?;
        let stored = self.0.store_file(channel, incoming(stream)).await?;
        Ok(Response::new(outgoing(stored)))
    }
}
