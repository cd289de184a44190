//! Counts and durations of every call, by verb and outcome, for the controller's metrics.

use crate::verb::PerVerb;
use crate::{Clock, ProvisionError, Provisioner, Verb};
use async_trait::async_trait;
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Span, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    Ok,
    NoCapacity,
    Quota,
    Throttled,
    Rejected,
    Denied,
    Conflict,
    Unknown,
    /// The caller dropped the future before it was done.
    Cancelled,
}

impl Outcome {
    /// As metrics spell it.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::NoCapacity => "no_capacity",
            Outcome::Quota => "quota",
            Outcome::Throttled => "throttled",
            Outcome::Rejected => "rejected",
            Outcome::Denied => "denied",
            Outcome::Conflict => "conflict",
            Outcome::Unknown => "unknown",
            Outcome::Cancelled => "cancelled",
        }
    }

    fn of<T>(result: &Result<T, ProvisionError>) -> Self {
        match result {
            Ok(_) => Outcome::Ok,
            Err(ProvisionError::NoCapacity { .. }) => Outcome::NoCapacity,
            Err(ProvisionError::Quota { .. }) => Outcome::Quota,
            Err(ProvisionError::Throttled { .. }) => Outcome::Throttled,
            Err(ProvisionError::Rejected { .. }) => Outcome::Rejected,
            Err(ProvisionError::Denied { .. }) => Outcome::Denied,
            Err(ProvisionError::Conflict { .. }) => Outcome::Conflict,
            Err(ProvisionError::Unknown { .. }) => Outcome::Unknown,
        }
    }
}

/// Upper bounds of the duration buckets; the last bucket has none.
pub const BUCKET_BOUNDS: [Span; 9] = [
    Span::from_millis(10),
    Span::from_millis(50),
    Span::from_millis(200),
    Span::from_secs(1),
    Span::from_secs(5),
    Span::from_secs(15),
    Span::from_secs(60),
    Span::from_secs(180),
    Span::from_secs(300),
];

/// All calls of one verb that ended alike.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series {
    pub calls: u64,
    pub total: Span,
    pub longest: Span,
    /// Calls that took at most the bound of the same index (and more than the one before); the last took longer.
    pub buckets: [u64; BUCKET_BOUNDS.len() + 1],
}

impl Series {
    fn record(&mut self, took: Span) {
        self.calls += 1;
        self.total = self.total + took;
        self.longest = self.longest.max(took);
        let bucket = BUCKET_BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BUCKET_BOUNDS.len());
        self.buckets[bucket] += 1;
    }
}

/// What was counted since the start of the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterSnapshot {
    pub series: BTreeMap<(Verb, Outcome), Series>,
    /// Calls that have begun and not ended; verbs without any are absent.
    pub in_flight: BTreeMap<Verb, u64>,
}

/// Shared between the decorator that counts and whoever publishes the counts.
#[derive(Debug, Default)]
pub struct Meter {
    series: Mutex<BTreeMap<(Verb, Outcome), Series>>,
    in_flight: PerVerb<AtomicU64>,
}

impl Meter {
    pub fn snapshot(&self) -> MeterSnapshot {
        let in_flight = Verb::ALL
            .into_iter()
            .map(|verb| (verb, self.in_flight.get(verb).load(Ordering::Relaxed)))
            .filter(|(_, calls)| *calls > 0)
            .collect();
        MeterSnapshot { series: self.series.lock().unwrap_or_else(PoisonError::into_inner).clone(), in_flight }
    }

    fn record(&self, verb: Verb, outcome: Outcome, took: Span) {
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.entry((verb, outcome)).or_default().record(took);
    }
}

/// One call being measured; a call that is dropped half way counts as cancelled.
struct Running<'a> {
    meter: &'a Meter,
    clock: &'a dyn Clock,
    verb: Verb,
    began_at: Timestamp,
    outcome: Outcome,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.meter.in_flight.get(self.verb).fetch_sub(1, Ordering::Relaxed);
        self.meter.record(self.verb, self.outcome, self.clock.now().since(self.began_at));
    }
}

/// Counts every call of the provisioner inside.
pub struct Metered<P> {
    inner: P,
    clock: Arc<dyn Clock>,
    meter: Arc<Meter>,
}

impl<P: Provisioner> Metered<P> {
    pub fn new(inner: P, clock: Arc<dyn Clock>, meter: Arc<Meter>) -> Self {
        Self { inner, clock, meter }
    }

    async fn measure<T>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, ProvisionError>> + Send,
    ) -> Result<T, ProvisionError> {
        let (meter, clock) = (&*self.meter, &*self.clock);
        meter.in_flight.get(verb).fetch_add(1, Ordering::Relaxed);
        let mut running = Running { meter, clock, verb, began_at: clock.now(), outcome: Outcome::Cancelled };
        let result = call.await;
        running.outcome = Outcome::of(&result);
        result
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for Metered<P> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        self.measure(Verb::Offers, self.inner.offers()).await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        self.measure(Verb::Launch, self.inner.launch(order)).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        self.measure(Verb::Retire, self.inner.retire(instances)).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        self.measure(Verb::List, self.inner.list()).await
    }
}
