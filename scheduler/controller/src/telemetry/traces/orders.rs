//! What was bought, seen from the jobs that wait for it: order, launch, boot and join.
//!
//! A job sees every order that was placed after it was submitted and whose nodes it claims, its own or one that it
//! shares with others; each such job has the spans in its own trace. An older order is only linked to.

use super::span::{FinishedSpan, dollars_per_hour, key};
use super::{Place, ids};
use opentelemetry::trace::Status;
use squall_types::{CapacityKind, InstanceId, JobId, LaunchOrder, NodeId, NodeName, OrderId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Jobs that see the machines of one order; further ones have only a link.
const WATCHERS: usize = 1_024;

/// An order some of whose machines are not ready yet.
pub(super) struct OpenOrder {
    request: LaunchOrder,
    placed_at: Timestamp,
    outcome: Option<Outcome>,
    coming: BTreeMap<NodeId, Coming>,
    watchers: BTreeMap<JobId, Watcher>,
}

struct Outcome {
    at: Timestamp,
    delivered: usize,
    failure: Option<String>,
}

/// A machine on its way.
struct Coming {
    name: NodeName,
    instance: Option<InstanceId>,
    launched_at: Option<Timestamp>,
    joined_at: Option<Timestamp>,
}

struct Watcher {
    place: Place,
    waits_for: BTreeSet<NodeId>,
    arrived: usize,
    /// Its `order` span is told: what it claims of the order from now on is linked to.
    is_told: bool,
}

/// How a machine's way ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    Ready,
    NeverLaunched,
    Failed(&'static str),
}

/// All open orders, and what is known of every live node.
#[derive(Default)]
pub(super) struct Orders {
    open: BTreeMap<OrderId, OpenOrder>,
    order_of: BTreeMap<NodeId, OrderId>,
    names: BTreeMap<NodeId, NodeName>,
}

impl Orders {
    pub fn name(&self, node: NodeId) -> String {
        self.names.get(&node).map_or_else(|| format!("node {node}"), NodeName::to_string)
    }

    pub fn len(&self) -> usize {
        self.open.len()
    }

    pub fn node_added(&mut self, node: NodeId, name: &NodeName) {
        self.names.insert(node, name.clone());
    }

    pub fn placed(&mut self, request: &LaunchOrder, nodes: &[NodeId], at: Timestamp) {
        let named = nodes.iter().zip(&request.names);
        let coming = named.map(|(node, name)| {
            (*node, Coming { name: name.clone(), instance: None, launched_at: None, joined_at: None })
        });
        let order = OpenOrder {
            request: LaunchOrder { tags: BTreeMap::new(), ..request.clone() },
            placed_at: at,
            outcome: None,
            coming: coming.collect(),
            watchers: BTreeMap::new(),
        };
        for (node, name) in nodes.iter().zip(&request.names) {
            self.order_of.insert(*node, request.order);
            self.names.insert(*node, name.clone());
        }
        self.open.insert(request.order, order);
    }

    /// The provider accepted it before this process began: its `launch` is told already.
    pub fn accepted_before(&mut self, order: OrderId, at: Timestamp, delivered: usize) {
        if let Some(open) = self.open.get_mut(&order) {
            open.outcome = Some(Outcome { at, delivered, failure: None });
        }
    }

    /// The node comes from a recovered state: what of its boot was told already.
    pub fn found_coming(
        &mut self,
        node: NodeId,
        instance: Option<InstanceId>,
        launched_at: Option<Timestamp>,
        joined_at: Option<Timestamp>,
    ) {
        let open = self.order_of.get(&node).and_then(|order| self.open.get_mut(order));
        if let Some(coming) = open.and_then(|open| open.coming.get_mut(&node)) {
            (coming.instance, coming.launched_at, coming.joined_at) = (instance, launched_at, joined_at);
        }
    }

    /// A job claims a node. Says which order it has to link to, where it does not see the order itself.
    pub fn watched(
        &mut self,
        place: &Place,
        node: NodeId,
        told: Told,
        spans: &mut Vec<FinishedSpan>,
    ) -> Option<OrderId> {
        let id = *self.order_of.get(&node)?;
        let order = self.open.get_mut(&id)?;
        if !order.coming.contains_key(&node) {
            return None;
        }
        let full = order.watchers.len() >= WATCHERS && !order.watchers.contains_key(&place.job);
        let known = order.watchers.get(&place.job);
        if order.placed_at < place.submitted_at || full || known.is_some_and(|watcher| watcher.is_told) {
            return Some(id);
        }
        if known.is_none()
            && told == Told::Nothing
            && let Some(outcome) = &order.outcome
        {
            spans.push(order.launch_span(place, outcome));
        }
        let nobody = || Watcher { place: *place, waits_for: BTreeSet::new(), arrived: 0, is_told: false };
        order.watchers.entry(place.job).or_insert_with(nobody).waits_for.insert(node);
        None
    }

    /// The first job that sees the order: whose trace a link leads to.
    pub fn seen_by(&self, order: OrderId) -> Option<&Place> {
        self.open.get(&order)?.watchers.values().next().map(|watcher| &watcher.place)
    }

    pub fn launched(
        &mut self,
        order: OrderId,
        instances: &[(NodeId, InstanceId)],
        at: Timestamp,
        spans: &mut Vec<FinishedSpan>,
    ) {
        let Some(open) = self.open.get_mut(&order) else { return };
        for (node, instance) in instances {
            if let Some(coming) = open.coming.get_mut(node) {
                coming.instance = Some(instance.clone());
                coming.launched_at = Some(at);
            }
        }
        let failure = instances.is_empty().then(|| "nothing was delivered".to_owned());
        open.settle(Outcome { at, delivered: instances.len(), failure }, spans);
    }

    pub fn failed(&mut self, order: OrderId, failure: String, at: Timestamp, spans: &mut Vec<FinishedSpan>) {
        if let Some(open) = self.open.get_mut(&order) {
            open.settle(Outcome { at, delivered: 0, failure: Some(failure) }, spans);
        }
    }

    pub fn joined(&mut self, node: NodeId, instance: Option<&InstanceId>, at: Timestamp) {
        let open = self.order_of.get(&node).and_then(|order| self.open.get_mut(order));
        if let Some(coming) = open.and_then(|open| open.coming.get_mut(&node)) {
            coming.joined_at.get_or_insert(at);
            coming.instance = coming.instance.take().or_else(|| instance.cloned());
        }
    }

    /// The machine is ready, or never will be: those who waited for it are told.
    pub fn arrived(&mut self, node: NodeId, how: Arrival, at: Timestamp, spans: &mut Vec<FinishedSpan>) {
        let Some(id) = self.order_of.remove(&node) else { return };
        let Some(order) = self.open.get_mut(&id) else { return };
        let Some(coming) = order.coming.remove(&node) else { return };
        let mut watchers = std::mem::take(&mut order.watchers);
        for watcher in watchers.values_mut().filter(|watcher| watcher.waits_for.contains(&node)) {
            watcher.waits_for.remove(&node);
            watcher.arrived += usize::from(how == Arrival::Ready);
            spans.extend(coming.spans(&watcher.place, &order.request, node, how, at));
            if watcher.waits_for.is_empty() {
                watcher.is_told = true;
                spans.push(order.order_span(watcher, at));
            }
        }
        order.watchers = watchers;
        if order.coming.is_empty() {
            self.open.remove(&id);
        }
    }

    pub fn forget_node(&mut self, node: NodeId) {
        self.names.remove(&node);
    }
}

/// What of an order was told before a job is added to those who see it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Told {
    Nothing,
    /// By the controller before this one.
    Before,
}

impl OpenOrder {
    fn settle(&mut self, outcome: Outcome, spans: &mut Vec<FinishedSpan>) {
        if self.outcome.is_some() {
            return;
        }
        spans.extend(self.watchers.values().map(|watcher| self.launch_span(&watcher.place, &outcome)));
        self.outcome = Some(outcome);
    }

    /// From the decision to buy until the provider said yes or no.
    fn launch_span(&self, place: &Place, outcome: &Outcome) -> FinishedSpan {
        let id = ids(place, "launch", self.request.order.0);
        let span = place.child(Some(order_id(place, self.request.order)), id, "launch", self.placed_at, outcome.at);
        let span = self.described(span).with(key::DELIVERED, outcome.delivered as i64);
        match &outcome.failure {
            Some(failure) => span.failed(failure.clone()),
            None => span.with_status(Status::Ok),
        }
    }

    /// From the decision to buy until the last machine that the job waits for is there or given up.
    fn order_span(&self, watcher: &Watcher, at: Timestamp) -> FinishedSpan {
        let place = &watcher.place;
        let span = place.child(None, order_id(place, self.request.order), "order", self.placed_at, at);
        let span = self.described(span).with(key::DELIVERED, watcher.arrived as i64);
        match &self.outcome {
            Some(Outcome { failure: Some(failure), .. }) => span.failed(failure.clone()),
            _ if watcher.arrived == 0 => span.failed("no machine of it became ready"),
            _ => span.with_status(Status::Ok),
        }
    }

    fn described(&self, span: FinishedSpan) -> FinishedSpan {
        let offer = &self.request.offer;
        let kind = match offer.kind {
            CapacityKind::OnDemand => "on_demand",
            CapacityKind::Spot => "spot",
            CapacityKind::Reserved => "reserved",
            CapacityKind::Owned => "owned",
        };
        span.with(key::ORDER, self.request.order.0 as i64)
            .with_text(key::POOL, self.request.pool.as_str())
            .with_text(key::OFFER, offer.name.as_str())
            .with_text(key::INSTANCE_TYPE, &offer.instance_type)
            .with_text(key::SCOPE, &offer.scope)
            .with(key::CAPACITY, kind)
            .with(key::PRICE, dollars_per_hour(offer.price))
            .with(key::ORDERED, self.request.names.len() as i64)
    }
}

impl Coming {
    /// `boot` from the accepted launch until the agent proved itself, `join` from there until it had measured.
    fn spans(
        &self,
        place: &Place,
        request: &LaunchOrder,
        node: NodeId,
        how: Arrival,
        at: Timestamp,
    ) -> Vec<FinishedSpan> {
        if how == Arrival::NeverLaunched {
            return Vec::new();
        }
        let parent = Some(order_id(place, request.order));
        let describe = |span: FinishedSpan| {
            let span = span
                .with(key::ORDER, request.order.0 as i64)
                .with_text(key::NODE, self.name.as_str())
                .with_text(key::POOL, request.pool.as_str());
            match &self.instance {
                Some(instance) => span.with_text(key::INSTANCE, instance.as_str()),
                None => span,
            }
        };
        let close = |span: FinishedSpan| match how {
            Arrival::Failed(why) => span.failed(why),
            Arrival::Ready | Arrival::NeverLaunched => span.with_status(Status::Ok),
        };
        let mut spans = Vec::new();
        let began_at = self.launched_at.or(self.joined_at).unwrap_or(at);
        let boot = |until| place.child(parent, ids(place, "boot", node.0), "boot", began_at, until);
        match self.joined_at {
            Some(joined_at) => {
                spans.push(describe(boot(joined_at).with_status(Status::Ok)));
                let join = place.child(parent, ids(place, "join", node.0), "join", joined_at, at);
                spans.push(close(describe(join)));
            }
            None => spans.push(close(describe(boot(at)))),
        }
        spans
    }
}

pub(super) fn order_id(place: &Place, order: OrderId) -> opentelemetry::trace::SpanId {
    ids(place, "order", order.0)
}
