//! Crontabs over the wire: taken whole or not at all, kept over a restart, and nobody else's.

use crate::stage::{Stage, all_jobs, batch, job};
use crate::tokens::alice;
use squall_proto::ClientError;
use squall_proto::client::Client;
use squall_types::Uid;
use squall_types::api::*;
use squall_types::cron::CronSpec;

fn crontab(entries: &[(&str, &str)]) -> CrontabRequest {
    let lines: Vec<String> = entries.iter().map(|(times, name)| format!("{times} {name}\n")).collect();
    let text = lines.concat();
    let entries = entries.iter().zip(1u32..).map(|((times, name), line)| {
        // Another crontab is another request.
        let mut submission = batch(&format!("line {line} of {text}"));
        submission.spec.name = (*name).to_owned();
        let cron = CronSpec { times: (*times).to_owned(), zone: "UTC0".to_owned() };
        submission.spec.cron = Some(Box::new(cron));
        CronEntry { first_line: line, last_line: line, submission }
    });
    let entries = entries.collect();
    CrontabRequest { user: None, text, entries }
}

async fn live_jobs(client: &Client) -> Vec<JobView> {
    let mut jobs = all_jobs(client).await;
    jobs.retain(|job| !matches!(job.state, JobState::Ended(_)));
    jobs
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crontab_outlives_the_controller_and_its_jobs_wait_for_their_times() {
    let mut stage = Stage::start().await;
    let root = stage.local().await;
    let wanted = crontab(&[("@yearly", "first"), ("0 0 29 2 *", "second")]);
    assert_eq!(root.set_crontab(wanted.clone()).await.unwrap(), [""; 0]);
    stage.down().await;
    stage.up().await.unwrap();
    let root = stage.local().await;
    assert_eq!(root.crontab(None).await.unwrap(), wanted.text);
    let jobs = live_jobs(&root).await;
    assert_eq!(jobs.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), ["first", "second"]);
    assert!(jobs.iter().all(|job| job.state == JobState::Pending && job.start_at > Some(job.submitted_at)), "{jobs:?}");
    // The same again is the same; without a line its job goes.
    root.set_crontab(wanted.clone()).await.unwrap();
    root.set_crontab(crontab(&[("@yearly", "first")])).await.unwrap();
    let left = live_jobs(&root).await;
    assert_eq!((left.len(), left[0].job), (1, jobs[0].job));

    let filter = JobFilter { jobs: vec![JobRef::from(left[0].job)], ..JobFilter::default() };
    let refused = root.act(filter.clone(), JobAction::Cancel).await.unwrap();
    assert_eq!(refused[0].refusal.as_ref().unwrap().code, "SQ1016");
    assert_eq!(root.act(filter, JobAction::CancelCron).await.unwrap()[0].refusal, None);
    assert_eq!(root.crontab(None).await.unwrap(), "#DISABLED: @yearly first\n");
    assert!(matches!(job(&root, left[0].job).await.state, JobState::Ended(_)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crontab_belongs_to_its_user_and_one_bad_entry_changes_nothing() {
    let stage = Stage::start().await;
    let (root, alice) = (stage.local().await, alice(&stage).await);
    alice.set_crontab(crontab(&[("@daily", "hers")])).await.unwrap();
    let uid = live_jobs(&root).await[0].uid;
    assert!(uid != Uid(0) && root.crontab(None).await.unwrap().is_empty());
    assert_eq!(root.crontab(Some(uid)).await.unwrap(), "@daily hers\n");
    let denied = |result: Result<(), ClientError>| match result {
        Err(ClientError::Refused(refusal)) => assert_eq!(refusal.slurm, "Access/permission denied"),
        other => panic!("{other:?}"),
    };
    denied(alice.crontab(Some(Uid(0))).await.map(drop));
    denied(alice.set_crontab(CrontabRequest { user: Some(Uid(0)), ..crontab(&[]) }).await.map(drop));
    let mut wrong = crontab(&[("@weekly", "hers"), ("@daily", "wrong")]);
    wrong.entries[1].submission.spec.partitions = vec!["nowhere".into()];
    let refusal = match alice.set_crontab(wrong).await {
        Err(ClientError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert!(refusal.asked.ends_with("on line 2"), "{refusal:?}");
    assert_eq!(alice.crontab(None).await.unwrap(), "@daily hers\n");
    assert_eq!(live_jobs(&root).await.len(), 1);
}
