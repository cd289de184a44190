//! `kill -9` of the real programs at random moments, while several people submit: no printed job id is lost, nothing
//! runs twice, exit codes are kept, and no process is left.
//!
//! What ran is counted by what it left behind, never by what the cluster says of itself.

mod load;
mod strikes;
mod verdict;

use crate::stage::{Stage, elastic};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::sync::atomic::{AtomicBool, Ordering};

/// Repeats the choices of a run; its moments are the machine's.
const SEED: &str = "SQUALL_SEED";
const SUBMITTERS: u64 = 4;
const MAX_NODES: u32 = 4;

fn seed() -> u64 {
    let given = std::env::var(SEED).ok().map(|text| text.parse().expect("SQUALL_SEED is a number"));
    let seed = given.unwrap_or_else(|| rand::rng().next_u64());
    println!("{SEED}={seed}");
    seed
}

/// Kills so often under load, then lets everything end and looks at what there is.
fn crash(kills: usize) {
    let seed = seed();
    // With small snapshots, so that starts from one are among the starts.
    let stage = Stage::set(|dir| {
        elastic(dir, MAX_NODES).replace("heartbeat = \"1s\"", "heartbeat = \"1s\"\nsnapshot_events = 500")
    });
    stage.script("job.sh", load::SCRIPT);
    stage.up();
    let over = AtomicBool::new(false);
    let (submissions, struck) = std::thread::scope(|scope| {
        let submitters: Vec<_> = (0..SUBMITTERS)
            .map(|submitter| {
                let (stage, over) = (&stage, &over);
                scope.spawn(move || load::submit(stage, submitter, seed, over))
            })
            .collect();
        let mut chance = ChaCha8Rng::seed_from_u64(seed);
        let struck =
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| strikes::strike(&stage, kills, &mut chance)));
        // Whatever happened, nobody submits for ever.
        over.store(true, Ordering::Relaxed);
        let submissions: Vec<_> =
            submitters.into_iter().flat_map(|submitter| submitter.join().expect("a submitter ends")).collect();
        (submissions, struck.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    println!("{struck}");
    verdict::settle(&stage);
    verdict::judge(&stage, &submissions);
    stage.ends_empty();
}

#[test]
fn kills_at_random_moments_lose_nothing_and_run_nothing_twice() {
    crash(20);
}

#[test]
#[ignore = "takes minutes: the long tier of CI runs it"]
fn two_hundred_kills_lose_nothing_and_run_nothing_twice() {
    crash(200);
}
