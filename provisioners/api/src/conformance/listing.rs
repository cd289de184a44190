//! Listings: everything of ours, nothing of others, and the truth about being complete.

use super::stage::{Stage, alive, ids};
use super::{Stop, Verdict, ensure};
use squall_types::Span;
use std::collections::BTreeSet;

/// How far the world's clock and the provider's may be apart.
const SKEW: Span = Span::from_mins(5);

pub(super) async fn a_listing_shows_order_and_name(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(3));
    let launched = stage.launch(&order).await?;
    let listing = stage.until("the launch", |listing| alive(listing, &order) == ids(&launched)).await?;
    for one in &launched.instances {
        let Some(seen) = listing.instances.iter().find(|seen| seen.instance == one.instance) else {
            return Err(Stop::Broken(format!("{one:?} is not listed")));
        };
        ensure!(seen.name.as_ref() == Some(&one.name), "launched as `{}`, listed as {:?}", one.name, seen.name);
    }
    let listed: BTreeSet<_> = listing.instances.iter().map(|seen| &seen.instance).collect();
    ensure!(listed.len() == listing.instances.len(), "an instance is listed twice: {listing:?}");
    Ok(())
}

pub(super) async fn a_listing_says_when_an_instance_was_launched(stage: &Stage) -> Verdict {
    let order = stage.order(1);
    let before = stage.world.now() - SKEW;
    let launched = stage.launch(&order).await?;
    let after = stage.world.now() + SKEW;
    let listing = stage.until("the launch", |listing| alive(listing, &order) == ids(&launched)).await?;
    for seen in listing.instances.iter().filter(|seen| seen.order == Some(order.order)) {
        ensure!(
            (before..=after).contains(&seen.launched_at),
            "launched between {before:?} and {after:?}, listed as of {:?}",
            seen.launched_at
        );
    }
    Ok(())
}

pub(super) async fn a_restart_forgets_no_instance(stage: &Stage) -> Verdict {
    let order = stage.order(stage.crowd().min(2));
    let launched = stage.launch(&order).await?;
    stage.until("the launch", |listing| alive(listing, &order) == ids(&launched)).await?;
    let restarted = stage.world.connect().await;
    let listing = stage.listing_by(&*restarted).await?;
    ensure!(alive(&listing, &order) == ids(&launched), "launched {launched:?}, after a restart {listing:?}");
    Ok(())
}

pub(super) async fn an_empty_world_is_listed_as_empty(stage: &Stage) -> Verdict {
    let listing = stage.listing().await?;
    ensure!(listing.instances.is_empty(), "nothing was launched, and yet there are {:?}", listing.instances);
    Ok(())
}
