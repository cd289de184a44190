//! The provisioner trait over a simulated cloud.

use crate::answer::Answer;
use crate::cloud::Cloud;
use async_trait::async_trait;
use squall_provisioner::{Clock, ProvisionError, Provisioner};
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Timestamp};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How an answer's delay is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Not at all: the clock is the caller's and stands still during a call.
    Instant,
    /// By sleeping, for a clock that runs with the real one.
    RealTime,
}

/// The trait over a cloud that others may hold as well.
#[derive(Clone)]
pub struct SimProvisioner {
    cloud: Arc<Mutex<Cloud>>,
    clock: Arc<dyn Clock>,
    pace: Pace,
}

impl SimProvisioner {
    pub fn new(cloud: Arc<Mutex<Cloud>>, clock: Arc<dyn Clock>, pace: Pace) -> Self {
        Self { cloud, clock, pace }
    }

    fn cloud(&self) -> MutexGuard<'_, Cloud> {
        self.cloud.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn call<T>(
        &self,
        effect: impl FnOnce(&mut Cloud, Timestamp) -> Answer<T> + Send,
    ) -> Result<T, ProvisionError> {
        // A call can be dropped on its way there as well as on its way back.
        tokio::task::yield_now().await;
        let answer = effect(&mut self.cloud(), self.clock.now());
        match self.pace {
            Pace::Instant => tokio::task::yield_now().await,
            Pace::RealTime => {
                let delay = answer.heard_at.since(self.clock.now());
                tokio::time::sleep(Duration::from_millis(u64::try_from(delay.as_millis()).unwrap_or(0))).await;
            }
        }
        answer.result.map_err(ProvisionError::from)
    }
}

#[async_trait]
impl Provisioner for SimProvisioner {
    fn capabilities(&self) -> Capabilities {
        self.cloud().capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        self.call(|cloud, now| cloud.offers(now)).await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        self.call(|cloud, now| cloud.launch(now, order)).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        self.call(|cloud, now| cloud.retire(now, instances)).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        self.call(|cloud, now| cloud.list(now)).await
    }
}
