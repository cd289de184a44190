//! Tokens: the same request brings the same instances, another request under the same token none.

use super::stage::{Stage, alive, broken, ids};
use super::{Stop, Verdict, ensure};
use crate::ProvisionError;
use squall_types::{NodeName, Span};

/// Callers that press the same button at once.
const CALLERS: usize = 4;

pub(super) async fn a_repeated_launch_returns_the_same_instances(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(3));
    let first = stage.launch(&order).await?;
    for _ in 0..3 {
        let again = stage.launch(&order).await?;
        ensure!(ids(&again) == ids(&first), "first {first:?}, then {again:?}");
        ensure!(sorted(&again) == sorted(&first), "the names moved: first {first:?}, then {again:?}");
    }
    stage.exactly(&order, &first).await
}

pub(super) async fn concurrent_launches_with_one_token_buy_once(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(3));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..CALLERS {
        let (provisioner, order) = (stage.world.connect().await, order.clone());
        callers.spawn(async move { provisioner.launch(&order).await });
    }
    let mut answers = Vec::new();
    while let Some(answer) = callers.join_next().await {
        match answer.map_err(|error| Stop::Broken(format!("a call panicked: {error}")))? {
            Ok(launched) => answers.push(launched),
            // A provider may refuse the second while the first is under way.
            Err(ProvisionError::Throttled { .. } | ProvisionError::Unknown { .. }) => {}
            Err(error) => return Err(broken("launch", &error)),
        }
    }
    let settled = stage.launch(&order).await?;
    for answer in &answers {
        ensure!(ids(answer) == ids(&settled), "one caller was told {answer:?}, another {settled:?}");
    }
    stage.exactly(&order, &settled).await
}

pub(super) async fn a_launch_repeated_after_a_restart_buys_nothing(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(2));
    let first = stage.launch(&order).await?;
    let restarted = stage.world.connect().await;
    let again = stage.launch_by(&*restarted, &order).await?;
    ensure!(ids(&again) == ids(&first), "first {first:?}, after a restart {again:?}");
    stage.exactly(&order, &first).await
}

pub(super) async fn a_used_token_with_another_request_is_a_conflict(stage: &Stage) -> Verdict {
    let order = stage.order(1);
    let first = stage.launch(&order).await?;
    let mut other_name = order.clone();
    other_name.names[0] = NodeName::new("check-somebody-else");
    let mut other_end = order.clone();
    other_end.die_at += Span::from_hours(1);
    let mut other_tags = order.clone();
    other_tags.tags.insert("squall-order".to_owned(), "999999".to_owned());
    for changed in [other_name, other_end, other_tags] {
        match stage.try_launch(&changed).await {
            Err(ProvisionError::Conflict { .. }) => {}
            other => return Err(Stop::Broken(format!("a used token with {changed:?} ended in {other:?}"))),
        }
    }
    let mut other_ticket = order.clone();
    other_ticket.join =
        Some(squall_types::offer::JoinTicket { controller: "https://moved:1".to_owned(), ..stage.world.ticket() });
    let again = stage.launch(&other_ticket).await?;
    ensure!(ids(&again) == ids(&first), "the join ticket was taken for a part of the request: {again:?}");
    stage.exactly(&order, &first).await
}

pub(super) async fn a_used_token_buys_nothing_after_its_instances_are_gone(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(2));
    let first = stage.launch(&order).await?;
    let gone: Vec<_> = ids(&first).into_iter().collect();
    stage.until("the launch", |listing| alive(listing, &order) == ids(&first)).await?;
    stage.retire(&gone).await?;
    stage.until("the end of the instances", |listing| alive(listing, &order).is_empty()).await?;
    for provisioner in [&stage.provisioner, &stage.world.connect().await] {
        let again = stage.launch_by(&**provisioner, &order).await?;
        ensure!(ids(&again) == ids(&first), "the token bought again: {again:?}");
    }
    let left = alive(&stage.settle().await?, &order);
    ensure!(left.is_empty(), "a repeated call brought back {left:?}");
    Ok(())
}

fn sorted(launched: &squall_types::Launched) -> Vec<(&squall_types::InstanceId, &NodeName)> {
    let mut pairs: Vec<_> = launched.instances.iter().map(|one| (&one.instance, &one.name)).collect();
    pairs.sort();
    pairs
}
