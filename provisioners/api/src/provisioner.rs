//! The trait.

use crate::ProvisionError;
use async_trait::async_trait;
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer};
use std::sync::Arc;

/// Where machines come from: a cloud, a rack, this machine.
///
/// Every verb is idempotent and "already so" is success, so the caller may repeat any of them after
/// a lost reply, a crash, or a future that it dropped half way. None of them retries by itself: when
/// to try again is the scheduler's decision.
#[async_trait]
pub trait Provisioner: Send + Sync {
    /// What this provisioner promises. Answers from memory, and gives the same answer all its life.
    fn capabilities(&self) -> Capabilities;

    /// What can be bought now, with prices in micro-dollars per hour. Names are unique and stay the same.
    ///
    /// # Errors
    /// Never `NoCapacity`: an offer without capacity is still listed, since what it costs stays true.
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError>;

    /// Asks for the nodes of one order, all or none where [`Capabilities::all_or_none`] says so and the order is a gang.
    ///
    /// `order.token` is the idempotency key: while it lives ([`Capabilities::token_lifetime`]) a repeated
    /// call returns the same instances and buys nothing, even after they were retired. The ticket in
    /// `order.join` is no part of the request's identity, everything else is.
    ///
    /// Returns when the provider accepts (seconds), not when nodes have booted (minutes).
    ///
    /// # Errors
    /// `Conflict` for a used token with another request; `Rejected` for an order without names, with a
    /// name twice, above [`Capabilities::max_per_order`], or of an offer that is not sold. After
    /// `Unknown` the instances may exist; after every other error none of this order do.
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError>;

    /// Gives instances back, at most [`Capabilities::max_per_retire`] in a call.
    ///
    /// Success means that the provider was told, or never knew or no longer has them: a listing shows when
    /// they are gone. Instances that do not bear our cluster's tag are left alone.
    ///
    /// # Errors
    /// Where one instance fails the others are still attempted.
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError>;

    /// Everything that bears our cluster's tag, including what ended a moment ago.
    ///
    /// # Errors
    /// A listing of which a part is known to be missing is no error: it says that it is not complete.
    async fn list(&self) -> Result<Listing, ProvisionError>;
}

#[async_trait]
impl<P: Provisioner + ?Sized> Provisioner for Arc<P> {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        (**self).offers().await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        (**self).launch(order).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        (**self).retire(instances).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        (**self).list().await
    }
}
