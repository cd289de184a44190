//! What must be true after everything has ended.

use super::load::{ELEMENTS, SCRIPT, Submission};
use crate::stage::Stage;
use std::collections::BTreeMap;

/// A row of `sacct`: state, exit code, job.
type Row = (String, String, String);

/// Waits until no job is left that has not ended.
pub fn settle(stage: &Stage) {
    stage.eventually("every job has ended", || {
        let queue = stage.call(&["squeue", "--noheader"]);
        (queue.code == Some(0) && queue.out.trim().is_empty()).then_some(())
    });
}

/// Compares what was promised and what ran with what the cluster tells.
pub fn judge(stage: &Stage, submissions: &[Submission]) {
    let accounted = accounted(stage);
    let attempts = attempts(stage);
    let mut broken = Vec::new();
    for submission in submissions {
        let found: Vec<(&(String, String), &Row)> =
            accounted.iter().filter(|((key, _), _)| *key == submission.key).collect();
        match submission.job {
            Some(job) => broken.extend(kept(stage, submission, job, &found, &attempts)),
            // Nothing was promised; but if it is there, then once.
            None => {
                let jobs: std::collections::BTreeSet<&str> = found.iter().map(|(_, row)| row.2.as_str()).collect();
                broken.extend((jobs.len() > 1).then(|| format!("{} is there twice: {jobs:?}", submission.key)));
            }
        }
    }
    for (attempt, lines) in &attempts {
        broken.extend((lines.len() > 1).then(|| format!("an attempt ran {} times: {attempt:?}", lines.len())));
        // A submission that became two jobs would have run under two ids.
        let ids: Vec<_> = attempts.keys().filter(|other| other.0 == attempt.0 && other.1 == attempt.1).collect();
        let jobs: std::collections::BTreeSet<_> = ids.iter().flat_map(|id| &attempts[*id]).collect();
        broken.extend((jobs.len() > 1).then(|| format!("one submission ran as {jobs:?}: {attempt:?}")));
    }
    let (printed, restarted) = (
        submissions.iter().filter(|submission| submission.job.is_some()).count(),
        attempts.keys().filter(|key| key.2 > 0).count(),
    );
    println!(
        "{} submissions, {printed} ids printed, {} rows of accounting, {} attempts ran, {restarted} of them restarts",
        submissions.len(),
        accounted.len(),
        attempts.len()
    );
    assert!(broken.is_empty(), "{}\n", broken.join("\n"));
    assert!(printed > 0, "nothing was accepted: {:?}", submissions.iter().map(|one| &one.said).next_back());
    let last =
        submissions.iter().rfind(|submission| submission.job.is_some() && !submission.array).expect("one was accepted");
    let job = last.job.expect("just asked for").to_string();
    assert_eq!(stage.call(&["scontrol", "write", "batch_script", &job, "-"]).good().trim_end(), SCRIPT.trim_end());
}

/// What is wrong with a job whose id was printed.
fn kept(
    stage: &Stage,
    submission: &Submission,
    job: u32,
    found: &[(&(String, String), &Row)],
    attempts: &BTreeMap<(String, String, u32), Vec<String>>,
) -> Vec<String> {
    let mut broken = Vec::new();
    let elements: Vec<String> =
        if submission.array { (0..ELEMENTS).map(|at| at.to_string()).collect() } else { vec!["-".to_owned()] };
    if found.len() != elements.len() {
        broken.push(format!("job {job} has {} rows instead of {}: {found:?}", found.len(), elements.len()));
    }
    let state = if submission.exit == 0 { "COMPLETED" } else { "FAILED" };
    let exit = format!("{}:0", submission.exit);
    for ((key, _), (is_state, is_exit, is_job)) in found {
        if (is_state.as_str(), is_exit) != (state, &exit) {
            broken.push(format!("job {is_job} ({key}) ended {is_state} {is_exit} instead of {state} {exit}"));
        }
        let base = is_job.split('_').next();
        broken.extend((base != Some(&job.to_string())).then(|| format!("job {job} ({key}) is accounted as {is_job}")));
    }
    for element in elements {
        let ran = attempts.keys().any(|(key, index, _)| *key == submission.key && *index == element);
        broken.extend((!ran).then(|| format!("job {job} ({}) never ran element {element}", submission.key)));
        // Without an array `%a` stands for the largest number that is none.
        let index = if submission.array { element.clone() } else { u32::MAX.wrapping_sub(1).to_string() };
        let said = stage.read(&format!("out-{}-{index}", submission.key));
        let wanted = format!("done {} {element}\n", submission.key);
        broken.extend((said != wanted).then(|| format!("job {job} ({}) said {said:?}", submission.key)));
    }
    broken
}

/// By name and element.
fn accounted(stage: &Stage) -> BTreeMap<(String, String), Row> {
    let words = ["sacct", "-X", "-P", "-n", "--starttime=now-1hour", "--format=JobID,JobName,State,ExitCode"];
    let text = stage.call(&words).good();
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('|').collect();
        let [job, name, state, exit] = fields.as_slice() else { panic!("sacct printed {line:?}") };
        let element = job.split_once('_').map_or("-", |(_, element)| element).to_owned();
        let row = (state.to_string(), exit.to_string(), job.to_string());
        let before = rows.insert((name.to_string(), element), row.clone());
        assert_eq!(before, None, "one submission has two rows: {row:?}");
    }
    rows
}

/// What ran: by submission, element and number of restarts, the ids under which it did.
fn attempts(stage: &Stage) -> BTreeMap<(String, String, u32), Vec<String>> {
    let mut attempts: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in stage.read("attempts").lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let [key, element, restarts, job] = words.as_slice() else { panic!("an attempt wrote {line:?}") };
        let restarts = restarts.parse().expect("a number of restarts");
        attempts.entry((key.to_string(), element.to_string(), restarts)).or_default().push(job.to_string());
    }
    attempts
}
