//! Users who come over the network with a token.

use crate::agent::{Agent, client_of, joined, login_host};
use crate::stage::{Stage, batch, job};
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::server::UnixPeer;
use squall_types::agent::AttemptState;
use squall_types::api::*;
use squall_types::{Gid, NodeName, Span, Timestamp, Uid};

const CREATE: UserTokenAsk = UserTokenAsk::Create { lifetime: None };

fn denied<T: std::fmt::Debug>(result: Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Denied(_)))
}

fn refused<T: std::fmt::Debug>(result: Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Refused(_)))
}

async fn made(client: &Client) -> (UserToken, String) {
    let mut reply = client.user_tokens(CREATE).await.unwrap();
    (reply.tokens.remove(0), reply.made.unwrap().secret)
}

async fn with(stage: &Stage, token: &str) -> Client {
    Client::connect(&stage.remote()).await.unwrap().with_bearer(token.to_owned())
}

/// Somebody of a login host, who is no admin.
pub async fn alice(stage: &Stage) -> Client {
    let (machine, reply) = login_host(stage).await;
    let peer = UnixPeer { uid: Uid(20_001), gid: Gid(20_001), pid: None };
    client_of(&machine, stage, &reply).await.vouching_for(peer)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_the_network_is_who_the_token_says_until_it_is_revoked() {
    let mut stage = Stage::start().await;
    let at_home = alice(&stage).await;
    let (token, secret) = made(&at_home).await;
    let away = with(&stage, &secret).await;
    let id = away.submit(batch("t1")).await.unwrap().job;
    assert_eq!(job(&away, id).await.uid, Uid(20_001));
    assert!(away.script(id).await.is_ok());
    // Somebody else's token is worth nothing for it.
    let (_, other) = made(&stage.local().await).await;
    let other = with(&stage, &other).await;
    assert!(other.script(id).await.is_err());
    assert!(other.submit(batch("t2")).await.is_ok());

    stage.down().await;
    stage.up().await.unwrap();
    let away = with(&stage, &secret).await;
    away.ping().await.expect("it outlives the controller's process");
    let admin = stage.local().await;
    let all = admin.user_tokens(UserTokenAsk::List).await.unwrap();
    assert!(all.tokens.contains(&token) && all.tokens.len() == 2 && all.made.is_none(), "{all:?}");
    admin.user_tokens(UserTokenAsk::Revoke { id: token.id.clone() }).await.unwrap();
    assert!(denied(away.ping().await));
    assert!(refused(admin.user_tokens(UserTokenAsk::Revoke { id: token.id }).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_no_admin_makes_no_tokens_and_counts_over_tls_alone() {
    let stage = Stage::start().await;
    let admin = stage.local().await;
    let (own, secret) = made(&admin).await;
    let away = with(&stage, &secret).await;
    assert!(refused(away.reconfigure().await), "the admin's token is no admin");
    assert!(refused(away.join_token(JoinTokenFor::StaticNode(NodeName::new("n1"))).await));
    assert!(refused(away.act_on_nodes("n1".to_owned(), NodeAction::Resume).await));
    for ask in [CREATE, UserTokenAsk::List, UserTokenAsk::Revoke { id: own.id.clone() }] {
        assert!(denied(away.user_tokens(ask).await));
    }
    assert!(denied(admin.clone().with_bearer(secret.clone()).ping().await), "the kernel says who asks there");
    let (machine, reply) = joined(&stage, "n1").await;
    let agent = client_of(&machine, &stage, &reply).await;
    assert!(denied(agent.with_bearer(secret.clone()).ping().await), "a machine is no user");
    for wrong in ["", "squall-user-", &secret[..secret.len() - 1], &format!("{secret}0")] {
        assert!(denied(with(&stage, wrong).await.ping().await), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn users_see_and_revoke_their_own_tokens_alone_and_jobs_none() {
    let stage = Stage::start().await;
    let at_home = alice(&stage).await;
    let admin = stage.local().await;
    let (of_admin, _) = made(&admin).await;
    let (own, _) = made(&at_home).await;
    assert_eq!(at_home.user_tokens(UserTokenAsk::List).await.unwrap().tokens, std::slice::from_ref(&own));
    let of_nobody = at_home.user_tokens(UserTokenAsk::Revoke { id: "0".repeat(16) }).await;
    assert_eq!(
        at_home.user_tokens(UserTokenAsk::Revoke { id: of_admin.id }).await,
        of_nobody,
        "not told which there are"
    );
    assert!(refused(of_nobody));
    let long = UserTokenAsk::Create { lifetime: Some(Span::from_hours(24 * 365)) };
    let Err(ClientError::Refused(refusal)) = at_home.user_tokens(long).await else { panic!("too long") };
    assert!(refusal.limit.contains("at most 720 hours"), "{refusal:?}");

    let (machine, reply) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &reply).await;
    at_home.submit(batch("t1")).await.unwrap();
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    let job = client_of(&machine, &stage, &reply).await.for_job(duty.credential.clone());
    for ask in [CREATE, UserTokenAsk::List, UserTokenAsk::Revoke { id: own.id.clone() }] {
        assert!(refused(job.user_tokens(ask).await), "it would outlive the job");
    }
    at_home.user_tokens(UserTokenAsk::Revoke { id: own.id }).await.unwrap();
    assert_eq!(at_home.user_tokens(UserTokenAsk::List).await.unwrap().tokens, []);
}
