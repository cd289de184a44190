//! What a client of a step asks an agent that runs it.

use crate::connect::Target;
use crate::convert::envelope::{LiveStepsAsk, LiveStepsReply};
use crate::failure::ClientError;
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::link::Link;
use crate::pb::steps_client::StepsClient;
use futures_util::stream::BoxStream;
use squall_types::step::{StepAttach, StepCommand, StepNews, StepStart};
use squall_types::visit::{FileBegin, FilePart, FileStored, LiveStep};
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

    /// Hears what a step says that somebody else has started; otherwise as [`StepClient::run_step`].
    pub async fn attach(
        &self,
        attach: StepAttach,
    ) -> Result<(mpsc::Sender<StepCommand>, BoxStream<'static, Result<StepNews, ClientError>>), ClientError> {
        let first = StepCommand::Attach(attach);
        self.link.converse(first, async |mut stub, ask| stub.run_step(ask).await).await
    }

    /// What the steps of a job use on this node now.
    pub async fn live_steps(&self, credential: Vec<u8>) -> Result<Vec<LiveStep>, ClientError> {
        let ask = LiveStepsAsk { credential };
        let reply: LiveStepsReply = self.link.call(ask, async |mut stub, ask| stub.live_steps(ask).await).await?;
        Ok(reply.steps)
    }

    /// Begins a file on this node. Its content goes to the sender; dropping it is the end of the file.
    pub async fn store_file(
        &self,
        begin: FileBegin,
    ) -> Result<(mpsc::Sender<FilePart>, BoxStream<'static, Result<FileStored, ClientError>>), ClientError> {
        let first = FilePart::Begin(Box::new(begin));
        self.link.converse(first, async |mut stub, ask| stub.store_file(ask).await).await
    }
}
