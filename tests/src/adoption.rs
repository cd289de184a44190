//! Daemons come and go, jobs go on: what runs is adopted with its start, and what ended meanwhile is known with its end.

use crate::stage::{Stage, elastic};
use std::collections::BTreeMap;
use std::time::Duration;

/// Leaves a line for each attempt, waits for a file, says that it got to its end, and ends as it was told to.
const SCRIPT: &str = "\
#!/bin/sh
echo ran >> \"ran-$1\"
until [ -e \"$2\" ]; do sleep 0.2; done
echo \"done\"
exit \"$3\"
";
/// The same, with a step that does it.
const STEP: &str = "#!/bin/sh\nsrun --ntasks=2 ./job.sh \"$@\"\n";

/// The jobs of these tests: those of one half end at one word, those of the other at another.
const JOBS: [(&str, &[&str], &str, &str, u8); 6] = [
    ("plain", &[], "job.sh", "first", 0),
    ("failing", &[], "job.sh", "first", 7),
    ("gang", &["--nodes=2", "--gpus-per-node=1"], "job.sh", "first", 3),
    ("late", &["--gpus=1"], "job.sh", "second", 0),
    ("late-failing", &[], "job.sh", "second", 9),
    ("stepping", &["--ntasks=2"], "step.sh", "second", 5),
];

fn set() -> Stage {
    // So short that it is over long before the jobs are.
    let stage = Stage::set(|dir| elastic(dir, 3).replace("[timing]", "[timing]\ncontact_timeout = \"3s\""));
    stage.script("job.sh", SCRIPT);
    stage.script("step.sh", STEP);
    let made = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(stage.path("work/job.sh"), made).expect("a script can be made executable");
    stage.up();
    stage
}

/// Submits all, and waits until all run.
fn submit(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    for (name, options, script, word, exit) in JOBS {
        let name_option = format!("--job-name={name}");
        let exit = exit.to_string();
        let mut words = vec!["sbatch", "--parsable", &name_option, "--output=%x.out", "--error=%x.err"];
        words.extend(options);
        words.extend([script, name, word, &exit]);
        stage.call(&words).good();
    }
    stage.eventually("every job runs", || {
        let running = rows(stage).into_values().filter(|row| row[0] == "RUNNING").count();
        let begun = JOBS.iter().filter(|(name, ..)| !stage.read(&format!("ran-{name}")).is_empty()).count();
        (running == JOBS.len() && begun == JOBS.len()).then_some(())
    });
    rows(stage)
}

/// State, start and nodes of each job by its name, as the queue shows them.
fn rows(stage: &Stage) -> BTreeMap<String, Vec<String>> {
    let said = stage.call(&["squeue", "--noheader", "--states=all", "--format=%j|%T|%S|%N"]);
    let rows = said.out.lines().map(|line| line.split('|').map(str::to_owned).collect::<Vec<_>>());
    rows.map(|mut row| (row.remove(0), row)).collect()
}

fn say(stage: &Stage, word: &str) {
    std::fs::write(stage.path("work").join(word), "").expect("a word");
}

/// Those that end at the first word are over, and said so to the end, whoever listened.
fn first_half_is_done(stage: &Stage) {
    stage.eventually("the first half is done", || {
        let first = JOBS.iter().filter(|job| job.3 == "first");
        first.map(|(name, ..)| stage.read(&format!("{name}.out"))).all(|said| said == "done\n").then_some(())
    });
}

/// Those of the second half run since when they did and where they did; those of the first ended as they did.
fn all_is_known(stage: &Stage, before: &BTreeMap<String, Vec<String>>) {
    let now = stage.eventually("the ends are known", || {
        let rows = rows(stage);
        let over = |name: &str| rows.get(name).is_some_and(|row| row[0] == "COMPLETED" || row[0] == "FAILED");
        JOBS.iter().filter(|job| job.3 == "first").all(|job| over(job.0)).then_some(rows)
    });
    for (name, ..) in JOBS.iter().filter(|job| job.3 == "second") {
        assert_eq!(now[*name], before[*name], "{name} goes on");
    }
}

/// Everything ends as it was to, having run once.
fn all_ends_well(stage: &Stage) {
    say(stage, "second");
    stage.eventually("every job has ended", || {
        let queue = stage.call(&["squeue", "--noheader"]);
        (queue.code == Some(0) && queue.out.is_empty()).then_some(())
    });
    let accounted = stage.call(&["sacct", "-X", "-P", "-n", "--format=JobName,State,ExitCode,Restarts"]).good();
    for (name, _, _, _, exit) in JOBS {
        let state = if exit == 0 { "COMPLETED" } else { "FAILED" };
        let wanted = format!("{name}|{state}|{exit}:0|0");
        assert!(accounted.lines().any(|line| line == wanted), "{wanted} is not in\n{accounted}");
        let times = if name == "stepping" { 2 } else { 1 };
        assert_eq!(stage.read(&format!("ran-{name}")), "ran\n".repeat(times), "{name}");
        assert_eq!(stage.read(&format!("{name}.out")), "done\n".repeat(times), "{name}");
    }
    stage.ends_empty();
}

#[test]
fn a_controller_that_stays_away_ends_no_job_and_adopts_all_when_it_is_back() {
    let stage = set();
    let before = submit(&stage);
    stage.down();
    // What is there twice is none of the jobs' short sleeps.
    let mut lasting = stage.processes();
    std::thread::sleep(Duration::from_secs(1));
    let again = stage.processes();
    lasting.retain(|process| again.contains(process));
    // Longer than a node may be silent.
    std::thread::sleep(Duration::from_secs(5));
    let now = stage.processes();
    let cut: Vec<_> = lasting.iter().filter(|process| !now.contains(process)).collect();
    assert!(cut.is_empty(), "cut short: {cut:?}");
    say(&stage, "first");
    first_half_is_done(&stage);
    stage.up();
    all_is_known(&stage, &before);
    // Once more, and without a word.
    stage.kill();
    stage.up();
    all_is_known(&stage, &before);
    all_ends_well(&stage);
}

#[test]
fn agents_that_are_killed_leave_their_jobs_running_and_find_them_again() {
    let stage = set();
    let before = submit(&stage);
    let killed = stage.agents();
    assert!(killed.len() >= 2, "{killed:?}");
    assert!(killed.iter().all(|agent| agent.kill()));
    say(&stage, "first");
    first_half_is_done(&stage);
    all_is_known(&stage, &before);
    stage.eventually("every agent was started again", || (stage.agents().len() >= 2).then_some(()));
    // And everything at once: nobody is left who knows of a job but its shim.
    stage.kill();
    stage.agents().iter().for_each(|agent| _ = agent.kill());
    stage.up();
    all_is_known(&stage, &before);
    all_ends_well(&stage);
}
