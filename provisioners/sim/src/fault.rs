//! What goes wrong: rules that say which fault strikes where, when and how often.

use crate::config::Spread;
use rand::{Rng, RngExt};
use squall_provisioner::Verb;
use squall_types::{Offer, OfferName, Span, Timestamp};
use std::collections::BTreeMap;

macro_rules! faults {
    ($($(#[$doc:meta])* $fault:ident = $name:literal),+ $(,)?) => {
        /// What can go wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Fault {
            $($(#[$doc])* $fault),+
        }

        impl Fault {
            pub const ALL: &[Fault] = &[$(Fault::$fault),+];

            /// As reports spell it.
            pub fn name(self) -> &'static str {
                match self {
                    $(Fault::$fault => $name),+
                }
            }
        }
    };
}

faults! {
    /// The call is refused with a time to wait, and has no effect.
    Throttled = "throttled",
    /// The call is answered with a server error and has no effect.
    ServerError = "server error",
    /// No answer comes, and there is no effect.
    TimeoutBeforeEffect = "timeout before effect",
    /// The effect happens, and the answer is lost.
    ReplyLost = "reply lost",
    /// The credentials are revoked.
    Denied = "denied",
    /// A launch is answered with an error, and happens some time later.
    LateEffect = "late effect",
    /// The pool's configuration is refused: its image is gone.
    Rejected = "rejected",
    /// There is no capacity.
    StockOut = "stock-out",
    /// Fewer nodes are delivered than were asked for; not to gangs where they are promised whole.
    PartialDelivery = "partial delivery",
    /// The cloud forgets a token before its time, and a repeated launch buys again.
    TokenForgotten = "token forgotten",
    /// A machine dies before its agent speaks.
    DeathWhileBooting = "death while booting",
    /// A machine runs and is billed, and its agent never speaks.
    BootNever = "boot never",
    /// A machine takes longer to boot.
    BootSlow = "boot slow",
    /// A machine has a GPU less than its offer promised.
    GpuMissing = "gpu missing",
    /// A machine loses its order tag.
    OrderTagLost = "order tag lost",
    /// A new machine is not listed for a while.
    ListedLate = "listed late",
    /// A machine that is gone is still listed as if it ran.
    ListedWhenGone = "listed when gone",
    /// A listing lacks a part and says so.
    ListingPartial = "listing partial",
    /// A listing lacks a part and claims to be complete.
    ListingShrunken = "listing shrunken",
    /// A listing shows nothing and claims to be complete.
    ListingEmpty = "listing empty",
    /// A machine is protected: its retirement is refused.
    RetireRefused = "retire refused",
    /// A retired machine takes long to end.
    RetireSlow = "retire slow",
    /// The retirement is confirmed, and the machine lives on.
    RetireLies = "retire lies",
    /// A spot machine is taken back, with notice.
    SpotNotice = "spot notice",
    /// A spot machine is taken back, without notice.
    SpotLoss = "spot loss",
    /// Any machine dies.
    SuddenDeath = "sudden death",
    /// Offers show a tenth of their price; bills do not.
    PriceWrong = "price wrong",
}

impl Fault {
    /// How long it lasts where the rule does not say.
    fn usual(self) -> Spread {
        match self {
            Fault::Throttled => Spread::secs(1, 5, 60),
            Fault::LateEffect => Spread::secs(5, 60, 120),
            Fault::BootSlow => Spread::secs(300, 900, 3_600),
            Fault::DeathWhileBooting => Spread::secs(1, 20, 60),
            Fault::ListedLate => Spread::secs(1, 30, 60),
            Fault::ListedWhenGone => Spread::secs(5, 60, 600),
            Fault::RetireSlow => Spread::secs(60, 600, 3_600),
            Fault::SuddenDeath => Spread::secs(1, 3_600, 36_000),
            _ => Spread::always(Span::ZERO),
        }
    }
}

/// A chance in thousandths.
pub type Permille = u16;

/// When, where and how often a fault strikes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub fault: Fault,
    pub chance: Permille,
    pub from: Timestamp,
    pub until: Timestamp,
    /// Only scopes that begin with this.
    pub scope: Option<String>,
    pub offer: Option<OfferName>,
    /// Only this verb, for faults that can strike several.
    pub verb: Option<Verb>,
    /// Strikes no more than so often.
    pub times: Option<u32>,
    /// How long the effect lasts or is delayed, for faults that have a length.
    pub lasting: Option<Spread>,
}

impl Rule {
    pub fn always(fault: Fault) -> Self {
        Self::chance(fault, 1_000)
    }

    pub fn chance(fault: Fault, chance: Permille) -> Self {
        Self {
            fault,
            chance,
            from: Timestamp(i64::MIN),
            until: Timestamp::NEVER,
            scope: None,
            offer: None,
            verb: None,
            times: None,
            lasting: None,
        }
    }

    pub fn once(fault: Fault) -> Self {
        Self { times: Some(1), ..Self::always(fault) }
    }

    pub fn times(self, times: u32) -> Self {
        Self { times: Some(times), ..self }
    }

    pub fn between(self, from: Timestamp, until: Timestamp) -> Self {
        Self { from, until, ..self }
    }

    pub fn in_scope(self, scope: impl Into<String>) -> Self {
        Self { scope: Some(scope.into()), ..self }
    }

    pub fn of_offer(self, offer: OfferName) -> Self {
        Self { offer: Some(offer), ..self }
    }

    pub fn on(self, verb: Verb) -> Self {
        Self { verb: Some(verb), ..self }
    }

    pub fn lasting(self, spread: Spread) -> Self {
        Self { lasting: Some(spread), ..self }
    }

    fn concerns(&self, fault: Fault, site: Site<'_>) -> bool {
        let scope_fits = |scope: &String| site.offer.is_some_and(|offer| offer.scope.starts_with(scope.as_str()));
        self.fault == fault
            && self.times != Some(0)
            && (self.from..self.until).contains(&site.now)
            && self.verb.is_none_or(|verb| Some(verb) == site.verb)
            && self.scope.as_ref().is_none_or(scope_fits)
            && self.offer.as_ref().is_none_or(|name| site.offer.is_some_and(|offer| offer.name == *name))
    }
}

/// Where a fault might strike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Site<'a> {
    pub now: Timestamp,
    pub verb: Option<Verb>,
    pub offer: Option<&'a Offer>,
}

/// Everything that goes wrong, as rules; the first rule that strikes decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    rules: Vec<Rule>,
    counts: BTreeMap<Fault, u64>,
}

impl FaultPlan {
    /// Nothing goes wrong.
    pub fn none() -> Self {
        Self::default()
    }

    pub fn with(mut self, rule: Rule) -> Self {
        self.rules.push(rule);
        self
    }

    pub fn push(&mut self, rule: Rule) {
        self.rules.push(rule);
    }

    /// Nothing goes wrong from now on; the counts stay.
    pub fn heal(&mut self) {
        self.rules.clear();
    }

    /// How often each fault struck; those that never did are there with 0.
    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        Fault::ALL.iter().map(|fault| (fault.name(), self.counts.get(fault).copied().unwrap_or(0))).collect()
    }

    /// How often any fault struck.
    pub(crate) fn struck(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Whether `fault` strikes here, and then for how long.
    pub(crate) fn strikes(&mut self, fault: Fault, site: Site<'_>, rng: &mut impl Rng) -> Option<Span> {
        let struck = self.rules.iter_mut().find(|rule| {
            rule.concerns(fault, site)
                && match rule.chance {
                    0 => false,
                    1_000.. => true,
                    chance => rng.random_range(0..1_000) < chance,
                }
        })?;
        struck.times = struck.times.map(|left| left - 1);
        let lasting = struck.lasting.unwrap_or(fault.usual());
        *self.counts.entry(fault).or_default() += 1;
        Some(lasting.draw(rng))
    }
}
