//! A token bucket per verb, and obedience to a provider that asks for a pause.
//!
//! The bucket never waits: a call above the rate is answered `Throttled` with the time after which it
//! will pass. Waiting is the scheduler's business, which has other things to do meanwhile.

use crate::verb::PerVerb;
use crate::{Clock, ProvisionError, Provisioner, Verb};
use async_trait::async_trait;
use squall_types::{Capabilities, InstanceId, LaunchOrder, Launched, Listing, Offer, Span, Timestamp};
use std::sync::{Arc, Mutex, PoisonError};

/// No provider can close a verb for longer than this by asking for a pause.
pub const MAX_PAUSE: Span = Span::from_secs(300);

/// What one call costs; a rate of one per minute refills it in a minute's milliseconds.
const CALL: i64 = 60_000;

/// How often something may be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub per_minute: u32,
    /// Calls that may follow each other at once after a quiet time; at least one.
    pub burst: u32,
}

/// The rate of each verb. The default suits a cloud whose listing is what gets throttled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rates {
    pub offers: Rate,
    pub launch: Rate,
    pub retire: Rate,
    pub list: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            offers: Rate { per_minute: 6, burst: 4 },
            launch: Rate { per_minute: 120, burst: 20 },
            retire: Rate { per_minute: 120, burst: 20 },
            list: Rate { per_minute: 20, burst: 10 },
        }
    }
}

impl Rates {
    fn of(&self, verb: Verb) -> Rate {
        match verb {
            Verb::Offers => self.offers,
            Verb::Launch => self.launch,
            Verb::Retire => self.retire,
            Verb::List => self.list,
        }
    }
}

#[derive(Debug)]
struct Bucket {
    rate: Rate,
    level: i64,
    filled_at: Timestamp,
    /// The provider asked for silence until then.
    closed_until: Timestamp,
}

impl Bucket {
    fn full(rate: Rate, now: Timestamp) -> Self {
        let rate = Rate { per_minute: rate.per_minute.max(1), burst: rate.burst.max(1) };
        Self { rate, level: i64::from(rate.burst) * CALL, filled_at: now, closed_until: Timestamp::ZERO }
    }

    /// Takes one call, or says how long it has to wait for one.
    fn take(&mut self, now: Timestamp) -> Result<(), Span> {
        let refill = now.since(self.filled_at).as_millis().saturating_mul(i64::from(self.rate.per_minute));
        self.level = self.level.saturating_add(refill).min(i64::from(self.rate.burst) * CALL);
        self.filled_at = self.filled_at.max(now);
        let closed_for = self.closed_until.since(now);
        if closed_for > Span::ZERO {
            return Err(closed_for);
        }
        if self.level < CALL {
            let (missing, speed) = (CALL - self.level, i64::from(self.rate.per_minute));
            return Err(Span::from_millis((missing + speed - 1) / speed));
        }
        self.level -= CALL;
        Ok(())
    }
}

/// Keeps the calls of the provisioner inside below a rate.
pub struct RateLimited<P> {
    inner: P,
    clock: Arc<dyn Clock>,
    buckets: PerVerb<Mutex<Bucket>>,
}

impl<P: Provisioner> RateLimited<P> {
    pub fn new(inner: P, clock: Arc<dyn Clock>, rates: Rates) -> Self {
        let now = clock.now();
        let buckets = PerVerb::from_fn(|verb| Mutex::new(Bucket::full(rates.of(verb), now)));
        Self { inner, clock, buckets }
    }

    async fn limit<T>(
        &self,
        verb: Verb,
        call: impl Future<Output = Result<T, ProvisionError>> + Send,
    ) -> Result<T, ProvisionError> {
        let bucket = || self.buckets.get(verb).lock().unwrap_or_else(PoisonError::into_inner);
        bucket().take(self.clock.now()).map_err(|retry_after| ProvisionError::Throttled { retry_after })?;
        let result = call.await;
        if let Err(ProvisionError::Throttled { retry_after }) = &result {
            let mut bucket = bucket();
            bucket.closed_until = bucket.closed_until.max(self.clock.now() + (*retry_after).min(MAX_PAUSE));
        }
        result
    }
}

#[async_trait]
impl<P: Provisioner> Provisioner for RateLimited<P> {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn offers(&self) -> Result<Vec<Offer>, ProvisionError> {
        self.limit(Verb::Offers, self.inner.offers()).await
    }
    async fn launch(&self, order: &LaunchOrder) -> Result<Launched, ProvisionError> {
        self.limit(Verb::Launch, self.inner.launch(order)).await
    }
    async fn retire(&self, instances: &[InstanceId]) -> Result<(), ProvisionError> {
        self.limit(Verb::Retire, self.inner.retire(instances)).await
    }
    async fn list(&self) -> Result<Listing, ProvisionError> {
        self.limit(Verb::List, self.inner.list()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_allows_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::full(Rate { per_minute: 30, burst: 2 }, Timestamp::ZERO);
        assert_eq!(bucket.take(Timestamp::ZERO), Ok(()));
        assert_eq!(bucket.take(Timestamp::ZERO), Ok(()));
        assert_eq!(bucket.take(Timestamp::ZERO), Err(Span::from_secs(2)));
        assert_eq!(bucket.take(Timestamp(1_999)), Err(Span::from_millis(1)));
        assert_eq!(bucket.take(Timestamp(2_000)), Ok(()));
        assert_eq!(bucket.take(Timestamp::from_secs(3_600)), Ok(()));
        assert_eq!(bucket.take(Timestamp::from_secs(3_600)), Ok(()));
        assert_eq!(
            bucket.take(Timestamp::from_secs(3_600)),
            Err(Span::from_secs(2)),
            "an hour saves no more than a burst"
        );
    }

    #[test]
    fn a_clock_that_jumps_back_gives_no_calls_away() {
        let mut bucket = Bucket::full(Rate { per_minute: 60, burst: 1 }, Timestamp::from_secs(100));
        assert_eq!(bucket.take(Timestamp::from_secs(100)), Ok(()));
        assert_eq!(bucket.take(Timestamp::from_secs(10)), Err(Span::from_secs(1)));
        assert_eq!(bucket.take(Timestamp::from_secs(100)), Err(Span::from_secs(1)));
        assert_eq!(bucket.take(Timestamp::from_secs(101)), Ok(()));
    }
}
