//! Orders become folders and agents.

use crate::agent::{InstanceRecord, Life, NodeFolder, remove_folder};
use crate::orders::{OrderKey, OrderRecord};
use crate::process;
use crate::provisioner::{Inner, MAX_PER_ORDER, now};
use squall_provisioner::ProvisionError;
use squall_types::offer::{JoinTicket, LaunchedInstance};
use squall_types::{LaunchOrder, Launched, NodeName};
use std::collections::BTreeSet;
use std::io;

/// As long as a host name's part may be.
const MAX_NAME_BYTES: usize = 63;

impl Inner {
    /// Grants the order if it is new, and makes and starts what was granted and is not there yet.
    pub fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        let ticket = self.check(order)?;
        self.reap();
        let _locked = self.locked()?;
        let key = OrderKey::of(&self.identity, &order.token);
        let request = LaunchOrder { join: None, ..order.clone() };
        match self.orders.read(&key)? {
            None => {
                let record = self.grant(&key, request)?;
                self.bring_all_up(&record, ticket).map_err(|error| self.give_up(&key, &record, error))?;
                Ok(record.launched())
            }
            // Some of it may run already, so a failure now is no proof that nothing of the order exists.
            Some(record) if record.request == request => {
                self.bring_all_up(&record, ticket).map_err(ProvisionError::unknown)?;
                Ok(record.launched())
            }
            Some(record) => Err(ProvisionError::Conflict {
                why: format!("token `{}` was used for another request of order {}", order.token, record.request.order),
            }),
        }
    }

    fn bring_all_up(&self, record: &OrderRecord, ticket: &JoinTicket) -> Result<(), ProvisionError> {
        record.open().try_for_each(|one| self.bring_up(record, one, ticket))
    }

    /// The request's own sense, before anything is touched.
    fn check<'a>(&self, order: &'a LaunchOrder) -> Result<&'a JoinTicket, ProvisionError> {
        let Some(offer) = self.config.offers.iter().find(|offer| offer.name == order.offer.name) else {
            return Err(ProvisionError::rejected(format!("`{}` is not offered on this machine", order.offer.name)));
        };
        let (asked, limit) = (order.names.len(), offer.max_per_order.min(MAX_PER_ORDER));
        if asked == 0 || asked > limit as usize {
            return Err(ProvisionError::rejected(format!("{asked} nodes in one order, and it can have 1 to {limit}")));
        }
        let mut names = BTreeSet::new();
        for name in &order.names {
            if !well_formed(name) {
                return Err(ProvisionError::rejected(format!("{:?} cannot be the name of a node", name.as_str())));
            }
            if !names.insert(name) {
                return Err(ProvisionError::rejected(format!("`{name}` stands twice in one order")));
            }
        }
        order
            .join
            .as_ref()
            .ok_or_else(|| ProvisionError::rejected("the order has no ticket with which nodes could join"))
    }

    /// Writes down which instances the order gets: from here on a repeated call meets the same ones.
    fn grant(&self, key: &OrderKey, request: LaunchOrder) -> Result<OrderRecord, ProvisionError> {
        let (used, limit) = (self.orders.count_open()?, self.max_instances());
        let room = usize::try_from(limit.saturating_sub(used)).unwrap_or(usize::MAX);
        let wanted = request.names.len();
        if room < if request.gang { wanted } else { 1 } {
            return Err(ProvisionError::Quota { name: "local instances".to_owned(), limit, used });
        }
        let name =
            |(index, name): (usize, &NodeName)| LaunchedInstance { instance: key.instance(index), name: name.clone() };
        let instances = request.names.iter().enumerate().take(room).map(name).collect();
        let record = OrderRecord { request, instances, ended: BTreeSet::new(), launched_at: now() };
        self.orders.write(key, &record)?;
        Ok(record)
    }

    /// Makes the folder and starts the agent, as far as neither has been done. An agent that has died is left dead:
    /// starting it again is not what a launch is for.
    fn bring_up(
        &self,
        record: &OrderRecord,
        one: &LaunchedInstance,
        ticket: &JoinTicket,
    ) -> Result<(), ProvisionError> {
        let folder = NodeFolder::at(&self.nodes, &one.instance);
        let instance = InstanceRecord {
            instance: one.instance.clone(),
            order: record.request.order,
            name: one.name.clone(),
            launched_at: record.launched_at,
            die_at: record.request.die_at,
            controller: ticket.controller.clone(),
            ca_pin: ticket.ca_pin.clone(),
        };
        if !folder.exists() {
            folder.make(&instance, &record.request.offer.shape, ticket)?;
        }
        if folder.life()? != Life::Unborn {
            return Ok(());
        }
        let instance = folder.record()?.unwrap_or(instance);
        let child = folder.start(&self.config.agent, &instance).map_err(|error| self.unstartable(error))?;
        tracing::info!(
            order = %instance.order, node = %instance.name, instance = %instance.instance, pid = child.id(), "agent started"
        );
        self.adopt(child);
        Ok(())
    }

    /// What it means that the agent's program cannot be executed.
    fn unstartable(&self, error: io::Error) -> ProvisionError {
        let program = self.config.agent.program.display();
        match error.raw_os_error() {
            Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
                ProvisionError::NoCapacity { scope: format!("this machine: `{program}` cannot be started: {error}") }
            }
            Some(libc::ENOSPC | libc::EDQUOT) => {
                ProvisionError::NoCapacity { scope: format!("the disk of {}", self.nodes.display()) }
            }
            _ => ProvisionError::rejected(format!("`{program}` cannot be started: {error}")),
        }
    }

    /// After a failure that will not go away by repeating, nothing of the order is left. Where that cannot be
    /// achieved, and where repeating may help, the order stays and the outcome is unknown.
    fn give_up(&self, key: &OrderKey, record: &OrderRecord, error: ProvisionError) -> ProvisionError {
        if matches!(error, ProvisionError::Unknown { .. }) {
            return error;
        }
        for one in record.open() {
            let folder = NodeFolder::at(&self.nodes, &one.instance);
            let cleared = process::kill_all(&one.instance)
                .map_err(ProvisionError::unknown)
                .and_then(|()| Ok(remove_folder(folder.path())?));
            if let Err(unclear) = cleared {
                return unclear;
            }
        }
        match self.orders.forget(key) {
            Ok(()) => error,
            Err(unclear) => unclear.into(),
        }
    }
}

/// Letters, digits, `-`, `_` and `.`, so that a name is safe as an argument, in a path, and in a host list.
fn well_formed(name: &NodeName) -> bool {
    let name = name.as_str();
    (1..=MAX_NAME_BYTES).contains(&name.len())
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
