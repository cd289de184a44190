//! A caller may lose its future at any point where it waits: by a timeout, a lost leadership, a shutdown.

use super::retiring::{gone, running};
use super::stage::Stage;
use super::{Verdict, ensure};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Calls are dropped at their first, second, … up to this point of waiting.
const POINTS: u32 = 6;

pub(super) async fn a_dropped_launch_is_resolved_by_repeating_it(stage: &Stage) -> Verdict {
    for polls in 1..=POINTS {
        let order = stage.order(stage.crowd().min(2));
        DropAfter { call: stage.provisioner.launch(&order), polls }.await;
        let launched = stage.launch(&order).await?;
        ensure!(launched.instances.len() == order.names.len(), "dropped after {polls} polls, then {launched:?}");
        stage.exactly(&order, &launched).await?;
        let instances: Vec<_> = launched.instances.into_iter().map(|one| one.instance).collect();
        stage.retire(&instances).await?;
        gone(stage, &order).await?;
    }
    Ok(())
}

pub(super) async fn a_dropped_retire_is_resolved_by_repeating_it(stage: &Stage) -> Verdict {
    for polls in 1..=POINTS {
        let (order, instances) = running(stage, stage.crowd().min(2)).await?;
        DropAfter { call: stage.provisioner.retire(&instances), polls }.await;
        stage.retire(&instances).await?;
        gone(stage, &order).await?;
    }
    Ok(())
}

/// Polls a call so many times at most, then is ready without it.
struct DropAfter<F> {
    call: F,
    polls: u32,
}

impl<F: Future + Unpin> Future for DropAfter<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        self.polls -= 1;
        match Pin::new(&mut self.call).poll(context) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending if self.polls == 0 => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }
}
