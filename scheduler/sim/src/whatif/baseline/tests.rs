//! Hand-made cases with answers that can be worked out on paper.

use super::*;
use crate::whatif::{Demand, Template};
use squall_types::{GpuGroup, Gpus, HourlyPrice, Shape};

/// `(submit, runs for, nodes, GPUs on each)` in seconds; the limit is the run time.
fn work(jobs: &[(i64, i64, u32, u16)]) -> Vec<Work> {
    let job = |(submit, runs, nodes, gpus): &(i64, i64, u32, u16)| Work {
        name: "j".to_owned(),
        account: "a".into(),
        uid: Default::default(),
        user: String::new(),
        submit_after: Span::from_secs(*submit),
        runs_for: Span::from_secs(*runs),
        limit: Some(Span::from_secs(*runs)),
        demand: Demand { nodes: *nodes, gpus_per_node: *gpus, cpus_per_node: None, mem_mib_per_node: None },
    };
    jobs.iter().map(job).collect()
}

fn fleet(machines: u32) -> Fleet {
    let gpus = Gpus(vec![GpuGroup { model: "g".into(), count: 4, memory_mib: 0, declared: true }]);
    let shape = Shape { cpus: 40, cores: 40, memory_mib: 4000, gpus, features: Default::default() };
    let template = Template { shape, price: HourlyPrice(3_600_000), most: machines };
    Fleet { templates: vec![template], default_limit: Span::FOREVER }
}

/// When each job begins, in seconds.
fn begins(fleet: &Fleet, discipline: Discipline, work: &[Work]) -> Vec<i64> {
    let asks = Asks::of(work);
    let mut yard = Yard {
        fleet,
        work,
        needs: fleet.needs(&asks),
        fragments: Fragments::new(&asks),
        waiting: vec![0; asks.asks.len()],
        asks,
        discipline,
        hosts: Vec::new(),
        queue: BTreeSet::new(),
        ends: BinaryHeap::new(),
        bounded: BTreeSet::new(),
        held: vec![Vec::new(); work.len()],
        ledger: Ledger::new(work),
        meter: Meter::new(START, Span::from_secs(60)),
        sampled_at: START,
    };
    yard.run(&mut |_| {});
    let since = |at: &Option<Timestamp>| at.map_or(-1, |at| at.since(START).as_secs());
    yard.ledger.began_at.iter().map(since).collect()
}

#[test]
fn nobody_passes_the_first_but_in_easy_those_that_end_before_it_could_start() {
    // One machine of 4: the first leaves 2 free, the second wants 4, and then two that fit beside the first.
    let work = work(&[(0, 100, 1, 2), (1, 50, 1, 4), (2, 90, 1, 2), (3, 200, 1, 2)]);
    assert_eq!(begins(&fleet(1), Discipline::Fifo, &work), [0, 100, 150, 150]);
    // The third ends at 92, before the second can start at 100; the fourth would delay it.
    assert_eq!(begins(&fleet(1), Discipline::Easy, &work), [0, 100, 2, 150]);
    // The shortest is the one that wants 4: it blocks at the head.
    assert_eq!(begins(&fleet(1), Discipline::Shortest, &work), [0, 100, 150, 150]);
}

#[test]
fn what_the_first_leaves_over_may_be_used_for_as_long_as_one_likes() {
    // Two machines. The first takes one and a half; the second wants a whole one and gets it at 100.
    // The third is long and fits into the half that the second will not need; the fourth no more.
    let work = work(&[(0, 100, 1, 4), (0, 300, 1, 2), (1, 50, 1, 4), (2, 900, 1, 2), (3, 900, 1, 1)]);
    assert_eq!(begins(&fleet(2), Discipline::Easy, &work), [0, 0, 100, 2, 150]);
    assert_eq!(begins(&fleet(2), Discipline::Fifo, &work), [0, 0, 100, 100, 150]);
}

#[test]
fn the_shortest_goes_first_among_those_that_wait() {
    let work = work(&[(0, 100, 1, 4), (1, 30, 1, 4), (2, 10, 1, 4), (3, 20, 1, 4)]);
    assert_eq!(begins(&fleet(1), Discipline::Shortest, &work), [0, 130, 100, 110]);
    assert_eq!(begins(&fleet(1), Discipline::Fifo, &work), [0, 100, 130, 140]);
}

#[test]
fn a_gang_wants_different_machines_and_small_jobs_are_packed_where_least_stays_free() {
    // Two small jobs share a machine, so that the gang of two whole machines finds them in a fleet of three.
    let packed = work(&[(0, 100, 1, 1), (0, 100, 1, 3), (0, 100, 2, 4)]);
    assert_eq!(begins(&fleet(3), Discipline::Fifo, &packed), [0, 0, 0]);
    // A gang of halves has one on each machine; so has, later, a gang of quarters, behind what wants a whole machine.
    let split = work(&[(0, 100, 1, 2), (0, 100, 2, 2), (1, 10, 1, 4), (1, 10, 2, 1)]);
    assert_eq!(begins(&fleet(2), Discipline::Fifo, &split), [0, 0, 100, 110]);
    assert_eq!(begins(&Fleet::counted(8), Discipline::Fifo, &work(&[(0, 9, 1, 8), (1, 9, 1, 1)])), [0, 9]);
}

#[test]
fn an_outcome_adds_up() {
    let mut told = 0;
    let work = work(&[(0, 3600, 1, 2), (0, 1800, 1, 4), (0, 10, 3, 4), (0, 10, 1, 5)]);
    let outcome = baseline("two", &fleet(2), &work, Discipline::Fifo, &mut |_| told += 1);
    assert_eq!((outcome.ends.completed, outcome.ends.refused), (2, 2), "no three machines, no five GPUs");
    assert_eq!((outcome.gpu_hours.bought, outcome.gpu_hours.used, outcome.gpu_hours.beside), (8.0, 4.0, 4.0));
    // 3.60 dollars an hour for each of two machines for an hour.
    assert_eq!((outcome.cost_micro_usd, outcome.nodes.peak), (7_200_000, 2));
    assert_eq!((outcome.turnaround.mean_ms, outcome.turnaround.p50_ms), (2_700_000, 1_800_000));
    assert_eq!(outcome.series.spent_micro_usd.last(), Some(&7_200_000));
    assert_eq!(told, 0, "there is little to tell");
}

#[test]
fn a_limit_ends_a_job() {
    let mut work = work(&[(0, 100, 1, 4), (1, 10, 1, 4)]);
    work[0].limit = Some(Span::from_secs(40));
    let outcome = baseline("one", &fleet(1), &work, Discipline::Fifo, &mut |_| {});
    assert_eq!((outcome.ends.completed, outcome.ends.timed_out), (1, 1));
    assert_eq!(outcome.wait.max_ms, 39_000);
}
