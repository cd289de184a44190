//! Instances are put to an end: their agents, everything that these started, and their folders.

use crate::agent::{Life, NodeFolder, remove_folder};
use crate::cgroup;
use crate::disk::{self, DiskError};
use crate::orders::OrderKey;
use crate::process::{self, Process};
use crate::provisioner::{Inner, MAX_PER_RETIRE};
use nix::sys::signal::Signal;
use squall_provisioner::ProvisionError;
use squall_types::InstanceId;
use std::collections::BTreeSet;
use std::fs;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Logs of nodes that are gone; the oldest are removed.
const MAX_LOGS: usize = 50;
/// Between two looks at agents that are to end.
const PAUSE: Duration = Duration::from_millis(10);

impl Inner {
    /// Marks the instances as ended, so that nothing starts them again, and then ends them.
    pub fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        if instances.len() > MAX_PER_RETIRE as usize {
            let asked = instances.len();
            return Err(ProvisionError::rejected(format!(
                "{asked} instances in one call, and it takes {MAX_PER_RETIRE}"
            )));
        }
        let ours: BTreeSet<InstanceId> =
            instances.iter().filter(|instance| OrderKey::of_instance(instance).is_some()).cloned().collect();
        self.mark_ended(&ours)?;
        self.finish(&ours)
    }

    fn mark_ended(&self, instances: &BTreeSet<InstanceId>) -> Result<(), DiskError> {
        let _locked = self.locked()?;
        instances.iter().try_for_each(|instance| self.mark_one_ended(instance))
    }

    /// Under the root's lock. An instance without a readable record is ended all the same.
    pub fn mark_one_ended(&self, instance: &InstanceId) -> Result<(), DiskError> {
        let Some(key) = OrderKey::of_instance(instance) else { return Ok(()) };
        let mut record = match self.orders.read(&key) {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::error!(%instance, reason = %error, "an order's record is damaged");
                return Ok(());
            }
        };
        let known = record.instances.iter().any(|one| one.instance == *instance);
        if known && record.ended.insert(instance.clone()) {
            self.orders.write(&key, &record)?;
        }
        Ok(())
    }

    /// Ends what is marked as ended: the agents first, with a grace in which they can say goodbye, then all that is left.
    pub fn finish(&self, instances: &BTreeSet<InstanceId>) -> Result<(), ProvisionError> {
        let _ending = self.note_ending(instances);
        let folders = || instances.iter().map(|instance| (instance, NodeFolder::at(&self.nodes, instance)));
        let mut agents = Vec::new();
        for (_, folder) in folders() {
            if let Life::Alive(agent) = folder.life()? {
                agent.signal(Signal::SIGTERM).map_err(ProvisionError::unknown)?;
                agents.push(agent);
            }
        }
        self.wait_for(agents);
        // Every instance is attempted; the first failure is what the caller hears.
        let mut failure = None;
        for (instance, folder) in folders().filter(|(_, folder)| folder.exists()) {
            if let Err(error) = self.clear(instance, &folder) {
                failure.get_or_insert(error);
            }
        }
        self.reap();
        failure.map_or(Ok(()), Err)
    }

    fn wait_for(&self, mut agents: Vec<Process>) {
        let grace = Duration::from_millis(u64::try_from(self.config.stop_grace.as_millis()).unwrap_or(0));
        let deadline = Instant::now() + grace;
        loop {
            self.reap();
            agents.retain(|agent| agent.lives());
            if agents.is_empty() || Instant::now() >= deadline {
                return;
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Kills what is left of an instance, and removes its folder only when nothing is.
    pub fn clear(&self, instance: &InstanceId, folder: &NodeFolder) -> Result<(), ProvisionError> {
        // An agent whose environment cannot be read is still known by its number.
        if let Life::Alive(agent) = folder.life()? {
            agent.signal(Signal::SIGKILL).map_err(ProvisionError::unknown)?;
        }
        process::kill_all(instance).map_err(ProvisionError::unknown)?;
        for path in cgroup::named_in(&folder.state().join("cgroup"), instance)? {
            cgroup::kill(&path).map_err(ProvisionError::unknown)?;
            process::kill_all(instance).map_err(ProvisionError::unknown)?;
        }
        self.reap();
        let _locked = self.locked()?;
        if !folder.exists() {
            return Ok(());
        }
        self.keep_log(folder);
        let aside = self.trash.join(instance.as_str());
        remove_folder(&aside)?;
        disk::rename(folder.path(), &aside)?;
        self.dead_since.lock().unwrap_or_else(PoisonError::into_inner).remove(instance);
        tracing::info!(%instance, "instance removed");
        Ok(remove_folder(&aside)?)
    }

    /// For whoever looks later why a node failed. A log that cannot be kept is no reason to keep the node.
    fn keep_log(&self, folder: &NodeFolder) {
        let Ok(Some(record)) = folder.record() else { return };
        let kept = fs::rename(folder.log(), self.logs.join(format!("{}.log", record.name)));
        let aged = |name: String| {
            let path = self.logs.join(name);
            fs::metadata(&path).and_then(|meta| meta.modified()).map(|at| (at, path)).ok()
        };
        let mut logs: Vec<_> = disk::names_in(&self.logs).unwrap_or_default().into_iter().filter_map(aged).collect();
        logs.sort();
        let surplus = logs.len().saturating_sub(MAX_LOGS);
        for (_, path) in logs.drain(..surplus) {
            let _ = fs::remove_file(path);
        }
        if let Err(error) = kept {
            tracing::debug!(node = %record.name, reason = %error, "the agent's log is not kept");
        }
    }

    fn note_ending<'a>(&'a self, instances: &'a BTreeSet<InstanceId>) -> Ending<'a> {
        self.ending.lock().unwrap_or_else(PoisonError::into_inner).extend(instances.iter().cloned());
        Ending { inner: self, instances }
    }
}

/// As long as it lives, a listing does not put the same instances to an end a second time.
struct Ending<'a> {
    inner: &'a Inner,
    instances: &'a BTreeSet<InstanceId>,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut ending = self.inner.ending.lock().unwrap_or_else(PoisonError::into_inner);
        ending.retain(|instance| !self.instances.contains(instance));
    }
}
