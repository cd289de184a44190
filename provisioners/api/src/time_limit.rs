//! A decorator that gives up waiting, and says that the outcome is unknown.

use crate::{ProvisionError, Provisioner, Verb};
use async_trait::async_trait;
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Span};
use std::time::Duration;

/// How long each verb may take before its outcome counts as unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    pub offers: Span,
    pub launch: Span,
    pub retire: Span,
    pub list: Span,
}

impl Default for TimeLimits {
    fn default() -> Self {
        Self {
            offers: Span::from_secs(60),
            launch: Span::from_mins(5),
            retire: Span::from_mins(2),
            list: Span::from_mins(2),
        }
    }
}

/// The source of the `Unknown` that a call over its limit ends in.
#[derive(Debug, thiserror::Error)]
#[error("no answer to `{verb}` within {} ms", limit.as_millis())]
pub struct TimedOut {
    pub verb: Verb,
    pub limit: Span,
}

/// Gives up waiting for the provisioner inside. What was asked may still happen, so the answer is
/// `Unknown` and never lack of capacity.
pub struct TimeLimited<P> {
    inner: P,
    limits: TimeLimits,
}

impl<P: Provisioner> TimeLimited<P> {
    pub fn new(inner: P, limits: TimeLimits) -> Self {
        Self { inner, limits }
    }
}

async fn within<T>(
    verb: Verb,
    limit: Span,
    call: impl Future<Output = Result<T, ProvisionError>> + Send,
) -> Result<T, ProvisionError> {
    let patience = Duration::from_millis(u64::try_from(limit.as_millis()).unwrap_or(0));
    match tokio::time::timeout(patience, call).await {
        Ok(result) => result,
        Err(_) => Err(ProvisionError::unknown(TimedOut { verb, limit })),
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for TimeLimited<P> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        within(Verb::Offers, self.limits.offers, self.inner.offers()).await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        within(Verb::Launch, self.limits.launch, self.inner.launch(order)).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        within(Verb::Retire, self.limits.retire, self.inner.retire(instances)).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        within(Verb::List, self.limits.list, self.inner.list()).await
    }
}
