use super::*;
use crate::config::SwitchConfig;
use crate::job::Outcome;
use crate::node::{DrainWhy, GoneWhy, Hold, HoldOwner};
use crate::views::*;
use squall_types::agent::StopWhy;
use squall_types::api::{NodeCondition, NodeView};

fn named(stage: &Stage, name: &str, secs: i64) -> NodeView {
    node_views(&stage.0, at(secs)).into_iter().find(|view| view.name.as_str() == name).expect("it has a view")
}

fn hold(owner: HoldOwner) -> What {
    What::NodeHeld { node: NodeId(1), hold: Hold { owner, reason: "fan is loud".to_owned(), at: at(50) } }
}

#[test]
fn what_could_be_bought_is_shown_with_its_count() {
    let mut stage = Stage::new();
    let absent = named(&stage, "h100", 1);
    assert_eq!(
        (absent.condition, absent.count, absent.offer.as_str()),
        (NodeCondition::PoweredDown, 4, "big/a/on-demand")
    );
    assert_eq!((absent.shape.cpus, absent.shape.gpus.count(), absent.partitions), (64, 8, vec!["gpu".into()]));
    assert!(absent.shape.features.contains("nvlink"));
    stage.buy(10);
    assert_eq!(named(&stage, "h100", 11).count, 3);
    let own = named(&stage, "n1", 11);
    assert_eq!((own.condition, own.kind, own.cost), (NodeCondition::Idle, CapacityKind::Owned, MicroUsd::ZERO));
}

#[test]
fn a_node_is_what_its_work_makes_of_it() {
    let mut stage = Stage::new();
    let condition = |stage: &Stage| named(stage, "n1", 100).condition;
    for job in [1, 2] {
        stage.submit(0, job, spec("own"));
    }
    let first = stage.bind(1, 1, part(1, 4, &[]));
    assert_eq!(condition(&stage), NodeCondition::Mixed);
    let second = stage.bind(2, 2, part(1, 12, &[]));
    assert_eq!(condition(&stage), NodeCondition::Allocated);
    assert_eq!(named(&stage, "n1", 100).jobs, [JobId(1), JobId(2)]);
    let outcome = || Outcome::Requeue { not_before: at(9), hold: None, reason: Reason::None, failure: false };
    for run in [first, second] {
        stage.happens(3, What::JobStopping { run, why: StopWhy::Requeued, outcome: outcome() });
    }
    assert_eq!(condition(&stage), NodeCondition::Completing);
    stage.happens(4, hold(HoldOwner::Admin));
    assert_eq!(condition(&stage), NodeCondition::Draining);
    for run in [first, second] {
        stage.happens(5, What::PartGone { run, node: NodeId(1) });
    }
    let view = named(&stage, "n1", 100);
    assert_eq!(view.condition, NodeCondition::Drained);
    assert_eq!((view.reason.as_str(), view.reason_by.as_str(), view.reason_at), ("fan is loud", "admin", Some(at(50))));
    stage.happens(6, What::NodeContact { node: NodeId(1), contact: false });
    assert_eq!(condition(&stage), NodeCondition::Down);
    stage.happens(7, hold(HoldOwner::Quarantine));
    assert_eq!(condition(&stage), NodeCondition::Quarantined);
}

#[test]
fn a_bought_node_powers_up_and_down() {
    let mut stage = Stage::new();
    stage.buy(10);
    assert_eq!(named(&stage, "h100-1", 20).condition, NodeCondition::PoweringUp);
    stage.register(100);
    let view = named(&stage, "h100-1", 110);
    assert_eq!(
        (view.condition, view.hostname.as_str(), view.instance.as_str()),
        (NodeCondition::Idle, "ip-10-0-0-2", "i-1")
    );
    assert_eq!(view.cost, MicroUsd(1_000_000), "100 s at a cent a second");
    stage.happens(200, What::NodeDraining { node: NodeId(2), why: DrainWhy::Idle });
    let view = named(&stage, "h100-1", 210);
    assert_eq!((view.condition, view.reason_at), (NodeCondition::PoweringDown, Some(at(200))));
}

#[test]
fn a_partition_counts_what_exists_and_what_could() {
    let mut stage = Stage::new();
    let gpu = |stage: &Stage| partition_views(&stage.0).into_iter().find(|view| view.name.as_str() == "gpu");
    let before = gpu(&stage).expect("it is configured");
    assert_eq!((before.total_nodes, before.total_cpus, before.total_gpus), (4, 256, 32));
    assert_eq!((before.nodes.len(), before.default, before.up), (0, true, true));
    stage.buy(10);
    let after = gpu(&stage).expect("it is configured");
    assert_eq!((after.total_nodes, after.total_cpus, after.nodes), (4, 256, vec!["h100-1".into()]));
}

#[test]
fn the_summary_and_the_ledger_tell_the_same_money() {
    let mut stage = Stage::new();
    stage.submit(0, 1, spec("gpu"));
    stage.submit(0, 2, array("own", 9, None));
    stage.buy(10);
    stage.register(100);
    let run = stage.bind(100, 1, part(2, 64, &[0, 1, 2, 3, 4, 5, 6, 7]));
    stage.happens(100, What::JobStarted { run });
    let now = summary(&stage.0, at(210));
    assert_eq!((now.jobs_pending, now.jobs_running, now.nodes_ready, now.orders_open), (10, 1, 2, 1));
    assert_eq!((now.spent, now.reserved), (MicroUsd::from_dollars(2), MicroUsd::from_dollars(36)));
    assert_eq!((now.node_millis_bought, now.node_millis_used), (200_000, 110_000));
    let rows = ledger(&stage.0, at(210));
    assert_eq!((rows.len(), rows[0].order, rows[0].caused_by), (1, 1, Some(JobId(1))));
    assert_eq!(rows.iter().map(|row| row.cost).sum::<MicroUsd>(), now.spent);
    assert_eq!(rows[0].charged, MicroUsd::ZERO, "a job is charged when it ends");

    let cost = MicroUsd::from_dollars(3);
    stage.happens(310, What::NodeGone { node: NodeId(2), why: GoneWhy::Lost, cost });
    let later = summary(&stage.0, at(1000));
    assert_eq!((later.spent, later.reserved, later.nodes_gone), (cost, MicroUsd::ZERO, 1));
    assert_eq!(later.node_millis_bought, 300_000);
    let rows = ledger(&stage.0, at(1000));
    assert_eq!((rows[0].cost, rows[0].gone_at, rows[0].gone_why.as_str()), (cost, Some(at(310)), "lost"));
}

#[test]
fn a_node_says_which_switches_are_above_it_now_and_after_a_snapshot() {
    let mut stage = Stage::new();
    let mut config = stage.0.config.as_ref().clone();
    let leaf = SwitchConfig { nodes: "n[1-2]".to_owned(), switches: Vec::new() };
    let spine = SwitchConfig { nodes: String::new(), switches: vec!["leaf".into()] };
    config.switches = [("leaf".into(), leaf), ("spine".into(), spine)].into();
    stage.happens(5, What::ConfigApplied { config: Box::new(config) });
    assert_eq!(named(&stage, "n1", 6).switches, ["leaf".into(), "spine".into()]);
    stage.0 = stage.0.rebuild();
    assert_eq!(named(&stage, "n1", 6).switches, ["leaf".into(), "spine".into()]);
}
