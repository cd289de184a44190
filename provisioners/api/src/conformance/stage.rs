//! What the checks stand on: orders to place, and listings waited for with a limit.

use super::{Stop, Verdict, World, ensure};
use crate::{ProvisionError, Provisioner};
use squall_types::{
    Capabilities, InstanceId, LaunchOrder, LaunchToken, Launched, Listing, NodeName, Offer, OrderId, SeenInstance, Span,
};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Instances end themselves after this, should a check go wrong.
const DIE_AFTER: Span = Span::from_hours(1);
/// Beyond the listing's own grace, how long something may take to show.
const PATIENCE: Span = Span::from_mins(10);
/// Between two looks.
const PAUSE: Span = Span::from_millis(200);
/// Tries of a call that was throttled or whose outcome is unknown.
const TRIES: u32 = 50;
/// Nodes in the larger orders; enough to see a part, few enough to be real processes or real money.
const CROWD: u32 = 6;

/// A call of the trait on its way.
type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, ProvisionError>> + Send + 'a>>;

/// One world and a provisioner object over it.
pub(super) struct Stage {
    pub world: Box<dyn World>,
    pub provisioner: Arc<dyn Provisioner>,
    pub capabilities: Capabilities,
    pub offer: Offer,
    next: AtomicU64,
}

impl Stage {
    pub async fn set(world: Box<dyn World>) -> Result<Self, Stop> {
        let provisioner = world.connect().await;
        let capabilities = provisioner.capabilities();
        ensure!(capabilities.max_per_order > 0, "max_per_order is 0: nothing could be launched");
        ensure!(capabilities.max_per_retire > 0, "max_per_retire is 0: nothing could be retired");
        let next = AtomicU64::new(1);
        let mut stage = Self { world, provisioner, capabilities, offer: Offer::default(), next };
        let offers = stage.offers_by(&*stage.provisioner).await?;
        stage.offer = match offers.into_iter().next() {
            Some(offer) => offer,
            None => return Err(Stop::Broken("there is nothing on offer".to_owned())),
        };
        Ok(stage)
    }

    /// The size of a larger order that one call may have.
    pub fn crowd(&self) -> u32 {
        CROWD.min(self.capabilities.max_per_order).min(self.offer.max_per_order)
    }

    /// An order like no other before it, committed.
    pub fn order(&self, nodes: u32) -> LaunchOrder {
        let order = self.uncommitted(nodes);
        self.world.commit(&order);
        order
    }

    pub fn uncommitted(&self, nodes: u32) -> LaunchOrder {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let names = (0..nodes).map(|node| NodeName::new(format!("check{number}-{node}"))).collect();
        LaunchOrder {
            order: OrderId(number),
            pool: "check".into(),
            token: LaunchToken::new(format!("check-{}-{number}", self.world.now().0)),
            offer: self.offer.clone(),
            names,
            gang: false,
            die_at: self.world.now() + DIE_AFTER,
            tags: BTreeMap::from([("squall-order".to_owned(), number.to_string())]),
            join: Some(self.world.ticket()),
        }
    }

    /// Launches as the engine would: the identical request again while the answer is "later" or "unknown".
    pub async fn launch(&self, order: &LaunchOrder) -> Result<Launched, Stop> {
        self.launch_by(&*self.provisioner, order).await
    }

    pub async fn launch_by(&self, provisioner: &dyn Provisioner, order: &LaunchOrder) -> Result<Launched, Stop> {
        self.insist(|| provisioner.launch(order)).await.map_err(|error| broken("launch", &error))
    }

    /// The same, for a launch that is expected to fail.
    pub async fn try_launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        self.insist(|| self.provisioner.launch(order)).await
    }

    pub async fn retire(&self, instances: &[InstanceId]) -> Verdict {
        self.retire_by(&*self.provisioner, instances).await
    }

    pub async fn retire_by(&self, provisioner: &dyn Provisioner, instances: &[InstanceId]) -> Verdict {
        self.insist(|| provisioner.retire(instances)).await.map_err(|error| broken("retire", &error))
    }

    pub async fn offers_by(&self, provisioner: &dyn Provisioner) -> Result<Vec<Offer>, Stop> {
        self.insist(|| provisioner.offers()).await.map_err(|error| broken("offers", &error))
    }

    async fn insist<'a, T>(&self, call: impl Fn() -> Call<'a, T>) -> Result<T, ProvisionError> {
        let mut result = call().await;
        for _ in 1..TRIES {
            let Some(pause) = again_after(&result) else { break };
            self.world.pass(pause).await;
            result = call().await;
        }
        result
    }

    /// The next complete listing.
    pub async fn listing(&self) -> Result<Listing, Stop> {
        self.listing_by(&*self.provisioner).await
    }

    pub async fn listing_by(&self, provisioner: &dyn Provisioner) -> Result<Listing, Stop> {
        let mut last = "it never said that it was complete".to_owned();
        for _ in 0..TRIES {
            let result = provisioner.list().await;
            let pause = again_after(&result).unwrap_or(PAUSE);
            match result {
                Ok(listing) if listing.complete => return Ok(listing),
                Ok(_) => {}
                Err(error) => last = error.to_string(),
            }
            self.world.pass(pause).await;
        }
        Err(Stop::Broken(format!("no complete listing in {TRIES} tries: {last}")))
    }

    /// Waits for a complete listing of which `wanted` holds.
    pub async fn until(&self, what: &str, wanted: impl Fn(&Listing) -> bool) -> Result<Listing, Stop> {
        let deadline = self.world.now() + self.capabilities.listing_grace + PATIENCE;
        loop {
            let listing = self.listing().await?;
            if wanted(&listing) {
                return Ok(listing);
            }
            ensure!(self.world.now() < deadline, "after {} s a listing still does not show {what}", PATIENCE.as_secs());
            self.world.pass(PAUSE).await;
        }
    }

    /// Waits until the grace of the listing has passed since now, so that what it shows then is all there is.
    pub async fn settle(&self) -> Result<Listing, Stop> {
        let settled_at = self.world.now() + self.capabilities.listing_grace + PAUSE;
        while self.world.now() < settled_at {
            self.world.pass(PAUSE).await;
        }
        self.listing().await
    }

    /// Everything that this order has, once the grace has passed, is what `launched` says.
    pub async fn exactly(&self, order: &LaunchOrder, launched: &Launched) -> Verdict {
        let listing = self.settle().await?;
        let (listed, said) = (alive(&listing, order), ids(launched));
        ensure!(listed == said, "the launch said {said:?}, the listing shows {listed:?}");
        Ok(())
    }

    /// Retires whatever a check left, so that nothing real goes on running.
    pub async fn clear(&self) -> Verdict {
        let left: Vec<InstanceId> = self.settle().await?.instances.into_iter().map(|seen| seen.instance).collect();
        for some in left.chunks(self.capabilities.max_per_retire as usize) {
            self.retire(some).await?;
        }
        self.until("an end of what a check left", |listing| listing.instances.iter().all(|seen| seen.ending)).await?;
        Ok(())
    }
}

fn again_after<T>(result: &Result<T, ProvisionError>) -> Option<Span> {
    match result {
        Err(ProvisionError::Throttled { retry_after }) => Some((*retry_after).max(PAUSE)),
        Err(ProvisionError::Unknown { .. }) => Some(PAUSE),
        _ => None,
    }
}

pub(super) fn broken(verb: &str, error: &ProvisionError) -> Stop {
    Stop::Broken(format!("`{verb}` failed: {}", squall_types::LaunchFailure::from(error)))
}

pub(super) fn ids(launched: &Launched) -> BTreeSet<InstanceId> {
    launched.instances.iter().map(|one| one.instance.clone()).collect()
}

/// The instances of an order that may still run.
pub(super) fn alive(listing: &Listing, order: &LaunchOrder) -> BTreeSet<InstanceId> {
    let ours = |seen: &&SeenInstance| seen.order == Some(order.order) && !seen.ending;
    listing.instances.iter().filter(ours).map(|seen| seen.instance.clone()).collect()
}
