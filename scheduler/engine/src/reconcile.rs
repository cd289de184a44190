//! What the ledger owes the providers: launches with their tokens, retirements until they are seen.
//!
//! What is outstanding is derived from the state; only when to try again is kept here, so a crash forgets nothing but
//! its patience. A launch whose answer is not known is repeated with the identical request while its token lives;
//! after that only a listing tells.

use crate::Engine;
use crate::io::{CallId, Output, ProviderCall, ProviderReply};
use squall_core::Command;
use squall_core::node::NodeState;
use squall_core::order::OrderState;
use squall_types::offer::LaunchFailure;
use squall_types::{InstanceId, OrderId, PoolName, Span, Timestamp};
use std::collections::BTreeMap;

/// First pause after a call without outcome; doubles to `MOST_PAUSE`.
const FIRST_PAUSE: Span = Span::from_secs(1);
const MOST_PAUSE: Span = Span::from_secs(60);
/// A retirement is asked for again when the instance is still there after so long; doubles to `MOST_PAUSE`.
const RETIRE_AGAIN: Span = Span::from_secs(10);
/// Instances in one call.
const MAX_RETIRED: usize = 500;
/// Calls under way in one pool: a provider that hangs costs others nothing.
const MAX_LAUNCHES: usize = 64;

#[derive(Default)]
pub(crate) struct Reconciler {
    last_call: u64,
    calls: BTreeMap<CallId, Call>,
    launches: BTreeMap<OrderId, Effort>,
    retirements: BTreeMap<(PoolName, InstanceId), Effort>,
}

#[derive(Clone)]
enum Call {
    Launch(OrderId),
    Retire { pool: PoolName, instances: Vec<InstanceId> },
    List { pool: PoolName, asked_at: Timestamp },
    Offers(PoolName),
}

#[derive(Clone, Copy, Default)]
struct Effort {
    tries: u32,
    under_way: bool,
    not_before: Timestamp,
    /// A call had no outcome: it may have taken effect, whatever is said of a later one.
    unknown: bool,
}

impl Effort {
    fn is_due(&self, now: Timestamp) -> bool {
        !self.under_way && self.not_before <= now
    }

    fn failed(&mut self, now: Timestamp, first: Span) {
        let pause = first.times(1i64 << self.tries.min(16)).min(MOST_PAUSE);
        self.tries = self.tries.saturating_add(1);
        self.under_way = false;
        self.not_before = now + pause;
    }
}

impl Reconciler {
    /// When the next effort is due. What is due now and was not made in this turn waits for something else: for a call
    /// of its pool to return, or, past the life of its token, for a listing.
    pub fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        let efforts = self.launches.values().chain(self.retirements.values());
        let later = efforts.filter(|effort| !effort.under_way && effort.not_before > now);
        later.map(|effort| effort.not_before).min()
    }
}

impl Engine {
    pub(crate) fn reconcile(&mut self) {
        self.launch();
        self.retire();
    }

    fn launch(&mut self) {
        let mut owed = Vec::new();
        let mut under_way: BTreeMap<&PoolName, usize> = BTreeMap::new();
        for order in self.cluster.placed_orders() {
            let effort = self.reconciler.launches.get(&order.id).copied().unwrap_or_default();
            let calls = under_way.entry(&order.request.pool).or_default();
            *calls += usize::from(effort.under_way);
            // Past its token's life a repeated request could bring a second set of machines.
            let alive = order.accept_by > self.now || squall_core::canary::active("launch_past_token");
            if effort.is_due(self.now) && alive && *calls < MAX_LAUNCHES {
                *calls += 1;
                owed.push((order.id, order.request.clone()));
            }
        }
        for (id, mut request) in owed {
            let effort = self.reconciler.launches.entry(id).or_default();
            effort.under_way = true;
            if squall_core::canary::active("new_token_on_retry") && effort.tries > 0 {
                request.token.0.push_str("-again");
            }
            let pool = request.pool.clone();
            self.call(Call::Launch(id), pool, ProviderCall::Launch(Box::new(request)));
        }
        let open = |order: &OrderId| {
            self.cluster.orders.get(order).is_some_and(|order| matches!(order.state, OrderState::Placed))
        };
        self.reconciler.launches.retain(|order, effort| effort.under_way || open(order));
    }

    fn retire(&mut self) {
        let mut owed: BTreeMap<PoolName, Vec<InstanceId>> = BTreeMap::new();
        let mut wanted = std::collections::BTreeSet::new();
        let retiring = self.cluster.unsettled_nodes().filter(|node| matches!(node.state, NodeState::Retiring { .. }));
        let nodes = retiring.filter_map(|node| node.instance.clone().map(|instance| (node.pool.clone(), instance)));
        let strangers = self.cluster.pools.iter().flat_map(|(pool, state)| {
            let retiring = state.strangers.iter().filter(|(_, stranger)| stranger.retiring);
            retiring.map(move |(instance, _)| (pool.clone(), instance.clone()))
        });
        for (pool, instance) in nodes.chain(strangers) {
            let key = (pool, instance);
            let effort = self.reconciler.retirements.get(&key).copied().unwrap_or_default();
            let calls = owed.entry(key.0.clone()).or_default();
            if effort.is_due(self.now) && calls.len() < MAX_RETIRED {
                calls.push(key.1.clone());
            }
            wanted.insert(key);
        }
        for (pool, instances) in owed.into_iter().filter(|(_, instances)| !instances.is_empty()) {
            for instance in &instances {
                self.reconciler.retirements.entry((pool.clone(), instance.clone())).or_default().under_way = true;
            }
            let call = Call::Retire { pool: pool.clone(), instances: instances.clone() };
            self.call(call, pool, ProviderCall::Retire(instances));
        }
        self.reconciler.retirements.retain(|key, effort| effort.under_way || wanted.contains(key));
    }

    pub(crate) fn ask_for_listing(&mut self, pool: PoolName) {
        self.call(Call::List { pool: pool.clone(), asked_at: self.now }, pool, ProviderCall::List);
    }

    pub(crate) fn ask_for_offers(&mut self, pool: PoolName) {
        self.call(Call::Offers(pool.clone()), pool, ProviderCall::Offers);
    }

    fn call(&mut self, call: Call, pool: PoolName, verb: ProviderCall) {
        self.reconciler.last_call += 1;
        let id = CallId(self.reconciler.last_call);
        self.reconciler.calls.insert(id, call);
        let output = Output::Call { call: id, pool, verb };
        if squall_core::canary::active("launch_before_commit") {
            self.batches.send(output);
        } else {
            self.batches.hold(output);
        }
    }

    pub(crate) fn provider_said(&mut self, id: CallId, reply: ProviderReply) {
        let Some(call) = self.reconciler.calls.remove(&id) else { return };
        match (call, reply) {
            (Call::Launch(order), ProviderReply::Launched(outcome)) => self.launch_said(order, outcome),
            (Call::Retire { pool, instances }, ProviderReply::Retired(_)) => {
                // Accepted or not, only a listing shows that it is gone: asked for again, later each time.
                for instance in instances {
                    if let Some(effort) = self.reconciler.retirements.get_mut(&(pool.clone(), instance)) {
                        effort.failed(self.now, RETIRE_AGAIN);
                    }
                }
                self.inventory.hurry(&pool, self.now);
            }
            (Call::List { pool, asked_at }, ProviderReply::Listed(outcome)) => {
                self.inventory.listed(&pool, self.now, outcome.is_ok());
                if let Ok(listing) = outcome {
                    self.note(&Command::Listed { pool, listing, asked_at });
                }
            }
            (Call::Offers(pool), ProviderReply::Offers(outcome)) => {
                self.inventory.offered(&pool, self.now, outcome.is_ok());
                if let Ok(offers) = outcome {
                    self.note(&Command::Offers { pool, offers });
                }
            }
            // A reply of another kind is a bug of the shell; the call is tried again.
            (Call::Launch(order), _) => {
                self.launch_said(order, Err(LaunchFailure::Unknown { why: "no reply".to_owned() }))
            }
            _ => {}
        }
    }

    fn launch_said(&mut self, order: OrderId, outcome: Result<squall_types::Launched, LaunchFailure>) {
        // What an earlier controller called, and what it heard, nobody knows any more.
        let inherited =
            self.cluster.orders.get(&order).is_some_and(|order| order.placed_at < self.cluster.counters.started_at);
        let effort = self.reconciler.launches.entry(order).or_default();
        match outcome {
            Ok(launched) => {
                effort.under_way = false;
                self.note(&Command::Launched { order, launched });
            }
            Err(failure) => {
                effort.failed(self.now, FIRST_PAUSE);
                if let LaunchFailure::Throttled { retry_after } = &failure {
                    effort.not_before = effort.not_before.max(self.now + *retry_after);
                }
                // Who refuses to look at the repetition says nothing about the first call.
                let refused = matches!(
                    failure,
                    LaunchFailure::Rejected { .. } | LaunchFailure::Denied { .. } | LaunchFailure::Conflict { .. }
                );
                if refused && (effort.unknown || inherited) {
                    return;
                }
                effort.unknown |= matches!(failure, LaunchFailure::Unknown { .. });
                self.note(&Command::LaunchFailed { order, failure });
            }
        }
    }
}
