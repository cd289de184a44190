//! Provider calls: each a task of its own, so that one that hangs costs the others nothing.

use super::mailbox::{Mailbox, Message};
use super::{ProviderTable, TicketMaker};
use crate::limits::PROVIDER_PATIENCE;
use squall_engine::{CallId, Input, ProviderCall, ProviderReply};
use squall_provisioner::Provisioner;
use squall_types::PoolName;
use squall_types::offer::LaunchFailure;
use std::sync::{Arc, PoisonError};
use tokio::runtime::Handle as Runtime;

pub(super) struct Providers {
    by_pool: ProviderTable,
    ticket: TicketMaker,
    mailbox: Arc<Mailbox>,
    runtime: Runtime,
}

impl Providers {
    pub fn new(by_pool: ProviderTable, ticket: TicketMaker, mailbox: Arc<Mailbox>, runtime: Runtime) -> Self {
        Providers { by_pool, ticket, mailbox, runtime }
    }

    pub fn call(&self, call: CallId, pool: PoolName, verb: ProviderCall) {
        let provider = self.by_pool.read().unwrap_or_else(PoisonError::into_inner).get(&pool).cloned();
        let (ticket, mailbox) = (self.ticket.clone(), self.mailbox.clone());
        self.runtime.spawn(async move {
            let reply = match provider {
                Some(provider) => perform(provider.as_ref(), &ticket, verb).await,
                None => nobody(&pool, &verb),
            };
            mailbox.put_now(Message::Input(Input::Provider { call, reply }));
        });
    }
}

async fn perform(provider: &dyn Provisioner, ticket: &TicketMaker, verb: ProviderCall) -> ProviderReply {
    let late = || LaunchFailure::Unknown { why: format!("no answer in {} s", PROVIDER_PATIENCE.as_secs()) };
    match verb {
        ProviderCall::Offers => {
            let offers = tokio::time::timeout(PROVIDER_PATIENCE, provider.offers()).await;
            ProviderReply::Offers(offers.map_or_else(|_| Err(late()), |offers| offers.map_err(|error| (&error).into())))
        }
        ProviderCall::Launch(mut order) => {
            order.join = Some(ticket(&order));
            tracing::info!(order = %order.order, pool = %order.pool, offer = %order.offer.name, nodes = order.names.len(), "launching");
            let launched = tokio::time::timeout(PROVIDER_PATIENCE, provider.launch(&order)).await;
            let launched = launched.map_or_else(|_| Err(late()), |launched| launched.map_err(|error| (&error).into()));
            if let Err(failure) = &launched {
                tracing::warn!(order = %order.order, pool = %order.pool, %failure, "launch failed");
            }
            ProviderReply::Launched(launched)
        }
        ProviderCall::Retire(instances) => {
            let retired = tokio::time::timeout(PROVIDER_PATIENCE, provider.retire(&instances)).await;
            ProviderReply::Retired(
                retired.map_or_else(|_| Err(late()), |retired| retired.map_err(|error| (&error).into())),
            )
        }
        ProviderCall::List => {
            let listing = tokio::time::timeout(PROVIDER_PATIENCE, provider.list()).await;
            ProviderReply::Listed(
                listing.map_or_else(|_| Err(late()), |listing| listing.map_err(|error| (&error).into())),
            )
        }
    }
}

/// The pool is configured, and nothing serves it: not an outcome of any launch, and never a complete listing.
fn nobody(pool: &PoolName, verb: &ProviderCall) -> ProviderReply {
    let failure = LaunchFailure::Denied { why: format!("no provisioner serves pool {pool}") };
    match verb {
        ProviderCall::Offers => ProviderReply::Offers(Err(failure)),
        ProviderCall::Launch(_) => ProviderReply::Launched(Err(failure)),
        ProviderCall::Retire(_) => ProviderReply::Retired(Err(failure)),
        ProviderCall::List => ProviderReply::Listed(Err(failure)),
    }
}
