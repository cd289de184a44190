//! A supervised program, seen through the trait.

use super::{Running, State, Supervised};
use crate::bridge::is_unheard;
use crate::{ProvisionError, Provisioner};
use async_trait::async_trait;
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, PoolName};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

/// The source of the `Unknown` of a call for which no program was up. An earlier call for the same order may have been
/// carried out, so that nothing is known of it either way.
#[derive(Debug, thiserror::Error)]
#[error("the provisioner of pool {pool} is down: {why}")]
struct Down {
    pool: PoolName,
    why: String,
}

impl Supervised {
    /// The process that is up; one that is just being started is waited for.
    async fn running(&self) -> Result<Arc<Running>, ProvisionError> {
        let down = |why: String| ProvisionError::unknown(Down { pool: self.pool.clone(), why });
        let mut state = self.state.clone();
        // Longer than any start: whether it comes up is the keeper's to say.
        let patience = self.pace.start_within + self.pace.end_within + Duration::from_secs(1);
        let settled = tokio::time::timeout(patience, state.wait_for(|state| !matches!(state, State::Starting))).await;
        match settled.map(|settled| settled.map(|state| state.clone())) {
            Ok(Ok(State::Up(running))) => Ok(running),
            Ok(Ok(State::Down { outage, pause })) => {
                Err(down(format!("{outage}; it is started again within {} ms", pause.as_millis())))
            }
            Ok(Ok(State::Over) | Err(_)) => Err(down("it was ended".to_owned())),
            Ok(Ok(State::Starting)) | Err(_) => Err(down("it is being started".to_owned())),
        }
    }

    /// What an answer, or none, says about the process.
    fn judge<T>(&self, running: &Running, result: Result<T, ProvisionError>) -> Result<T, ProvisionError> {
        match &result {
            Err(error) if is_unheard(error) => {
                running.misses.fetch_add(1, Ordering::Relaxed);
                running.suspect.notify_one();
            }
            _ => running.misses.store(0, Ordering::Relaxed),
        }
        result
    }
}

#[async_trait]
impl Provisioner for Supervised {
    /// Of the last process that was up. Nothing is promised before the first.
    fn capabilities(&self) -> Capabilities {
        self.promised.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        let running = self.running().await?;
        let result = running.bridged.offers().await;
        self.judge(&running, result)
    }

    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let running = self.running().await?;
        let result = running.bridged.launch(order).await;
        self.judge(&running, result)
    }

    /// In as many calls as the program's limit needs.
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        let running = self.running().await?;
        let at_once = running.bridged.capabilities().max_per_retire.max(1) as usize;
        let mut outcome = Ok(());
        for some in instances.chunks(at_once) {
            let result = running.bridged.retire(some).await;
            outcome = outcome.and(self.judge(&running, result));
        }
        outcome
    }

    async fn list(&self) -> Result<Listing, ProvisionError> {
        let running = self.running().await?;
        let result = running.bridged.list().await;
        self.judge(&running, result)
    }
}
