//! Tokens: of users who come over the network, and of machines that join.

use crate::offer::JoinTicket;
use crate::{NodeName, Span, Timestamp, Uid};
use serde::{Deserialize, Serialize};

/// What a user wants with tokens that stand for her on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UserTokenAsk {
    /// A new one, for so long; without a length of time as long as is usual.
    Create {
        lifetime: Option<Span>,
    },
    /// Her own; of an admin those of all.
    List,
    Revoke {
        id: String,
    },
}

/// A token of a user, without what makes it count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserToken {
    pub id: String,
    pub uid: Uid,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

/// The tokens that it was about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserTokenReply {
    pub tokens: Vec<UserToken>,
    /// Of a new one: the token itself, and where it counts. Told once.
    pub made: Option<JoinTicket>,
}

/// For what an admin wants a join token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinTokenFor {
    /// A machine of one's own that the configuration names.
    StaticNode(NodeName),
    /// A host whose daemon is to vouch for its users.
    LoginHost(String),
}
