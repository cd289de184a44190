//! What there is: the folders, and whether anything still runs in them.

use crate::agent::{Life, NodeFolder};
use crate::disk::{self, DiskError};
use crate::orders::OrderKey;
use crate::process::Census;
use crate::provisioner::Inner;
use squall_provisioner::ProvisionError;
use squall_types::{InstanceId, Listing, SeenInstance, Timestamp};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

/// What a look at an instance shows.
enum Look {
    /// Its agent lives, or something else of it does, or its agent may still be started again.
    Runs,
    /// It will not run again; what is left of it has to be cleared away.
    Over,
}

impl Inner {
    /// Lists every folder. An instance that is found to be over is listed as ending this once, and cleared away.
    pub fn list(self: &Arc<Self>) -> Result<Listing, ProvisionError> {
        self.reap();
        let mut listing = Listing { instances: Vec::new(), complete: true };
        let mut over = BTreeSet::new();
        {
            let _locked = self.locked()?;
            for instance in self.instances()? {
                let folder = NodeFolder::at(&self.nodes, &instance);
                let ending = match self.look(&instance, &folder) {
                    Ok(Look::Runs) => false,
                    Ok(Look::Over) => over.insert(instance.clone()),
                    Err(error) => {
                        tracing::warn!(%instance, reason = %error, "an instance cannot be looked at");
                        listing.complete = false;
                        continue;
                    }
                };
                listing.instances.push(seen(instance, &folder, ending));
            }
        }
        self.finish_later(over);
        Ok(listing)
    }

    /// The instances that have a folder; what else somebody put there is left alone.
    pub fn instances(&self) -> Result<Vec<InstanceId>, DiskError> {
        let named = disk::names_in(&self.nodes)?.into_iter().map(InstanceId::new);
        Ok(named.filter(|instance| OrderKey::of_instance(instance).is_some()).collect())
    }

    fn look(&self, instance: &InstanceId, folder: &NodeFolder) -> Result<Look, ProvisionError> {
        if self.is_marked_ended(instance)? {
            return Ok(Look::Over);
        }
        if folder.powered_off() {
            self.mark_one_ended(instance)?;
            return Ok(Look::Over);
        }
        let mut dead_since = self.dead_since.lock().unwrap_or_else(PoisonError::into_inner);
        if let Life::Alive(_) = folder.life()? {
            dead_since.remove(instance);
            return Ok(Look::Runs);
        }
        let since = *dead_since.entry(instance.clone()).or_insert_with(Instant::now);
        let patience = Duration::from_millis(u64::try_from(self.config.revive_within.as_millis()).unwrap_or(0));
        if since.elapsed() < patience {
            return Ok(Look::Runs);
        }
        // Jobs outlive their agent, and while they do the machine is not gone.
        let left = Census::take().map_err(ProvisionError::unknown)?.of(instance);
        if !left.is_empty() {
            return Ok(Look::Runs);
        }
        self.mark_one_ended(instance)?;
        Ok(Look::Over)
    }

    /// Whether the order's record says so; without a readable record nothing does.
    pub fn is_marked_ended(&self, instance: &InstanceId) -> Result<bool, DiskError> {
        let Some(key) = OrderKey::of_instance(instance) else { return Ok(false) };
        let record = self.orders.read(&key).unwrap_or_else(|error| {
            tracing::error!(%instance, reason = %error, "an order's record is damaged");
            None
        });
        Ok(record.is_some_and(|record| record.ended.contains(instance)))
    }

    /// Ends what is over in the background, unless somebody is already at it.
    fn finish_later(self: &Arc<Self>, mut over: BTreeSet<InstanceId>) {
        let under_way = self.ending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        over.retain(|instance| !under_way.contains(instance));
        if over.is_empty() {
            return;
        }
        let inner = self.clone();
        std::thread::spawn(move || {
            if let Err(error) = inner.finish(&over) {
                tracing::warn!(reason = %error, "what is left of ended instances stays until the next listing");
            }
        });
    }
}

fn seen(instance: InstanceId, folder: &NodeFolder, ending: bool) -> SeenInstance {
    let record = folder.record().ok().flatten();
    SeenInstance {
        order: record.as_ref().map(|record| record.order),
        launched_at: record.as_ref().map_or(Timestamp::ZERO, |record| record.launched_at),
        name: record.map(|record| record.name),
        instance,
        ending,
    }
}
