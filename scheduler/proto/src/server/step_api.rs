//! What clients of a step ask the agents that run it.

use super::{Channel, Failure, Incoming, Outgoing, channel, incoming, outgoing};
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::pb;
use crate::pb::steps_server::{Steps, StepsServer};
use async_trait::async_trait;
use futures_util::stream::BoxStream;
use squall_types::step::{StepCommand, StepNews};
use std::sync::Arc;
use tonic::{Request, Response, Status, Streaming};

/// The call of the service `Steps`.
#[async_trait]
pub trait StepApi: Send + Sync + 'static {
    /// The first command is `Start`. When `commands` ends without an error the client has no more input; when it
    /// breaks the client is gone.
    async fn run_step(&self, channel: Channel, commands: Incoming<StepCommand>) -> Result<Outgoing<StepNews>, Failure>;
}

/// The service for a tonic server.
pub fn step_service<A: StepApi>(api: Arc<A>) -> StepsServer<impl Steps> {
    StepsServer::new(Adaptor(api)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(REPLY_BYTES)
}

struct Adaptor<A>(Arc<A>);

#[async_trait]
impl<A: StepApi> Steps for Adaptor<A> {
    type RunStepStream = BoxStream<'static, Result<pb::StepNews, Status>>;

    async fn run_step(
        &self,
        request: Request<Streaming<pb::StepCommand>>,
    ) -> Result<Response<Self::RunStepStream>, Status> {
        let (channel, stream) = channel(request)?;
        let news = self.0.run_step(channel, incoming(stream)).await?;
        Ok(Response::new(outgoing(news)))
    }
}
