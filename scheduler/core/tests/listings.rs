//! What listings prove of an order whose answer was lost.

use squall_core::config::{PartitionConfig, PoolConfig};
use squall_core::node::{GoneWhy, NodeState};
use squall_core::order::OrderState;
use squall_core::plan::plan;
use squall_core::{Caller, Cluster, ClusterConfig, Command, check, decide};
use squall_types::*;

/// A gang of two for which an order is placed; nobody has heard what came of it, and none of it is accepted any more.
struct Desk {
    cluster: Cluster,
    now: Timestamp,
}

impl Desk {
    fn new() -> Desk {
        let shape = Shape { cpus: 4, cores: 4, memory_mib: 8_000, ..Shape::default() };
        let offer = Offer { name: "big".into(), shape, max_per_order: 8, ..Offer::default() };
        let cloud = PoolConfig {
            provisioner: "sim".to_owned(),
            offers: vec![offer],
            max_nodes: 4,
            accept_within: Span::from_mins(5),
            absence_grace: Span::from_mins(1),
            ..PoolConfig::default()
        };
        let partition = PartitionConfig { pools: vec!["cloud".into()], default: true, ..PartitionConfig::default() };
        let config = ClusterConfig {
            pools: [("cloud".into(), cloud)].into(),
            partitions: [("main".into(), partition)].into(),
            ..ClusterConfig::default()
        };
        let mut desk = Desk { cluster: Cluster::new(), now: Timestamp::from_secs(1_000) };
        desk.decide(Command::Configure { config: Box::new(config) });
        let spec = JobSpec {
            script: Some(BlobDigest([1; 32])),
            ask: Ask { nodes: Some(NodeCount { min: 2, max: 2 }), cpus: CpuAsk::PerTask(4), ..Ask::default() },
            ..JobSpec::default()
        };
        desk.decide(Command::Submit { spec: Box::new(spec), token: "gang".into(), test_only: false });
        for step in plan(&desk.cluster, desk.now).steps {
            desk.decide(Command::Perform { step });
        }
        assert_eq!(desk.cluster.live_nodes().count(), 2);
        desk.later(Span::from_mins(10));
        desk
    }

    fn decide(&mut self, command: Command) {
        let decision = decide(&self.cluster, self.now, &Caller::System, &command);
        let decision = decision.unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        decision.events.iter().for_each(|event| self.cluster.apply(event));
        assert_eq!(check::check(&self.cluster), Vec::<String>::new());
    }

    fn later(&mut self, span: Span) {
        self.now += span;
    }

    /// A listing shows these of the two.
    fn listed(&mut self, shown: &[usize], complete: bool) {
        let order = self.cluster.orders.values().next().expect("it was placed");
        let seen = |at: &usize| SeenInstance {
            instance: InstanceId::new(format!("i-{at}")),
            order: Some(order.id),
            name: Some(order.request.names[*at].clone()),
            launched_at: Timestamp::from_secs(1_001),
            ending: false,
        };
        let listing = Listing { instances: shown.iter().map(seen).collect(), complete };
        self.decide(Command::Listed { pool: "cloud".into(), listing, asked_at: self.now });
    }

    fn is_open(&self) -> bool {
        self.cluster.orders.values().any(|order| matches!(order.state, OrderState::Placed))
    }

    fn never_launched(&self) -> usize {
        let never =
            |node: &&squall_core::node::Node| matches!(node.state, NodeState::Gone { why: GoneWhy::NeverLaunched, .. });
        self.cluster.nodes.values().filter(never).count()
    }
}

#[test]
fn one_listing_that_shows_a_part_proves_nothing_of_the_rest() {
    let mut desk = Desk::new();
    desk.listed(&[0], true);
    assert!(desk.is_open() && desk.never_launched() == 0, "the listing may lack it");
    desk.later(Span::from_mins(2));
    desk.listed(&[0, 1], true);
    assert!(!desk.is_open() && desk.never_launched() == 0, "both were launched");
}

#[test]
fn two_complete_listings_far_enough_apart_prove_that_a_part_was_never_launched() {
    let mut desk = Desk::new();
    desk.listed(&[0], true);
    desk.later(Span::from_secs(30));
    desk.listed(&[0], true);
    assert!(desk.is_open(), "too soon after the first");
    desk.later(Span::from_secs(90));
    desk.listed(&[0], false);
    assert!(desk.is_open(), "it says itself that it lacks some");
    desk.listed(&[0], true);
    assert!(!desk.is_open());
    assert_eq!(desk.never_launched(), 1);
}

#[test]
fn what_is_shown_in_between_has_to_be_missing_anew() {
    let mut desk = Desk::new();
    desk.listed(&[0], true);
    desk.later(Span::from_mins(2));
    desk.listed(&[1], true);
    assert!(desk.is_open() && desk.never_launched() == 0, "each of them was there once");
    desk.later(Span::from_secs(10));
    desk.listed(&[0], true);
    assert!(desk.is_open() && desk.never_launched() == 0);
}

#[test]
fn two_empty_listings_prove_that_nothing_was_launched() {
    let mut desk = Desk::new();
    desk.listed(&[], true);
    assert!(desk.is_open());
    desk.later(Span::from_mins(2));
    desk.listed(&[], true);
    assert_eq!((desk.is_open(), desk.never_launched()), (false, 2));
}
