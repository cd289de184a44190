//! What a simulated cloud sells, how long things take in it, and what its quotas are.

use rand::{Rng, RngExt};
use squall_types::{Capabilities, CapacityKind, Offer, Span};

/// A length of time that is drawn anew for each use: nine in ten between `least` and somewhat above
/// `typical`, one in ten from the tail up to `most`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spread {
    pub least: Span,
    pub typical: Span,
    pub most: Span,
}

impl Spread {
    pub const fn always(span: Span) -> Self {
        Self { least: span, typical: span, most: span }
    }

    pub const fn secs(least: i64, typical: i64, most: i64) -> Self {
        Self { least: Span::from_secs(least), typical: Span::from_secs(typical), most: Span::from_secs(most) }
    }

    pub(crate) fn draw(&self, rng: &mut impl Rng) -> Span {
        let (least, typical) = (self.least.as_millis(), self.typical.as_millis().max(self.least.as_millis()));
        let most = self.most.as_millis().max(typical);
        let usual = (typical + (typical - least) / 2).min(most);
        let (from, to) = if rng.random_range(0..10) == 0 { (typical, most) } else { (least, usual) };
        Span::from_millis(rng.random_range(from..=to))
    }
}

/// An offer and how many machines of it there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SoldOffer {
    pub offer: Offer,
    /// Machines that may exist at once; `None` where the cloud never runs dry by itself.
    pub capacity: Option<u32>,
}

/// What a quota counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaOf {
    Instances,
    Cpus,
    Gpus,
}

/// A quota of the account: what runs, boots or ends counts against it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaRule {
    pub name: String,
    pub of: QuotaOf,
    /// Scopes that begin with this; all where it is empty.
    pub scope: String,
    /// Only capacity of this kind.
    pub kind: Option<CapacityKind>,
    pub limit: u64,
}

impl QuotaRule {
    /// What a node of `offer` takes of this quota; 0 where the quota does not concern it.
    pub(crate) fn share_of(&self, offer: &Offer) -> u64 {
        if !offer.scope.starts_with(&self.scope) || self.kind.is_some_and(|kind| kind != offer.kind) {
            return 0;
        }
        match self.of {
            QuotaOf::Instances => 1,
            QuotaOf::Cpus => u64::from(offer.shape.cpus),
            QuotaOf::Gpus => u64::from(offer.shape.gpus.count()),
        }
    }
}

/// The cloud when nothing goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudConfig {
    pub sold: Vec<SoldOffer>,
    pub quotas: Vec<QuotaRule>,
    pub capabilities: Capabilities,
    /// From the accepted launch to the agent's first word.
    pub boot: Spread,
    /// From a call to its answer.
    pub answer: Spread,
    /// How long a caller waits for an answer that does not come.
    pub patience: Span,
    /// From an accepted retire until the machine is gone, and billed no more.
    pub shutdown: Spread,
    /// How long an ended machine is still listed, as ending.
    pub ended_listed: Span,
    /// How long a spot machine lives, where a spot fault strikes it.
    pub spot_life: Spread,
    /// From notice to loss.
    pub spot_notice: Span,
    /// A spot machine's price follows the market; otherwise every machine keeps the price of its launch.
    pub spot_follows_market: bool,
    /// Launches whose token was not announced are refused and counted.
    pub checks_journal: bool,
}

impl CloudConfig {
    /// A cloud that sells `offers` without limit and behaves well.
    pub fn selling(offers: impl IntoIterator<Item = Offer>) -> Self {
        Self {
            sold: offers.into_iter().map(|offer| SoldOffer { offer, capacity: None }).collect(),
            quotas: Vec::new(),
            capabilities: Capabilities {
                all_or_none: true,
                max_per_order: 500,
                max_per_retire: 1_000,
                token_lifetime: Span::from_hours(24),
                listing_grace: Span::from_secs(60),
                ends_at_die_at: false,
            },
            boot: Spread::secs(30, 90, 300),
            answer: Spread { least: Span(50), typical: Span(800), most: Span(5_000) },
            patience: Span::from_secs(60),
            shutdown: Spread::secs(2, 20, 90),
            ended_listed: Span::from_mins(10),
            spot_life: Spread::secs(60, 3_600, 36_000),
            spot_notice: Span::from_secs(120),
            spot_follows_market: false,
            checks_journal: false,
        }
    }
}
