//! What the controller asks a provisioner in a process of its own.

use super::{Failure, answer, open};
use crate::convert::provisioner::{DescribeRequest, OfferList, RetireRequest};
use crate::limits::{REPLY_BYTES, REQUEST_BYTES};
use crate::pb;
use crate::pb::provisioner_server::{Provisioner, ProvisionerServer};
use async_trait::async_trait;
use squall_types::InstanceId;
use squall_types::offer::{Description, LaunchFailure, LaunchOrder, Launched, Listing, Offer};
use std::sync::Arc;
use tonic::{Request, Response, Status};

/// The calls of the service `Provisioner`. Every failure is one of the closed set, so none is a `Failure`.
#[async_trait]
pub trait ProvisionerApi: Send + Sync + 'static {
    /// `contract` is the newest edition of the contract that the controller keeps.
    async fn describe(&self, contract: u32) -> Description;
    async fn offers(&self) -> Result<Vec<Offer>, LaunchFailure>;
    async fn launch(&self, order: LaunchOrder) -> Result<Launched, LaunchFailure>;
    async fn retire(&self, instances: Vec<InstanceId>) -> Result<(), LaunchFailure>;
    async fn list(&self) -> Result<Listing, LaunchFailure>;
}

/// The service for a tonic server.
pub fn provisioner_service<A: ProvisionerApi>(api: Arc<A>) -> ProvisionerServer<impl Provisioner> {
    ProvisionerServer::new(Adaptor(api)).max_decoding_message_size(REQUEST_BYTES).max_encoding_message_size(REPLY_BYTES)
}

struct Adaptor<A>(Arc<A>);

#[async_trait]
impl<A: ProvisionerApi> Provisioner for Adaptor<A> {
    async fn describe(&self, request: Request<pb::DescribeRequest>) -> Result<Response<pb::Description>, Status> {
        let (_, DescribeRequest { contract }) = open(request)?;
        answer(Ok(self.0.describe(contract).await))
    }

    async fn offers(&self, request: Request<pb::Unit>) -> Result<Response<pb::OffersReply>, Status> {
        let (_, ()) = open(request)?;
        answer(Ok(self.0.offers().await.map(|offers| OfferList { offers })))
    }

    async fn launch(&self, request: Request<pb::LaunchOrder>) -> Result<Response<pb::LaunchReply>, Status> {
        let (_, order) = open(request)?;
        answer(Ok::<_, Failure>(self.0.launch(order).await))
    }

    async fn retire(&self, request: Request<pb::RetireRequest>) -> Result<Response<pb::RetireReply>, Status> {
        let (_, RetireRequest { instances }) = open(request)?;
        answer(Ok::<_, Failure>(self.0.retire(instances).await))
    }

    async fn list(&self, request: Request<pb::Unit>) -> Result<Response<pb::ListReply>, Status> {
        let (_, ()) = open(request)?;
        answer(Ok::<_, Failure>(self.0.list().await))
    }
}
