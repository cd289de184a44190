//! One launch: one ledger row, one provider call, one token.

use minicbor::{Decode, Encode};
use squall_types::offer::LaunchFailure;
use squall_types::{BudgetName, InstanceId, JobId, LaunchOrder, NodeId, Offer, OfferName, OrderId, Timestamp};
use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Order {
    #[n(0)]
    pub id: OrderId,
    /// Byte-identical on every retry (the join ticket is derived when the call is made).
    #[n(1)]
    pub request: LaunchOrder,
    /// One for each name in the request.
    #[n(2)]
    pub nodes: Vec<NodeId>,
    #[n(3)]
    pub for_job: Option<JobId>,
    #[n(4)]
    pub placed_at: Timestamp,
    /// The token lives until then: the identical request may be repeated; afterwards only a listing tells.
    #[n(5)]
    pub accept_by: Timestamp,
    #[n(6)]
    pub state: OrderState,
    /// What its money is taken from.
    #[n(7)]
    pub budgets: Vec<BudgetName>,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum OrderState {
    /// To be launched; whether the provider has heard of it is not known.
    #[n(0)]
    Placed,
    #[n(1)]
    Launched {
        #[n(0)]
        at: Timestamp,
    },
    #[n(2)]
    Failed {
        #[n(0)]
        failure: LaunchFailure,
        #[n(1)]
        at: Timestamp,
    },
}

/// What is known of buying in one pool.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct PoolState {
    /// Prices and shapes as the provider last said them.
    #[n(0)]
    pub offers: BTreeMap<OfferName, OfferState>,
    /// Boot failures in a row.
    #[n(1)]
    pub boot_failures: u32,
    /// Nothing is bought until then.
    #[n(2)]
    pub closed_until: Option<Timestamp>,
    /// Refused for configuration or credentials: nothing is bought until the configuration changes.
    #[n(3)]
    pub broken: Option<String>,
    /// The last quota refusal, and how many nodes the pool had then: held until it has fewer.
    #[n(4)]
    pub quota: Option<QuotaHold>,
    /// Highest number given to a node name.
    #[n(5)]
    pub last_number: u64,
    /// Instances that no order knows.
    #[n(6)]
    pub strangers: BTreeMap<InstanceId, Stranger>,
    /// When the last complete listing was taken in.
    #[n(7)]
    pub listed_at: Option<Timestamp>,
    /// How many instances the last complete listing showed.
    #[n(8)]
    pub listed: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct OfferState {
    #[n(0)]
    pub offer: Offer,
    /// Refusals for lack of capacity in a row.
    #[n(1)]
    pub failures: u32,
    #[n(2)]
    pub cool_until: Option<Timestamp>,
    /// No longer offered.
    #[n(3)]
    pub withdrawn: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, serde::Serialize, serde::Deserialize)]
pub struct QuotaHold {
    #[n(0)]
    pub name: String,
    #[n(1)]
    pub limit: u64,
    #[n(2)]
    pub used: u64,
    /// Live nodes of the pool when it was refused; 0 asks for a probe after `until`.
    #[n(3)]
    pub nodes: u32,
    #[n(4)]
    pub until: Timestamp,
}

/// An instance that bears our tag and no order of ours.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Stranger {
    #[n(0)]
    pub since: Timestamp,
    #[n(1)]
    pub retiring: bool,
    /// Missing from a complete listing since then.
    #[n(2)]
    pub missing_since: Option<Timestamp>,
}

/// A pool before anything is known of it.
impl PoolState {
    pub fn from_offers(offers: &[Offer]) -> PoolState {
        let mut state = PoolState::default();
        state.see(offers);
        state
    }

    /// Takes in what can be bought now; what is no longer offered is kept as withdrawn while its memory matters.
    pub fn see(&mut self, offers: &[Offer]) {
        for known in self.offers.values_mut() {
            known.withdrawn = true;
        }
        for offer in offers {
            let known = self.offers.entry(offer.name.clone()).or_default();
            known.offer = offer.clone();
            known.withdrawn = false;
        }
        self.offers.retain(|_, known| !known.withdrawn || known.cool_until.is_some());
    }
}
