//! A crontab by the clock of this machine: the one test that waits for a minute to begin.

use crate::stage::{Said, Stage, elastic};
use std::collections::BTreeSet;

/// Leaves a line for each time that it ran, with the second, and waits for a word.
const BEAT: &str = "\
#!/bin/sh
echo \"$SLURM_JOB_ID $(date +%s)\" >> ran
until [ -e go ]; do sleep 0.1; done
echo \"$SLURM_JOB_NAME is done\"
";

/// Options for the entry that follows them, and one entry that has no part in this.
fn table(stage: &Stage) -> String {
    let work = stage.path("work");
    format!(
        "#SCRON --job-name=beat --chdir={work}\n#SCRON --output=%x.out --open-mode=append\n* * * * * ./beat.sh\n\
         @yearly echo another year\n",
        work = work.display()
    )
}

/// Id, state, reason and next start in seconds of each job of that name.
fn jobs(stage: &Stage, name: &str) -> Vec<[String; 4]> {
    let mut squeue = stage.command(stage.path("bin/squeue"));
    squeue.args(["--noheader", "--name", name, "--format=%i|%T|%r|%S"]).env("SLURM_TIME_FORMAT", "%s");
    let said = Said::from(squeue.output().expect("squeue can be executed")).good();
    let row = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().expect("four columns");
    said.lines().map(row).collect()
}

fn the_job(stage: &Stage, name: &str) -> [String; 4] {
    let found: Result<[_; 1], _> = jobs(stage, name).try_into();
    let [job] = found.unwrap_or_else(|found| panic!("not one job {name}: {found:?}"));
    job
}

#[test]
fn an_entry_runs_at_its_minute_and_waits_for_the_next_one_whatever_becomes_of_the_controller() {
    let stage = Stage::set(|dir| elastic(dir, 1));
    stage.script("beat.sh", BEAT);
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(stage.path("work/beat.sh"), executable).expect("a script can be made executable");
    stage.script("table", &table(&stage));
    stage.up();
    stage.call(&["scrontab", "table"]).good();
    let [beat, ..] = the_job(&stage, "beat");
    let [yearly, state, reason, _] = the_job(&stage, "echo another year");
    assert_eq!((&*state, &*reason), ("PENDING", "BeginTime"));

    // What it waits for is on disk.
    stage.kill();
    stage.up();
    assert_eq!(the_job(&stage, "beat")[0], beat);
    stage.eventually("the minute begins", || stage.read("ran").ends_with('\n').then_some(()));
    assert!(stage.read("ran").starts_with(&format!("{beat} ")), "{}", stage.read("ran"));

    // It ends while nobody is there to hear of it.
    stage.kill();
    stage.script("go", "");
    stage.eventually("it has run", || (stage.read("beat.out") == "beat is done\n").then_some(()));
    stage.up();
    let again = stage.eventually("it waits for its next minute", || {
        let [id, state, reason, start] = the_job(&stage, "beat");
        assert_eq!(id, beat);
        (state == "PENDING" && reason == "BeginTime").then(|| start.parse::<u64>().expect("seconds"))
    });
    assert_eq!(again % 60, 0, "{again}");
    let ran = stage.read("ran");
    let mut minutes = BTreeSet::new();
    for line in ran.lines() {
        let second = line.strip_prefix(&format!("{beat} ")).and_then(|second| second.parse::<u64>().ok());
        let second = second.unwrap_or_else(|| panic!("another job:\n{ran}"));
        assert!(minutes.insert(second / 60), "twice in one minute:\n{ran}");
        assert!(second < again, "{again} is not the next minute after\n{ran}");
    }

    let refused = stage.call(&["scancel", &beat]);
    assert!(refused.err.contains("--cron"), "{refused:?}");
    stage.call(&["scancel", "--cron", &beat]).good();
    stage.eventually("it is gone", || jobs(&stage, "beat").is_empty().then_some(()));
    let listed = stage.call(&["scrontab", "-l"]).good();
    assert!(listed.contains("#DISABLED: * * * * * ./beat.sh") && listed.contains("\n@yearly"), "{listed}");
    assert_eq!(the_job(&stage, "echo another year")[0], yearly);
    stage.call(&["scrontab", "-r"]).good();
    assert_eq!(stage.call(&["squeue", "--noheader"]).good(), "");
    assert_eq!(stage.call(&["scrontab", "-l"]).code, Some(1));
    stage.ends_empty();
}
