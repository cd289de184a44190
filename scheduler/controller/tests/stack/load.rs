use crate::stage::{Stage, batch};
use futures_util::StreamExt;
use squall_types::api::{JobAction, JobFilter, JobRef};
use std::collections::BTreeSet;
use std::time::Instant;

/// Many clients at once: every id is given once, and what frees something does not wait behind what takes something.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_submissions_loses_none_and_starves_nothing() {
    const JOBS: usize = 2_000;
    let stage = Stage::start().await;
    let client = stage.local().await;
    let first = client.submit(batch("first")).await.unwrap().job;
    let began = Instant::now();
    let flood = {
        let client = client.clone();
        tokio::spawn(async move {
            let submissions = (0..JOBS).map(|number| {
                let client = client.clone();
                async move { client.submit(batch(&format!("t{number}"))).await.unwrap().job }
            });
            let ids: Vec<_> = futures_util::stream::iter(submissions).buffer_unordered(200).collect().await;
            ids
        })
    };
    let filter = JobFilter { jobs: vec![JobRef::from(first)], ..JobFilter::default() };
    let results = client.act(filter, JobAction::Cancel).await.unwrap();
    let cancelled = began.elapsed();
    assert_eq!(results[0].refusal, None);
    let ids = flood.await.unwrap();
    let took = began.elapsed();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), JOBS);
    assert!(cancelled < took, "the cancel came back after {cancelled:?}, the flood after {took:?}");
    eprintln!("{JOBS} submissions in {took:?}, a cancel among them in {cancelled:?}");
}
