//! Tokens with which users come over the network.

use super::caller::denied;
use super::{Service, refused};
use crate::identity::UserTokenError;
use squall_core::authz::{Object, Verb, allow};
use squall_core::{Caller, Rejection};
use squall_proto::server::{Channel, Failure};
use squall_types::api::{UserTokenAsk, UserTokenReply};
use squall_types::offer::JoinTicket;

impl Service {
    pub(super) fn about_tokens(&self, channel: &Channel, ask: UserTokenAsk) -> Result<UserTokenReply, Failure> {
        let who = self.who(channel, Verb::UseTokens)?;
        if channel.bearer.is_some() {
            // A token that leaked would live for ever if it could make another, or revoke those that could replace it.
            return Err(denied(
                "tokens are made, listed and revoked where no token is needed: on a host of the cluster",
            ));
        }
        let Some(uid) = who.caller.uid() else { return Err(denied("tokens are for users")) };
        let own = Object::User(uid);
        let now = self.handle.now();
        match ask {
            UserTokenAsk::Create { lifetime } => {
                allow(&who.caller, Verb::UseTokens, own).map_err(refused)?;
                let (made, secret) = self.user_tokens.make(uid, who.gid, lifetime, now).map_err(no_token)?;
                tracing::info!(token = %made.id, %uid, "a token for a user was made");
                let controller = format!("https://{}", self.address);
                let ticket = JoinTicket { controller, ca_pin: self.authority.ca_pin().to_owned(), secret };
                Ok(UserTokenReply { tokens: vec![made], made: Some(ticket) })
            }
            UserTokenAsk::List => {
                allow(&who.caller, Verb::UseTokens, own).map_err(refused)?;
                let of = if matches!(who.caller, Caller::Admin(_)) { None } else { Some(uid) };
                Ok(UserTokenReply { tokens: self.user_tokens.list(of, now), made: None })
            }
            UserTokenAsk::Revoke { id } => {
                // Of a token that is not there the answer is the same as of another user's.
                let owner = self.user_tokens.owner(&id).ok_or(UserTokenError::Unknown).map_err(no_token)?;
                allow(&who.caller, Verb::UseTokens, Object::User(owner))
                    .map_err(|_| no_token(UserTokenError::Unknown))?;
                let revoked = self.user_tokens.revoke(&id).map_err(no_token)?;
                tracing::info!(token = %revoked.id, uid = %revoked.uid, by = %uid, "a token of a user was revoked");
                Ok(UserTokenReply { tokens: vec![revoked], made: None })
            }
        }
    }
}

fn no_token(error: UserTokenError) -> Failure {
    match error {
        UserTokenError::Identity(error) => Failure::Internal(error.to_string()),
        error => {
            refused(Rejection::new("SQ2005", "Access/permission denied").asked("a token").limit(error.to_string()))
        }
    }
}
