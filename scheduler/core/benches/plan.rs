//! How long plans take, over sizes: `cargo bench -p squall-core --bench plan` prints a table, with the machine and its
//! load. Full nodes with a deep queue in few and many classes, one submission or one end after it, and an idle cluster
//! that an array fills. Allocations are counted as well. A driver rather than a statistics harness: each row is the
//! median of a few passes over a state that takes longer to build than to plan.

mod site;

use site::{Site, per_node, single};
use squall_core::plan::{IncrementalPlanner, Plan, Progress, Step, plan};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::time::{Duration, Instant};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Median of some runs, and the allocations of the last.
fn measure(runs: usize, mut work: impl FnMut() -> Plan) -> (Duration, usize, Plan) {
    let mut times = Vec::new();
    let (mut allocations, mut last) = (0, Plan::default());
    for _ in 0..runs {
        let region = Region::new(COUNTING);
        let begun = Instant::now();
        last = work();
        times.push(begun.elapsed());
        allocations = region.change().allocations;
    }
    times.sort_unstable();
    (times[times.len() / 2], allocations, last)
}

fn whole(planner: &mut IncrementalPlanner) -> Plan {
    match planner.go_on(u64::MAX) {
        Progress::Done(plan) => plan,
        Progress::Cut { .. } => unreachable!("nothing cuts a pass without a budget"),
    }
}

fn row(what: &str, (time, allocations, plan): &(Duration, usize, Plan)) {
    let binds = plan.steps.iter().filter(|step| matches!(step, Step::Bind { .. })).count();
    let promised = plan.notes.all().values().filter(|note| note.start_at.is_some()).count();
    let millis = time.as_secs_f64() * 1e3;
    println!("{what:<74} {millis:>9.2} ms {allocations:>9} allocations {binds:>5} started {promised:>4} promised");
}

/// Times of one setting, by what was planned.
type Times = Vec<(&'static str, Duration)>;

/// A queue on full nodes: from scratch, again with nothing new, after one submission, and after one job's end.
fn deep(jobs: u32, classes: u32, nodes: u32) -> Times {
    deep_at("", Site::new(nodes), jobs, classes)
}

/// The same where accounts are limited: what is counted, and that who is held back is left alone.
fn limited(jobs: u32, classes: u32, nodes: u32) {
    let mut site = Site::new(nodes);
    site.limit("grptres=gres/gpu=1000000");
    deep_at(", limits that leave room", site, jobs, classes);
    let mut site = Site::new(nodes);
    site.limit(&format!("grptres=gres/gpu={}", nodes * 8));
    deep_at(", limits that are used up", site, jobs, classes);
}

fn deep_at(limits: &str, mut site: Site, jobs: u32, classes: u32) -> Times {
    let nodes = site.cluster.live_node_count();
    site.fill(8);
    for at in 0..jobs {
        site.submit(&format!("job{at}"), |spec| single(spec, at % classes, classes));
    }
    let title = |what: &str| format!("{jobs} pending in {classes} classes on {nodes} full nodes{limits}: {what}");
    let runs = if jobs > 20_000 { 3 } else { 5 };
    let scratch = measure(runs, || plan(&site.cluster, site.now));
    row(&title("from scratch"), &scratch);
    let mut planner = IncrementalPlanner::default();
    planner.begin(&site.cluster, site.now);
    whole(&mut planner);
    let again = measure(runs, || {
        planner.begin(&site.cluster, site.now);
        whole(&mut planner)
    });
    row(&title("again, with nothing new"), &again);
    let mut submissions = Vec::new();
    for at in 0..runs as u32 {
        site.later(10);
        site.submit(&format!("late{at}"), |spec| single(spec, at % classes, classes));
        submissions.push(measure(1, || {
            planner.begin(&site.cluster, site.now);
            whole(&mut planner)
        }));
    }
    submissions.sort_by_key(|(time, ..)| *time);
    row(&title("after one submission"), &submissions[runs / 2]);
    let mut ends = Vec::new();
    for _ in 0..runs {
        site.later(10);
        site.end_one();
        let end = measure(1, || {
            planner.begin(&site.cluster, site.now);
            whole(&mut planner)
        });
        site.perform(end.2.steps.clone());
        ends.push(end);
    }
    ends.sort_by_key(|(time, ..)| *time);
    row(&title("after one job's end"), &ends[runs / 2]);
    vec![
        ("from scratch", scratch.0),
        ("after one submission", submissions[runs / 2].0),
        ("after one job's end", ends[runs / 2].0),
    ]
}

/// How much longer it takes for each doubling, as a mean over all of them. What grows with n log n takes 2.1 to 2.2 times.
fn growth(of: &str, from: u32, doublings: u32, measured: &[Times]) {
    let (Some(first), Some(last)) = (measured.first(), measured.last()) else { return };
    let to = from << doublings;
    for ((what, before), (_, after)) in first.iter().zip(last) {
        let each = (after.as_secs_f64() / before.as_secs_f64()).powf(1.0 / f64::from(doublings));
        println!("{what}: {of} from {from} to {to}: ×{each:.2} for each doubling");
    }
}

fn idle(nodes: u32) -> Times {
    let mut site = Site::new(nodes);
    site.array("array", nodes, |spec| per_node(spec, 8));
    let what = format!("{nodes} idle nodes and an array of as many tasks: from scratch");
    let scratch = measure(5, || plan(&site.cluster, site.now));
    row(&what, &scratch);
    let mut planner = IncrementalPlanner::default();
    let passes = measure(5, || {
        planner.begin(&site.cluster, site.now);
        whole(&mut planner)
    });
    row(&format!("{nodes} idle nodes and an array of as many tasks: again"), &passes);
    vec![("idle nodes filled by an array", scratch.0)]
}

/// What one job costs the core on its way: its submission, its start and its end, each decided and folded.
fn paths(jobs: u32) {
    let mut site = Site::new(jobs);
    let per_job = |what: &str, work: &mut dyn FnMut()| {
        let region = Region::new(COUNTING);
        let begun = Instant::now();
        work();
        let (time, change) = (begun.elapsed(), region.change());
        let micros = time.as_secs_f64() * 1e6 / f64::from(jobs);
        let each = change.allocations / jobs as usize;
        println!("{what:<74} {micros:>9.2} µs {each:>9} allocations a job, of {jobs}");
    };
    per_job("submission", &mut || {
        (0..jobs).for_each(|at| site.submit(&format!("job{at}"), |spec| per_node(spec, 8)));
    });
    let mut steps = Vec::new();
    per_job("plan that starts all of them", &mut || steps = plan(&site.cluster, site.now).steps);
    per_job("start", &mut || site.perform(std::mem::take(&mut steps)));
    per_job("end", &mut || (0..jobs).for_each(|_| site.end_one()));
}

fn main() {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or(" unknown");
    let count = std::thread::available_parallelism().map_or(1, |count| count.get());
    println!("{count} CPUs{}, load {}", model.trim_start_matches([' ', '\t']), load.trim());
    if std::env::args().any(|argument| argument == "--quick") {
        paths(200);
        deep(1_000, 50, 100);
        limited(1_000, 50, 100);
        return;
    }
    paths(2_000);
    for classes in [1, 500, 10_000] {
        deep(10_000, classes, 1_000);
    }
    limited(10_000, 500, 1_000);
    deep(100_000, 2_000, 10_000);
    idle(1_000);
    let jobs: Vec<Times> = [12_500, 25_000, 50_000, 100_000].into_iter().map(|jobs| deep(jobs, 2_000, 1_000)).collect();
    let nodes: Vec<Times> = [1_250, 2_500, 5_000, 10_000].into_iter().map(|nodes| deep(10_000, 2_000, nodes)).collect();
    let filled: Vec<Times> = [1_250, 2_500, 5_000, 10_000].into_iter().map(idle).collect();
    growth("jobs", 12_500, 3, &jobs);
    growth("nodes", 1_250, 3, &nodes);
    growth("nodes and tasks", 1_250, 3, &filled);
}
