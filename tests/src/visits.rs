//! Going to what runs: `sattach`, `sstat` and `sbcast`, through the controller to the nodes of a job.

use crate::stage::{Stage, elastic};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

/// Says that it is there, waits for a file, and ends badly.
const TASK: &str = "\
#!/bin/sh
echo \"up $SLURM_PROCID\"
until [ -e go ]; do sleep 0.1; done
echo \"over $SLURM_PROCID\"
exit 3
";

#[test]
fn a_running_job_is_visited_on_all_of_its_nodes() {
    let stage = Stage::set(|dir| elastic(dir, 2));
    stage.script("task.sh", TASK);
    std::fs::set_permissions(stage.path("work/task.sh"), PermissionsExt::from_mode(0o755)).expect("a script");
    stage.script("tool", "a tool\n");
    stage.up();
    let words = ["sbatch", "--parsable", "--nodes=2", "--ntasks=2", "--gpus-per-node=1", "--output=job.out"];
    let job = stage.call(&[&words[..], &["--wrap=srun ./task.sh"]].concat()).good().trim().to_owned();
    stage.eventually("both tasks are up", || (stage.read("job.out").lines().count() == 2).then_some(()));
    let step = format!("{job}.0");

    let layout = stage.call(&["sattach", "--layout", &step]).good();
    assert!(
        layout.starts_with("Job step layout:\n\t2 tasks, 2 nodes (") && layout.contains("1 task(s): 1 "),
        "{layout}"
    );

    let used = stage.call(&["sstat", "-a", "-n", "-P", "-o", "JobID,NTasks,MaxRSS,AveCPU", &job]).good();
    let rows: Vec<Vec<&str>> = used.lines().map(|line| line.split('|').collect()).collect();
    let ids: Vec<&str> = rows.iter().map(|row| row[0]).collect();
    assert_eq!(ids, [format!("{job}.batch"), step.clone()], "{used}");
    assert!(rows[1][1] == "2" && rows[1][2] != "0", "{used}");

    // Both nodes are this machine, so that the file is there already for the one that comes second.
    stage.call(&["sbcast", "--force", "--preserve", "-j", &job, "tool", "copies"]).good();
    assert_eq!(stage.read("copies"), "a tool\n");
    let again = stage.call(&["sbcast", "-j", &job, "tool", "copies"]);
    assert_eq!(again.code, Some(17), "{again:?}");
    assert!(again.err.contains("File exists"), "{again:?}");

    let mut visitor = stage.command(stage.path("bin/sattach"));
    let mut visitor = visitor.args(["-l", &step]).stdout(Stdio::piped()).spawn().expect("a visitor");
    let mut lines = BufReader::new(visitor.stdout.take().expect("a pipe")).lines().map(|line| line.expect("a line"));
    // What was said before the visitor came is heard first.
    let mut said: Vec<String> = lines.by_ref().take(2).collect();
    std::fs::write(stage.path("work/go"), "").expect("a word");
    said.extend(lines);
    said.sort_unstable();
    assert_eq!(said, ["0: over 0", "0: up 0", "1: over 1", "1: up 1"]);
    assert_eq!(visitor.wait().expect("a visitor who ends").code(), Some(3));

    stage.eventually("the job is over", || {
        let state = stage.call(&["sacct", "-n", "-X", "-P", "-o", "State", "-j", &job]).good();
        (state.trim() == "FAILED").then_some(())
    });
    assert_eq!(stage.call(&["sattach", &step]).code, Some(1));
    assert_eq!(stage.call(&["sbcast", "-j", &job, "tool", "copies"]).code, Some(255));
    stage.ends_empty();
}

/// Lives until it is killed, and so hears what its own cancellation said.
const ENDS_ITSELF: &str = "\
#!/bin/sh
trap : TERM
scancel \"${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID\"
echo \"$?\" >> said
";

#[test]
fn a_job_that_cancels_itself_hears_how_that_went() {
    let stage = Stage::set(|dir| elastic(dir, 2));
    stage.script("job.sh", ENDS_ITSELF);
    stage.up();
    let job = stage.call(&["sbatch", "--parsable", "--array=1-8", "--output=/dev/null", "job.sh"]).good();
    let job = job.trim();
    stage.eventually("all are over", || {
        let states = stage.call(&["sacct", "-n", "-X", "-P", "-o", "State", "-j", job]).good();
        (states.lines().filter(|state| state.starts_with("CANCELLED")).count() == 8).then_some(())
    });
    assert_eq!(stage.read("said"), "0\n".repeat(8));
    stage.ends_empty();
}
