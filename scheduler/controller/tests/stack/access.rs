use crate::agent::{Agent, client_of, ended, joined, login_host};
use crate::stage::{Stage, all_jobs, batch, eventually, job};
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_proto::server::UnixPeer;
use squall_types::agent::AttemptState;
use squall_types::api::*;
use squall_types::{Gid, JobId, NodeName, Timestamp, Uid};

fn user(uid: u32) -> UnixPeer {
    UnixPeer { uid: Uid(uid), gid: Gid(uid), pid: None }
}

fn denied<T: std::fmt::Debug>(result: Result<T, ClientError>) -> bool {
    matches!(result, Err(ClientError::Denied(_)))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_heard_over_the_network_without_a_proof() {
    let stage = Stage::start().await;
    let nobody = Client::connect(&stage.remote()).await.unwrap();
    assert!(denied(nobody.ping().await));
    assert!(denied(nobody.submit(batch("t")).await));
    assert!(denied(nobody.jobs(JobFilter::default()).await));
    assert!(denied(nobody.clone().vouching_for(user(0)).summary().await));
    assert!(denied(nobody.clone().with_bearer("token".to_owned()).summary().await));
    assert!(denied(nobody.for_job(vec![0; 200]).summary().await));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_do_nothing_that_users_do() {
    let stage = Stage::start().await;
    let (machine, reply) = joined(&stage, "n1").await;
    let agent = client_of(&machine, &stage, &reply).await;
    assert!(denied(agent.ping().await));
    assert!(denied(agent.submit(batch("t")).await));
    assert!(denied(agent.summary().await));
    assert!(denied(agent.reconfigure().await));
    assert!(denied(agent.join_token(JoinTokenFor::StaticNode(NodeName::new("n2"))).await));
    // Its word for others counts for nothing.
    assert!(denied(agent.clone().vouching_for(user(0)).summary().await));
    assert!(denied(agent.vouching_for(user(20_000)).submit(batch("t")).await));
    assert!(all_jobs(&stage.local().await).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_host_speaks_for_users_of_its_range_and_for_nobody_else() {
    let stage = Stage::start().await;
    let (machine, reply) = login_host(&stage).await;
    let host = client_of(&machine, &stage, &reply).await;
    assert!(denied(host.ping().await), "for whom?");
    for uid in [0, nix::unistd::getuid().as_raw(), 19_999, 30_000] {
        assert!(denied(host.clone().vouching_for(user(uid)).submit(batch("t")).await), "{uid}");
    }
    let alice = host.clone().vouching_for(user(20_001));
    let id = alice.submit(batch("t1")).await.unwrap().job;
    assert_eq!(job(&alice, id).await.uid, Uid(20_001));
    // An enrolled host is no admin, and its users change their own jobs alone.
    let bob = host.clone().vouching_for(user(20_002));
    let filter = || JobFilter { jobs: vec![JobRef::from(id)], ..JobFilter::default() };
    let results = bob.act(filter(), JobAction::Cancel).await.unwrap();
    assert!(results[0].refusal.is_some(), "{results:?}");
    assert!(bob.script(id).await.is_err() && alice.script(id).await.is_ok());
    assert!(bob.start_step(StepRequest { job: id, ..StepRequest::default() }).await.is_err());
    assert!(alice.act_on_nodes("n1".to_owned(), NodeAction::Resume).await.is_err());
    assert!(alice.reconfigure().await.is_err());
    assert!(alice.join_token(JoinTokenFor::StaticNode(NodeName::new("n1"))).await.is_err());
    let results = alice.act(filter(), JobAction::Cancel).await.unwrap();
    assert_eq!(results[0].refusal, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_host_that_enrolled_again_replaces_the_one_before() {
    let stage = Stage::start().await;
    let (first, first_reply) = login_host(&stage).await;
    let (second, second_reply) = login_host(&stage).await;
    let before = client_of(&first, &stage, &first_reply).await.vouching_for(user(20_001));
    let after = client_of(&second, &stage, &second_reply).await.vouching_for(user(20_001));
    assert!(denied(before.ping().await));
    after.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_asks_as_its_user_while_it_lives_and_through_its_agent() {
    let stage = Stage::start().await;
    let (host, host_reply) = login_host(&stage).await;
    let alice = client_of(&host, &stage, &host_reply).await.vouching_for(user(20_001));
    let (machine, reply) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &reply).await;
    let id = alice.submit(batch("t1")).await.unwrap().job;
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;

    let through_agent = client_of(&machine, &stage, &reply).await.for_job(duty.credential.clone());
    let inner = through_agent.submit(batch("t2")).await.unwrap().job;
    assert_eq!(job(&through_agent, inner).await.uid, Uid(20_001));
    assert!(through_agent.reconfigure().await.is_err(), "a job is never an admin");

    let nobody = Client::connect(&stage.remote()).await.unwrap().for_job(duty.credential.clone());
    assert!(denied(nobody.ping().await), "a stolen credential is worth nothing without an agent");
    let mut changed = duty.credential.clone();
    changed[20] ^= 1;
    assert!(denied(client_of(&machine, &stage, &reply).await.for_job(changed).ping().await));
    let mut longer = duty.credential.clone();
    longer.push(0);
    assert!(denied(client_of(&machine, &stage, &reply).await.for_job(longer).ping().await));

    agent.report(duty.run, ended(0)).await;
    agent.acknowledged(duty.run).await;
    let over = async || matches!(job(&alice, id).await.state, JobState::Ended(_)).then_some(());
    eventually("the job ends", over).await;
    assert!(denied(through_agent.ping().await), "its credential ended with it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_for_its_owner_and_blobs_for_the_node_that_runs_them() {
    let stage = Stage::start().await;
    let (first, first_reply) = joined(&stage, "n1").await;
    let (second, second_reply) = joined(&stage, "n2").await;
    let mut one = Agent::attach(&stage, &first, &first_reply).await;
    let two = Agent::attach(&stage, &second, &second_reply).await;
    let client = stage.local().await;
    client.act_on_nodes("n2".to_owned(), NodeAction::Drain { reason: "test".to_owned() }).await.unwrap();
    let id = client.submit(batch("t1")).await.unwrap().job;
    let duty = one.assignment().await;
    assert_eq!(duty.run.job, id);
    let script = duty.detail.spec.script.unwrap();
    one.client.fetch_blob(script, duty.run).await.unwrap();
    let other = two.client.fetch_blob(script, duty.run).await;
    assert!(matches!(other, Err(ClientError::Denied(_))), "{other:?}");
    assert!(client.script(JobId(99)).await.is_err());
}
