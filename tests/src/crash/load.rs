//! People who submit: jobs of different lengths, sizes and ends, with the real command.

use crate::stage::Stage;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Leaves a line for each attempt, written at once: submission, element, number of restarts, job. Then it takes its
/// time, says that it got to its end, and ends as it was told to.
pub const SCRIPT: &str = "\
#!/bin/sh
echo \"$1 ${SLURM_ARRAY_TASK_ID:--} ${SLURM_RESTART_COUNT:-0} $SLURM_JOB_ID\" >> attempts
sleep \"$2\"
echo \"done $1 ${SLURM_ARRAY_TASK_ID:--}\"
exit \"$3\"
";

/// Elements of a job that is an array.
pub const ELEMENTS: u32 = 3;

/// One call of `sbatch`.
#[derive(Clone, Debug)]
pub struct Submission {
    /// Its own number: the job's name, and what its attempts write down.
    pub key: String,
    pub array: bool,
    /// How the job is to end.
    pub exit: i32,
    /// The id that was printed; where none was, nothing was promised.
    pub job: Option<u32>,
    pub said: String,
}

/// Submits until it is over: in bursts, with lulls in which the pool can shrink.
pub fn submit(stage: &Stage, submitter: u64, seed: u64, over: &AtomicBool) -> Vec<Submission> {
    let mut chance = ChaCha8Rng::seed_from_u64(seed ^ (submitter + 1));
    let mut made = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let key = format!("{submitter}-{}", made.len());
        made.push(one(stage, key, &mut chance));
        // The lulls of all submitters come at about the same time, as nights do.
        let lull = made.len() % 25 == 0;
        let millis = if lull { chance.random_range(4_000..6_000) } else { chance.random_range(50..800) };
        std::thread::sleep(Duration::from_millis(millis));
    }
    made
}

fn one(stage: &Stage, key: String, chance: &mut ChaCha8Rng) -> Submission {
    let exit = if chance.random_bool(0.5) { 0 } else { chance.random_range(1..100) };
    let tenths = chance.random_range(0..25);
    let kind = chance.random_range(0..8);
    let mut words =
        vec!["sbatch".to_owned(), "--parsable".to_owned(), format!("--job-name={key}"), "--time=5".to_owned()];
    words.push(format!("--output=out-{key}-%a"));
    match kind {
        0 => words.push(format!("--array=0-{}", ELEMENTS - 1)),
        1 => words.push("--nodes=2".to_owned()),
        2 => words.push("--gpus=1".to_owned()),
        _ => {}
    }
    words.extend(["job.sh".to_owned(), key.clone(), format!("{}.{}", tenths / 10, tenths % 10), exit.to_string()]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let said = stage.call(&words);
    let job = (said.code == Some(0)).then(|| said.out.trim().parse().expect("a job id and nothing else is printed"));
    Submission { key, array: kind == 0, exit, job, said: said.err }
}
