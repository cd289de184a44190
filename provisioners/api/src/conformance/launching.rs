//! Launches: every name that was asked for, nothing more, and no nonsense accepted.

use super::stage::{Stage, alive, ids};
use super::{Stop, Verdict, ensure};
use crate::ProvisionError;
use squall_types::{LaunchOrder, Launched, OfferName};
use std::collections::BTreeSet;

pub(super) async fn a_launch_names_each_instance(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(2));
    let launched = stage.launch(&order).await?;
    ensure!(launched.instances.len() == order.names.len(), "asked for {:?}, got {launched:?}", order.names);
    well_named(&order, &launched)?;
    stage.exactly(&order, &launched).await
}

pub(super) async fn a_launch_delivers_no_more_than_was_asked(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd());
    let launched = stage.launch(&order).await?;
    ensure!(!launched.instances.is_empty(), "nothing was delivered and nothing refused");
    well_named(&order, &launched)?;
    stage.exactly(&order, &launched).await
}

pub(super) async fn two_orders_are_two_purchases(stage: &Stage) -> Verdict {
    let (first, second) = (stage.order(1), stage.order(1));
    let (one, other) = (ids(&stage.launch(&first).await?), ids(&stage.launch(&second).await?));
    ensure!(one.is_disjoint(&other), "two orders share an instance: {one:?} and {other:?}");
    Ok(())
}

pub(super) async fn an_order_without_names_is_rejected(stage: &Stage) -> Verdict {
    rejected(stage, stage.order(0)).await
}

pub(super) async fn an_order_with_a_name_twice_is_rejected(stage: &Stage) -> Verdict {
    if stage.crowd() < 2 {
        return Err(Stop::Skipped("one call takes one node only"));
    }
    let mut order = stage.uncommitted(2);
    order.names[1] = order.names[0].clone();
    stage.world.commit(&order);
    rejected(stage, order).await
}

pub(super) async fn an_order_above_the_limit_is_rejected(stage: &Stage) -> Verdict {
    rejected(stage, stage.order(stage.capabilities.max_per_order.saturating_add(1))).await
}

pub(super) async fn an_order_for_something_that_is_not_sold_is_rejected(stage: &Stage) -> Verdict {
    let mut order = stage.uncommitted(1);
    order.offer.name = OfferName::new("no-such/offer/at-all");
    order.offer.instance_type = "no-such".to_owned();
    stage.world.commit(&order);
    rejected(stage, order).await
}

pub(super) async fn a_gang_is_delivered_whole_or_not_at_all(stage: &Stage) -> Verdict {
    if !stage.capabilities.all_or_none {
        return Err(Stop::Skipped("gangs are not promised whole"));
    }
    let size = stage.crowd();
    if size < 2 || !stage.world.leave_room(size - 1) {
        return Err(Stop::Skipped("the world cannot be made to have too little room"));
    }
    let mut gang = stage.uncommitted(size);
    gang.gang = true;
    stage.world.commit(&gang);
    match stage.try_launch(&gang).await {
        Err(ProvisionError::NoCapacity { .. } | ProvisionError::Quota { .. }) => {}
        other => return Err(Stop::Broken(format!("a gang one too large ended in {other:?}"))),
    }
    nothing_of(stage, &gang).await?;

    let mut fitting = stage.uncommitted(size - 1);
    fitting.gang = true;
    stage.world.commit(&fitting);
    let launched = stage.launch(&fitting).await?;
    ensure!(launched.instances.len() == fitting.names.len(), "a gang that fits came as a part: {launched:?}");
    stage.exactly(&fitting, &launched).await
}

pub(super) async fn a_crowd_gets_no_more_than_there_is_room_for(stage: &Stage) -> Verdict {
    let size = stage.crowd();
    if size < 2 || !stage.world.leave_room(size - 1) {
        return Err(Stop::Skipped("the world cannot be made to have too little room"));
    }
    let order = stage.order(size);
    match stage.try_launch(&order).await {
        Ok(part) => {
            well_named(&order, &part)?;
            ensure!(part.instances.len() < order.names.len(), "more came than there was room for: {part:?}");
            let again = stage.launch(&order).await?;
            ensure!(ids(&again) == ids(&part), "a repeated call turned the part {part:?} into {again:?}");
            stage.exactly(&order, &part).await
        }
        Err(ProvisionError::NoCapacity { .. } | ProvisionError::Quota { .. }) => nothing_of(stage, &order).await,
        Err(error) => Err(Stop::Broken(format!("too little room is reported as {error:?}"))),
    }
}

/// Each instance has an id and one of the order's names, none of them twice.
fn well_named(order: &LaunchOrder, launched: &Launched) -> Verdict {
    let wanted: BTreeSet<_> = order.names.iter().collect();
    let (mut names, mut instances) = (BTreeSet::new(), BTreeSet::new());
    for one in &launched.instances {
        ensure!(!one.instance.as_str().is_empty(), "an instance has no id: {one:?}");
        ensure!(wanted.contains(&one.name), "`{}` was never asked for", one.name);
        ensure!(names.insert(&one.name), "two instances are named `{}`", one.name);
        ensure!(instances.insert(&one.instance), "one instance has two names: {one:?}");
    }
    Ok(())
}

async fn rejected(stage: &Stage, order: LaunchOrder) -> Verdict {
    match stage.try_launch(&order).await {
        Err(ProvisionError::Rejected { why }) => ensure!(!why.is_empty(), "it was rejected without a reason"),
        other => return Err(Stop::Broken(format!("it ended in {other:?}"))),
    }
    nothing_of(stage, &order).await
}

async fn nothing_of(stage: &Stage, order: &LaunchOrder) -> Verdict {
    let left = alive(&stage.settle().await?, order);
    ensure!(left.is_empty(), "the launch failed, and yet there are {left:?}");
    Ok(())
}
