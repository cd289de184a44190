//! What the controller and a provisioner in a process of its own say to each other.

use crate::pb;
use crate::wire::{Problem, Wire, WireError, choice, message, put, take};
use squall_types::InstanceId;
use squall_types::offer::*;

message! {
    Offer { name, instance_type, scope, kind, price, shape: required, minimum_billed, typical_boot, max_per_order }
    Capabilities { all_or_none, max_per_order, max_per_retire, token_lifetime, listing_grace, ends_at_die_at }
    Description { contract, program, version, capabilities: required }
    LaunchOrder { order, pool, token, offer: required, names, gang, die_at, tags, join }
    JoinTicket { controller, ca_pin, secret }
    Launched { instances }
    LaunchedInstance { instance, name }
    SeenInstance { instance, order, name, launched_at, ending }
    Listing { instances, complete }
}

choice! {
    LaunchFailure in launch_failure::Failure (failure) {
        units {}
        values {}
        records {
            NoCapacity as NoCapacity { scope },
            Quota as Quota { name, limit, used },
            Throttled as Throttled { retry_after },
            Rejected as Rejected { why },
            Denied as Denied { why },
            Conflict as Conflict { why },
            Unknown as UnknownOutcome { why },
        }
    }
}

/// A protobuf list cannot be the case of a `oneof`.
#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub(crate) struct OfferList {
    pub offers: Vec<Offer>,
}

#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub(crate) struct RetireRequest {
    pub instances: Vec<InstanceId>,
}

#[cfg_attr(test, derive(Clone, Debug, PartialEq))]
pub(crate) struct DescribeRequest {
    pub contract: u32,
}

message! {
    DescribeRequest { contract }
    OfferList { offers }
    RetireRequest { instances }
}

/// The answer of a verb: what it did, or why not.
macro_rules! outcome {
    ($($reply:ident in $module:ident: $done:ty;)*) => { $(
        impl Wire for Result<$done, LaunchFailure> {
            type Pb = pb::$reply;
            fn to_pb(self) -> pb::$reply {
                use pb::$module::Outcome;
                let outcome = match self {
                    Ok(done) => Outcome::Done(done.to_pb()),
                    Err(failure) => Outcome::Failed(failure.to_pb()),
                };
                pb::$reply { outcome: Some(outcome) }
            }
            fn from_pb(pb: pb::$reply) -> Result<Self, WireError> {
                use pb::$module::Outcome;
                Ok(match pb.outcome.ok_or(Problem::Missing)? {
                    Outcome::Done(done) => Ok(take!(done, "done")),
                    Outcome::Failed(failure) => Err(take!(failure, "failed")),
                })
            }
        }
    )* };
}

outcome! {
    OffersReply in offers_reply: OfferList;
    LaunchReply in launch_reply: Launched;
    RetireReply in retire_reply: ();
    ListReply in list_reply: Listing;
}
