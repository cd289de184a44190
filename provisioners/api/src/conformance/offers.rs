//! Offers: well formed, and the same whoever asks.

use super::stage::Stage;
use super::{Verdict, ensure};
use squall_types::Span;
use std::collections::BTreeSet;

pub(super) async fn offers_are_well_formed(stage: &Stage) -> Verdict {
    let offers = stage.offers_by(&*stage.provisioner).await?;
    let mut names = BTreeSet::new();
    for offer in &offers {
        let name = &offer.name;
        ensure!(!name.as_str().is_empty(), "an offer has no name: {offer:?}");
        ensure!(names.insert(name), "two offers are named `{name}`");
        ensure!(!offer.instance_type.is_empty(), "`{name}` has no instance type");
        ensure!(!offer.scope.is_empty(), "`{name}` says no region or zone");
        ensure!(offer.price.0 >= 0, "`{name}` has a price below 0: {}", offer.price);
        ensure!(offer.minimum_billed >= Span::ZERO, "`{name}` bills at least a negative time");
        ensure!(offer.typical_boot >= Span::ZERO, "`{name}` boots in negative time");
        ensure!(offer.shape.cpus > 0 && offer.shape.memory_mib > 0, "`{name}` has no CPUs or no memory");
        ensure!(offer.shape.cores <= offer.shape.cpus, "`{name}` has more cores than hardware threads");
        ensure!(offer.shape.gpus.0.iter().all(|group| group.count > 0), "`{name}` has a group of no GPUs");
        let limit = stage.capabilities.max_per_order;
        ensure!(
            (1..=limit).contains(&offer.max_per_order),
            "`{name}` sells {} at once, not 1 to {limit}",
            offer.max_per_order
        );
    }
    Ok(())
}

pub(super) async fn offers_are_stable(stage: &Stage) -> Verdict {
    let mut seen = Vec::new();
    for provisioner in [&stage.provisioner, &stage.world.connect().await] {
        let offers = stage.offers_by(&**provisioner).await?;
        seen.push(
            offers.into_iter().map(|offer| (offer.name, offer.instance_type, offer.shape)).collect::<BTreeSet<_>>(),
        );
    }
    ensure!(seen[0] == seen[1], "offers differ from call to call: {:?} and {:?}", seen[0], seen[1]);
    Ok(())
}
