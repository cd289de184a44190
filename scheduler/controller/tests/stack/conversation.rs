use crate::agent::{Agent, ended, joined};
use crate::stage::{Stage, all_jobs, batch, eventually, job};
use futures_util::StreamExt;
use squall_proto::ClientError;
use squall_types::agent::{AgentOrder, AssignedPhase, AttemptState, StopWhy};
use squall_types::api::*;
use squall_types::ids::Run;
use squall_types::{EndState, JobId, Reason, Timestamp};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_from_its_submission_to_its_end_in_accounting() {
    let mut stage = Stage::start().await;
    let client = stage.local().await;
    let reply = client.submit(batch("t1")).await.unwrap();
    assert_eq!(reply.job, JobId(1));
    let view = job(&client, reply.job).await;
    assert_eq!((view.state, view.uid.0), (JobState::Pending, nix::unistd::getuid().as_raw()));
    assert_ne!(view.user, "somebody-else");

    let (machine, certificate) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &certificate).await;
    assert!(matches!(agent.order().await, AgentOrder::FullSet { .. }));
    let duty = agent.assignment().await;
    assert_eq!(
        (duty.run.job, duty.phase <= AssignedPhase::Run { started_at: Timestamp(i64::MAX), suspended: false }),
        (reply.job, true)
    );
    assert!(!duty.credential.is_empty(), "the job can ask in its own name");
    let script = duty.detail.spec.script.unwrap();
    let blob = agent.client.fetch_blob(script, duty.run).await.unwrap();
    assert_eq!(blob.content, b"#!/bin/sh\ntrue\n");
    let environment = agent.client.fetch_blob(duty.detail.spec.environment.unwrap(), duty.run).await.unwrap();
    assert_eq!(environment.content, b"A=1\0");

    let mut news = client.watch_job(reply.job).await.unwrap();
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    eventually("it runs", async || (job(&client, reply.job).await.state == JobState::Running).then_some(())).await;
    agent.report(duty.run, ended(3)).await;
    agent.acknowledged(duty.run).await;

    let mut last = None;
    while let Some(item) = news.next().await {
        last = Some(item.unwrap());
    }
    let last = last.expect("there was news");
    assert_eq!(last.view.state, JobState::Ended(EndState::Failed));
    assert_eq!(last.end.expect("the last news is the end").exit.code, 3);
    let page = client.accounting(AccountingQuery::default()).await.unwrap();
    assert_eq!(page.jobs.len(), 1);
    assert_eq!((page.jobs[0].exit.code, page.jobs[0].state), (3, JobState::Ended(EndState::Failed)));
    assert_eq!(client.script(reply.job).await.unwrap(), b"#!/bin/sh\ntrue\n");
    stage.down().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_is_stopped_by_its_agent() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let (machine, certificate) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &certificate).await;
    let id = client.submit(batch("t1")).await.unwrap().job;
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    let filter = JobFilter { jobs: vec![JobRef::from(id)], ..JobFilter::default() };
    let results = client.act(filter, JobAction::Cancel).await.unwrap();
    assert_eq!(results.len(), 1);
    assert_eq!(results[0].refusal, None);
    loop {
        if let AssignedPhase::Stop { why, .. } = agent.assignment().await.phase {
            assert_eq!(why, StopWhy::Cancelled);
            break;
        }
    }
    agent.report(duty.run, ended(0)).await;
    let state = eventually("it ends", async || match job(&client, id).await.state {
        JobState::Ended(end) => Some(end),
        _ => None,
    });
    assert_eq!(state.await, EndState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_submission_is_the_same_job() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let first = client.submit(batch("t1")).await.unwrap().job;
    assert_eq!(client.submit(batch("t1")).await.unwrap().job, first);
    assert_ne!(client.submit(batch("t2")).await.unwrap().job, first);
    assert_eq!(all_jobs(&client).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_a_job_is_refused_and_leaves_nothing() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let refusal = async |request: SubmitRequest| match client.submit(request).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let mut no_script = batch("a");
    no_script.script = Some(b"echo hi\n".to_vec());
    assert!(refusal(no_script).await.slurm.contains("does not look like a batch script"));
    let mut unknown = batch("b");
    unknown.spec.partitions = vec!["rak".into()];
    let refused = refusal(unknown).await;
    assert!(refused.slurm.contains("partition"), "{refused:?}");
    let mut huge = batch("c");
    huge.script = Some([b"#!/bin/sh\n".as_slice(), &vec![b'#'; 4 << 20]].concat());
    let told = client.submit(huge).await.unwrap_err();
    assert!(!matches!(told, ClientError::Unreachable { .. }), "{told:?}");
    assert!(refusal(batch("")).await.limit.contains("token"));
    assert!(all_jobs(&client).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn why_says_what_stands_in_the_way() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let id = client.submit(batch("t1")).await.unwrap().job;
    let explanation = client.why(JobRef::from(id)).await.unwrap();
    assert!(!explanation.blockers.is_empty(), "no machine is there yet: {explanation:?}");
    let unknown = client.why(JobRef::from(JobId(99))).await;
    assert!(matches!(unknown, Err(ClientError::Refused(_))), "{unknown:?}");
    assert_ne!(job(&client, id).await.reason, Reason::None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_granted_to_the_owner_of_a_running_job() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    let (machine, certificate) = joined(&stage, "n1").await;
    let mut agent = Agent::attach(&stage, &machine, &certificate).await;
    let id = client.submit(batch("t1")).await.unwrap().job;
    let request = StepRequest { job: id, tasks: Some(2), ..StepRequest::default() };
    let duty = agent.assignment().await;
    agent.report(duty.run, AttemptState::Prepared).await;
    agent.report(duty.run, AttemptState::Running { since: Timestamp(1) }).await;
    let grant = eventually("a step is granted", async || client.start_step(request.clone()).await.ok()).await;
    assert_eq!((grant.run, grant.tasks, grant.nodes.len()), (Run { job: id, ..duty.run }, 2, 1));
    let now = client.ping().await.unwrap().now;
    let credential = squall_proto::credential::verify(&certificate.credential_key, &grant.credential, "c1", now);
    let credential = credential.expect("the agent's key verifies it");
    assert_eq!(credential.run, grant.run);
    assert_eq!(grant.ca_pem, stage.ca_pem());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_partitions_and_the_summary_are_told() {
    let stage = Stage::start().await;
    let client = stage.local().await;
    assert_eq!(client.nodes().await.unwrap().len(), 2);
    assert_eq!(client.partitions().await.unwrap()[0].name.as_str(), "rack");
    let summary = client.summary().await.unwrap();
    assert_eq!((summary.cluster.as_str(), summary.epoch), ("c1", 1));
    let results =
        client.act_on_nodes("n[1-3]".to_owned(), NodeAction::Drain { reason: "test".to_owned() }).await.unwrap();
    let refused: Vec<bool> = results.iter().map(|result| result.refusal.is_some()).collect();
    assert_eq!(refused, [false, false, true]);
    let bomb = client.act_on_nodes("n[1-999999999]".to_owned(), NodeAction::Resume).await;
    assert!(matches!(bomb, Err(ClientError::Refused(_))), "{bomb:?}");
}
