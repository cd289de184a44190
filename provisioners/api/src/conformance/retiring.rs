//! Retirements: repeatable, bounded to what was named, and gone is success.

use super::stage::{Stage, alive, broken, ids};
use super::{Stop, Verdict, ensure};
use crate::ProvisionError;
use squall_types::{InstanceId, LaunchOrder};

/// Ids that are nobody's, and some that nobody sane would use.
const STRANGERS: [&str; 8] =
    ["i-0123456789abcdef0", "local-0000000000000000-0", "sim-999999", "", ".", "../../etc", "a b\n\0c", "ünïcödé"];

pub(super) async fn a_retired_instance_goes(stage: &Stage) -> Verdict {
    let (order, instances) = running(stage, stage.crowd().min(2)).await?;
    stage.retire(&instances).await?;
    gone(stage, &order).await
}

pub(super) async fn retiring_twice_is_fine(stage: &Stage) -> Verdict {
    let (order, instances) = running(stage, 1).await?;
    stage.retire(&instances).await?;
    stage.retire(&instances).await?;
    gone(stage, &order).await?;
    stage.retire(&instances).await?;
    let twice = [instances.clone(), instances].concat();
    stage.retire(&twice).await
}

pub(super) async fn retiring_at_once_from_two_sides_is_fine(stage: &Stage) -> Verdict {
    let (order, instances) = running(stage, stage.crowd().min(2)).await?;
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..2 {
        let (provisioner, instances) = (stage.world.connect().await, instances.clone());
        callers.spawn(async move { provisioner.retire(&instances).await });
    }
    while let Some(answer) = callers.join_next().await {
        let answer = answer.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))?;
        match answer {
            // A provider may refuse the second while the first is under way.
            Ok(()) | Err(ProvisionError::Throttled { .. } | ProvisionError::Unknown { .. }) => {}
            Err(error) => return Err(broken("retire", &error)),
        }
    }
    stage.retire(&instances).await?;
    gone(stage, &order).await
}

pub(super) async fn retiring_one_leaves_the_others(stage: &Stage) -> Verdict {
    if stage.crowd() < 2 {
        return Err(Stop::Skipped("one call takes one node only"));
    }
    let (order, instances) = running(stage, 2).await?;
    stage.retire(&instances[..1]).await?;
    let others = instances[1..].iter().cloned().collect();
    stage.until("the end of one instance alone", |listing| alive(listing, &order) == others).await?;
    Ok(())
}

pub(super) async fn retiring_nothing_is_fine(stage: &Stage) -> Verdict {
    stage.retire(&[]).await
}

pub(super) async fn retiring_what_never_was_is_fine(stage: &Stage) -> Verdict {
    let (order, instances) = running(stage, 1).await?;
    for stranger in STRANGERS {
        stage.retire(&[InstanceId::new(stranger)]).await?;
    }
    stage.retire(&[InstanceId::new("x".repeat(255))]).await?;
    let listed = alive(&stage.settle().await?, &order);
    ensure!(
        listed == instances.iter().cloned().collect(),
        "strangers were retired, and {listed:?} are left of {instances:?}"
    );
    // One stranger in a list must not keep the others from going.
    stage.retire(&[vec![InstanceId::new(STRANGERS[0])], instances].concat()).await?;
    gone(stage, &order).await
}

pub(super) async fn a_restarted_provisioner_can_retire(stage: &Stage) -> Verdict {
    let (order, instances) = running(stage, 1).await?;
    let restarted = stage.world.connect().await;
    stage.retire_by(&*restarted, &instances).await?;
    gone(stage, &order).await
}

/// An order that is launched and listed, and its instances.
pub(super) async fn running(stage: &Stage, nodes: u32) -> Result<(LaunchOrder, Vec<InstanceId>), Stop> {
    let order = stage.order(nodes);
    let launched = ids(&stage.launch(&order).await?);
    stage.until("the launch", |listing| alive(listing, &order) == launched).await?;
    Ok((order, launched.into_iter().collect()))
}

pub(super) async fn gone(stage: &Stage, order: &LaunchOrder) -> Verdict {
    stage.until("the end of the instances", |listing| alive(listing, order).is_empty()).await?;
    Ok(())
}
