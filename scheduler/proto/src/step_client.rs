//! What a client of a step asks an agent that runs it.

use crate::connect::Target;
use crate::failure::ClientError;
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::link::Link;
use crate::pb::steps_client::StepsClient;
use futures_util::stream::BoxStream;
use squall_types::step::{StepCommand, StepNews, StepStart};
use tokio::sync::mpsc;
use tonic::transport::Channel;

/// A connection to the agent of one node.
#[derive(Clone, Debug)]
pub struct StepClient {
    link: Link<StepsClient<Channel>>,
}

impl StepClient {
    /// Connects now.
    ///
    /// # Errors
    /// `Unreachable` where nobody answers, or where who answers is not that node.
    pub async fn connect(target: &Target) -> Result<StepClient, ClientError> {
        let stub = StepsClient::new(target.connect().await?)
            .max_decoding_message_size(REPLY_BYTES)
            .max_encoding_message_size(REQUEST_BYTES);
        Ok(StepClient { link: Link::new(stub, target) })
    }

    /// Starts this node's part of a step. Further commands go to the sender; dropping it says that nothing follows.
    /// The stream ends after `Finished` or `Failed`, or with an error where the connection is lost.
    pub async fn run_step(
        &self,
        start: StepStart,
    ) -> Result<(mpsc::Sender<StepCommand>, BoxStream<'static, Result<StepNews, ClientError>>), ClientError> {
        let first = StepCommand::Start(Box::new(start));
        self.link.converse(first, async |mut stub, ask| stub.run_step(ask).await).await
    }
}
