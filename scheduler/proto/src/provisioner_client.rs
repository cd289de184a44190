//! What the controller asks a provisioner in a process of its own.

use crate::connect::Target;
use crate::convert::provisioner::{DescribeRequest, OfferList, RetireRequest};
use crate::failure::ClientError;
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::link::Link;
use crate::pb::provisioner_client::ProvisionerClient as Stub;
use squall_types::InstanceId;
use squall_types::offer::{Description, LaunchFailure, LaunchOrder, Launched, Listing, Offer};
use std::time::Duration;
use tonic::transport::Channel;

/// Why a call gave no result: the provisioner said so, or was not heard. Of a launch that was not heard the outcome is
/// unknown, unless the request never left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error(transparent)]
    Failed(LaunchFailure),
    #[error(transparent)]
    Unheard(ClientError),
}

/// A connection to a provisioner. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ProvisionerClient {
    link: Link<Stub<Channel>>,
}

impl ProvisionerClient {
    /// Connects now.
    ///
    /// # Errors
    /// `Unreachable` where nobody answers.
    pub async fn connect(target: &Target) -> Result<ProvisionerClient, ClientError> {
        let stub = Stub::new(target.connect().await?)
            .max_decoding_message_size(REPLY_BYTES)
            .max_encoding_message_size(REQUEST_BYTES);
        Ok(ProvisionerClient { link: Link::new(stub, target) })
    }

    /// Waits so long for an answer.
    pub fn with_patience(mut self, patience: Duration) -> ProvisionerClient {
        self.link.patience = patience;
        self
    }

    /// `contract` is the newest edition of the contract that the caller keeps.
    pub async fn describe(&self, contract: u32) -> Result<Description, ClientError> {
        self.link.call(DescribeRequest { contract }, async |mut stub, ask| stub.describe(ask).await).await
    }

    pub async fn offers(&self) -> Result<Vec<Offer>, CallError> {
        let reply: Result<OfferList, LaunchFailure> =
            self.link.call((), async |mut stub, ask| stub.offers(ask).await).await.map_err(CallError::Unheard)?;
        reply.map(|list| list.offers).map_err(CallError::Failed)
    }

    pub async fn launch(&self, order: LaunchOrder) -> Result<Launched, CallError> {
        let reply: Result<Launched, LaunchFailure> =
            self.link.call(order, async |mut stub, ask| stub.launch(ask).await).await.map_err(CallError::Unheard)?;
        reply.map_err(CallError::Failed)
    }

    pub async fn retire(&self, instances: Vec<InstanceId>) -> Result<(), CallError> {
        let request = RetireRequest { instances };
        let reply: Result<(), LaunchFailure> =
            self.link.call(request, async |mut stub, ask| stub.retire(ask).await).await.map_err(CallError::Unheard)?;
        reply.map_err(CallError::Failed)
    }

    pub async fn list(&self) -> Result<Listing, CallError> {
        let reply: Result<Listing, LaunchFailure> =
            self.link.call((), async |mut stub, ask| stub.list(ask).await).await.map_err(CallError::Unheard)?;
        reply.map_err(CallError::Failed)
    }
}
