//! What the decorators do to the calls that pass through them.

use async_trait::async_trait;
use squall_provisioner::metering::Outcome;
use squall_provisioner::{
    Capabilities, Meter, Metered, ProvisionError, Provisioner, Rate, RateLimited, Rates, TimeLimited, TimeLimits, Verb,
};
use squall_types::{InstanceId, LaunchFailure, LaunchOrder, Launched, Listing, Offer, Span, Timestamp};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// Answers launches from a list; an empty list means that it never answers.
#[derive(Default)]
struct Scripted {
    launches: Mutex<VecDeque<Result<Launched, LaunchFailure>>>,
    calls: AtomicU32,
}

impl Scripted {
    fn answering(answers: impl IntoIterator<Item = Result<Launched, LaunchFailure>>) -> Arc<Self> {
        Arc::new(Self { launches: Mutex::new(answers.into_iter().collect()), calls: AtomicU32::new(0) })
    }
}

#[async_trait]
impl Provisioner for Scripted {
    fn capabilities(&self) -> Capabilities {
        Capabilities { max_per_order: 7, ..Capabilities::default() }
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        Ok(Vec::new())
    }
    async fn launch(&self, _order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answer = self.launches.lock().expect("no test panics with it").pop_front();
        match answer {
            Some(answer) => answer.map_err(ProvisionError::from),
            None => std::future::pending().await,
        }
    }
    async fn retire(&self, _instances: &[InstanceId]) -> Result<(), ProvisionError> {
        Ok(())
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        Ok(Listing::default())
    }
}

fn order() -> LaunchOrder {
    LaunchOrder {
        order: squall_types::OrderId(1),
        pool: "gpu".into(),
        token: "token-1".into(),
        offer: Offer::default(),
        names: vec!["gpu1".into()],
        gang: false,
        die_at: Timestamp::from_secs(3_600),
        tags: BTreeMap::new(),
        join: None,
    }
}

/// A clock that the test moves.
fn hand_moved() -> (Arc<AtomicI64>, Arc<dyn squall_provisioner::Clock>) {
    let hand = Arc::new(AtomicI64::new(0));
    let seen = hand.clone();
    (hand, Arc::new(move || Timestamp(seen.load(Ordering::Relaxed))))
}

#[tokio::test]
async fn calls_are_counted_by_verb_and_outcome() {
    let (_, clock) = hand_moved();
    let meter = Arc::new(Meter::default());
    let dry = LaunchFailure::NoCapacity { scope: "zone-a".into() };
    let provisioner =
        Metered::new(Scripted::answering([Err(dry.clone()), Ok(Launched::default()), Err(dry)]), clock, meter.clone());
    for _ in 0..3 {
        let _ = provisioner.launch(&order()).await;
    }
    provisioner.list().await.unwrap();
    let calls: BTreeMap<_, _> = meter.snapshot().series.into_iter().map(|(key, series)| (key, series.calls)).collect();
    assert_eq!(
        calls,
        BTreeMap::from([
            ((Verb::Launch, Outcome::NoCapacity), 2),
            ((Verb::Launch, Outcome::Ok), 1),
            ((Verb::List, Outcome::Ok), 1),
        ])
    );
    assert_eq!(provisioner.capabilities().max_per_order, 7);
}

#[tokio::test]
async fn a_dropped_call_counts_as_cancelled_with_the_time_that_it_took() {
    let (hand, clock) = hand_moved();
    let meter = Arc::new(Meter::default());
    let provisioner = Metered::new(Scripted::answering([]), clock, meter.clone());
    let order = order();
    let mut call = provisioner.launch(&order);
    tokio::select! {
        biased;
        _ = &mut call => panic!("it never answers"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(meter.snapshot().in_flight, BTreeMap::from([(Verb::Launch, 1)]));
    hand.store(4_000, Ordering::Relaxed);
    drop(call);
    let snapshot = meter.snapshot();
    assert_eq!(snapshot.in_flight, BTreeMap::new());
    let series = &snapshot.series[&(Verb::Launch, Outcome::Cancelled)];
    assert_eq!((series.calls, series.total, series.longest), (1, Span::from_secs(4), Span::from_secs(4)));
    assert_eq!(series.buckets, [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]);
}

#[tokio::test]
async fn a_launch_without_an_answer_is_unknown_and_never_lack_of_capacity() {
    let limits = TimeLimits { launch: Span::from_millis(20), ..TimeLimits::default() };
    let provisioner = TimeLimited::new(Scripted::answering([]), limits);
    let failure = LaunchFailure::from(provisioner.launch(&order()).await.unwrap_err());
    assert_eq!(failure, LaunchFailure::Unknown { why: "no answer to `launch` within 20 ms".into() });
}

#[tokio::test]
async fn a_call_above_the_rate_does_not_reach_the_provider() {
    let (hand, clock) = hand_moved();
    let rates = Rates { launch: Rate { per_minute: 60, burst: 2 }, ..Rates::default() };
    let scripted = Scripted::answering(vec![Ok(Launched::default()); 10]);
    let provisioner = RateLimited::new(scripted.clone(), clock, rates);
    for _ in 0..2 {
        provisioner.launch(&order()).await.unwrap();
    }
    let refused = provisioner.launch(&order()).await.unwrap_err();
    assert!(
        matches!(refused, ProvisionError::Throttled { retry_after } if retry_after == Span::from_secs(1)),
        "{refused}"
    );
    assert_eq!(scripted.calls.load(Ordering::Relaxed), 2);
    provisioner.retire(&[]).await.expect("the bucket of another verb is its own");
    hand.store(1_000, Ordering::Relaxed);
    provisioner.launch(&order()).await.expect("a second later there is room again");
}

#[tokio::test]
async fn a_provider_that_asks_for_a_pause_gets_it() {
    let (hand, clock) = hand_moved();
    let throttled = LaunchFailure::Throttled { retry_after: Span::from_secs(40) };
    let endless = LaunchFailure::Throttled { retry_after: Span::FOREVER };
    let scripted = Scripted::answering([Err(throttled), Err(endless), Ok(Launched::default())]);
    let provisioner = RateLimited::new(scripted.clone(), clock, Rates::default());
    provisioner.launch(&order()).await.unwrap_err();
    hand.store(39_000, Ordering::Relaxed);
    let refused = provisioner.launch(&order()).await.unwrap_err();
    assert!(
        matches!(refused, ProvisionError::Throttled { retry_after } if retry_after == Span::from_secs(1)),
        "{refused}"
    );
    assert_eq!(scripted.calls.load(Ordering::Relaxed), 1, "the pause is kept without asking");
    hand.store(40_000, Ordering::Relaxed);
    provisioner.launch(&order()).await.unwrap_err();
    hand.store(340_000, Ordering::Relaxed);
    provisioner.launch(&order()).await.expect("no provider can close a verb for ever");
}
