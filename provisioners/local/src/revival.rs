//! Agents that died are started again on their folders, where they adopt what still runs.

use crate::agent::{Life, NodeFolder};
use crate::disk::DiskError;
use crate::orders::OrderKey;
use crate::provisioner::{Inner, LocalProvisioner};
use squall_types::{InstanceId, NodeName, OrderId};
use std::io;

/// How an instance's agent is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentStatus {
    pub instance: InstanceId,
    pub order: OrderId,
    pub name: NodeName,
    /// Of the agent, while it lives.
    pub pid: Option<u32>,
}

/// What became of an agent that was to be started again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revived {
    /// It had not died.
    Alive,
    Started {
        pid: u32,
    },
}

/// Why an agent is not started again.
#[derive(Debug, thiserror::Error)]
pub enum ReviveError {
    #[error("there is no instance `{0}`")]
    Unknown(InstanceId),
    #[error("instance `{0}` has ended")]
    Ended(InstanceId),
    #[error("the agent of `{instance}` cannot be started")]
    NotStarted {
        instance: InstanceId,
        #[source]
        source: io::Error,
    },
    #[error("the folder of local nodes cannot be used")]
    Folder(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl From<DiskError> for ReviveError {
    fn from(error: DiskError) -> Self {
        Self::Folder(Box::new(error))
    }
}

impl LocalProvisioner {
    /// Starts an instance's agent again if it has died: on the same folder, with the same arguments. When and how
    /// often is the supervisor's decision. Waits for disks and processes.
    ///
    /// # Errors
    /// `Ended` for an instance that was retired or has powered itself off.
    pub fn revive(&self, instance: &InstanceId) -> Result<Revived, ReviveError> {
        self.inner.revive(instance)
    }

    /// Every instance that has not ended, in order of its id. Waits for disks.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn agents(&self) -> Result<Vec<AgentStatus>, ReviveError> {
        self.inner.agents()
    }
}

impl Inner {
    fn revive(&self, instance: &InstanceId) -> Result<Revived, ReviveError> {
        self.reap();
        let unknown = || ReviveError::Unknown(instance.clone());
        let key = OrderKey::of_instance(instance).ok_or_else(unknown)?;
        let _locked = self.locked()?;
        let order = self.orders.read(&key)?.ok_or_else(unknown)?;
        let folder = NodeFolder::at(&self.nodes, instance);
        if order.ended.contains(instance) || folder.powered_off() {
            return Err(ReviveError::Ended(instance.clone()));
        }
        let record = folder.record()?.ok_or_else(unknown)?;
        if let Life::Alive(_) = folder.life()? {
            return Ok(Revived::Alive);
        }
        let child = folder
            .start(&self.config.agent, &record)
            .map_err(|source| ReviveError::NotStarted { instance: instance.clone(), source })?;
        let pid = child.id();
        tracing::info!(order = %record.order, node = %record.name, %instance, pid, "agent started again");
        self.adopt(child);
        Ok(Revived::Started { pid })
    }

    fn agents(&self) -> Result<Vec<AgentStatus>, ReviveError> {
        self.reap();
        let _locked = self.locked()?;
        let mut agents = Vec::new();
        for instance in self.instances()? {
            let folder = NodeFolder::at(&self.nodes, &instance);
            // A damaged folder cannot be started again; a listing clears it away.
            let Ok(Some(record)) = folder.record() else { continue };
            if self.is_marked_ended(&instance)? || folder.powered_off() {
                continue;
            }
            let pid = match folder.life()? {
                Life::Alive(agent) => Some(agent.pid),
                Life::Unborn | Life::Dead => None,
            };
            agents.push(AgentStatus { instance, order: record.order, name: record.name, pid });
        }
        Ok(agents)
    }
}
