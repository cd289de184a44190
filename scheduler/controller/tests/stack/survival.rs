use crate::agent::{Agent, ended, joined};
use crate::stage::{Stage, all_jobs, batch, configuration, eventually, job};
use squall_journal::JournalError;
use squall_types::agent::AttemptState;
use squall_types::api::JobState;
use squall_types::{EndState, Timestamp};
use squallctld::run::RunError;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_there_after_a_new_start() {
    let mut stage = Stage::start().await;
    let first = stage.local().await.submit(batch("t1")).await.unwrap().job;
    let address = stage.controller.as_ref().unwrap().address().to_owned();
    stage.down().await;
    stage.up().await.unwrap();
    let client = stage.local().await;
    assert_eq!(all_jobs(&client).await.len(), 1);
    assert_eq!(client.submit(batch("t1")).await.unwrap().job, first, "the token is known");
    assert!(client.submit(batch("t2")).await.unwrap().job > first);
    assert_eq!(client.ping().await.unwrap().epoch, 2);
    assert_eq!(stage.controller.as_ref().unwrap().address(), address, "agents come back to the same port");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_controller_on_the_same_state_is_refused() {
    let mut stage = Stage::start().await;
    let running = stage.controller.take();
    let refused = stage.up().await;
    assert!(matches!(refused, Err(RunError::Journal(JournalError::InUse { .. }))), "{:?}", refused.err());
    stage.controller = running;
    stage.local().await.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_state_of_another_cluster_is_refused() {
    let mut stage = Stage::start().await;
    stage.down().await;
    let text = configuration(stage.dir.path()).replace("cluster = \"c1\"", "cluster = \"c2\"");
    std::fs::write(stage.file(), text).unwrap();
    let refused = stage.up().await;
    assert!(matches!(refused, Err(RunError::OtherCluster { .. })), "{:?}", refused.err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_ran_through_a_restart_keeps_running_and_its_end_counts() {
    let mut stage = Stage::start().await;
    let (machine, certificate) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &certificate).await;
    let id = stage.local().await.submit(batch("t1")).await.unwrap().job;
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    let client = stage.local().await;
    eventually("it runs", async || (job(&client, id).await.state == JobState::Running).then_some(())).await;
    stage.down().await;
    stage.up().await.unwrap();
    let client = stage.local().await;
    assert_eq!(job(&client, id).await.state, JobState::Running);
    let running = AttemptState::Running { since: Timestamp(1) };
    let mut agent = Agent::attach_with(&stage, &machine, &certificate, vec![(duty.run, running)]).await;
    let again = agent.assignment().await;
    assert_eq!(again.run, duty.run, "the same attempt");
    agent.report(duty.run, ended(0)).await;
    agent.acknowledged(duty.run).await;
    eventually("it ends", async || {
        (job(&client, id).await.state == JobState::Ended(EndState::Completed)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_promises_nothing_and_ends_the_controller() {
    let mut stage = Stage::start().await;
    let client = stage.local().await;
    client.submit(batch("t1")).await.unwrap();
    // Somebody removes the lock and lets another controller take the journal: the first may write nothing more.
    let dir = stage.dir.path().join("state/journal");
    std::fs::remove_file(dir.join("journal.lock")).unwrap();
    let (other, _) = squall_journal::Journal::open(&dir, squall_journal::Options::default()).unwrap();
    let answer = client.submit(batch("t2")).await;
    assert!(answer.is_err(), "{answer:?}");
    let ended = stage.controller.as_mut().unwrap().ended().await;
    let Err(error @ RunError::Failed(_)) = ended else { panic!("{ended:?}") };
    assert!(error.to_string().contains("another controller has taken it"), "{error}");
    assert_eq!(error.exit_code(), 74);
    drop(other);
    stage.controller = None;
    stage.up().await.unwrap();
    assert_eq!(all_jobs(&stage.local().await).await.len(), 1, "what was not answered is not there");
}
